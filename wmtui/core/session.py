"""The session: which source key goes to which target, what was decided and what is still open.

Two layers. *Settled* is what the user decided, changed by decisions only, with undo and redo without end; applying
the same decisions again gives it back exactly. *Pending* is read off the proposal: a pair of it counts while both
its keys are free and the user has not refused it. Neither layer can hold a target twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from .decisions import Accept, Assign, Decision, Ignore, Redo, Reject, Undo, unfold, unfold_pairs
from .listing import Listing
from .proposal import Facts, Pair, Proposal, Transform


class Status(StrEnum):
    """The state of a source key, or of a target key as seen from its holder."""

    PROPOSED = "proposed"
    AMBIGUOUS = "ambiguous"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IGNORED = "ignored"
    UNMATCHED = "unmatched"


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What the user decided about one source key.

    Attributes:
        status: accepted, rejected or ignored; ``None`` where only refusals are left.
        target: place of the target, -1 without one.
        by_user: the pair is the user's own, not the matcher's.
        refused: places of targets that the user refused for this key.
    """

    status: Status | None = None
    target: int = -1
    transform: Transform = Transform.NONE
    by_user: bool = False
    refused: frozenset[int] = frozenset()


class Mapped(msgspec.Struct, frozen=True, gc=False):
    """A pair as it stands now, settled or pending."""

    source: str
    target: str
    transform: Transform
    status: Status
    by_user: bool


class Change(msgspec.Struct, frozen=True):
    """What a decision touched: places of source keys and of target keys whose look may have changed."""

    sources: frozenset[int]
    targets: frozenset[int]


class _Step(msgspec.Struct, frozen=True):
    sources: dict[int, tuple[Settled | None, Settled | None]]
    targets: dict[int, tuple[bool, bool]]


class Session:
    """A review of one proposal for two listings.

    Args:
        source, target: the two sides.
        proposal: what the matcher says; replaced by :meth:`propose`.

    Attributes:
        version: another one after each change, for whoever keeps what was read off the session.
    """

    def __init__(self, source: Listing, target: Listing, proposal: Proposal) -> None:
        self.source = source
        self.target = target
        self._settled: dict[int, Settled] = {}
        self._holder: dict[int, int] = {}
        self._ignored_targets: set[int] = set()
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._source_counts: Counter[Status] = Counter()
        self._target_counts: Counter[Status] = Counter()
        self._free: Counter[int] = Counter()
        self.version = 0
        self.propose(proposal)

    # ---- what stands

    def status(self, source: int) -> Status:
        """The status of a source key by its place."""
        settled = self._settled.get(source)
        if settled is not None and settled.status is not None:
            return settled.status
        if self._pending(source) >= 0:
            return Status.PROPOSED
        return Status.AMBIGUOUS if source in self._ambiguous else Status.UNMATCHED

    def partner(self, source: int) -> int:
        """Place of the target that a source key goes to, accepted or proposed; -1 without one."""
        settled = self._settled.get(source)
        if settled is not None and settled.status is not None:
            return settled.target
        return self._pending(source)

    def holder(self, target: int) -> int:
        """Place of the source key that a target gets, accepted or proposed; -1 without one."""
        if target in self._holder:
            return self._holder[target]
        source = self._wanted_by.get(target, -1)
        return source if source >= 0 and self._pending(source) == target else -1

    def statuses(self) -> list[Status]:
        """The statuses of all source keys."""
        if self._is_touched:
            return [self.status(s) for s in range(len(self.source))]
        found = [Status.UNMATCHED] * len(self.source)
        for s in self._ambiguous:
            found[s] = Status.AMBIGUOUS
        for s in self._wants:
            found[s] = Status.PROPOSED
        return found

    def target_statuses(self) -> list[Status]:
        """The statuses of all target keys."""
        if self._is_touched:
            return [self.target_status(t) for t in range(len(self.target))]
        found = [Status.UNMATCHED] * len(self.target)
        for t in self._wanted_by:
            found[t] = Status.PROPOSED
        return found

    def partners(self) -> list[int]:
        """The partners of all source keys, see `partner`."""
        if self._is_touched:
            return [self.partner(s) for s in range(len(self.source))]
        found = [-1] * len(self.source)
        for s, t in self._wants.items():
            found[s] = t
        return found

    def holders(self) -> list[int]:
        """The holders of all target keys, see `holder`."""
        found = [-1] * len(self.target)
        for s, t in enumerate(self.partners()):
            if t >= 0:
                found[t] = s
        return found

    @property
    def _is_touched(self) -> bool:
        """Whether something was decided; if not, what stands is the proposal itself, and 90,000 keys are soon told."""
        return bool(self._settled or self._ignored_targets)

    def target_status(self, target: int) -> Status:
        """Accepted, proposed, ignored or unmatched."""
        if target in self._ignored_targets:
            return Status.IGNORED
        holder = self._holder.get(target, -1)
        if holder >= 0:
            return self.status(holder)
        return Status.PROPOSED if self.holder(target) >= 0 else Status.UNMATCHED

    def settled(self, source: int) -> Settled | None:
        """What was decided about a source key, ``None`` where nothing was."""
        return self._settled.get(source)

    def transform(self, source: int) -> Transform:
        """The transform of a source key's pair."""
        settled = self._settled.get(source)
        if settled is not None and settled.status is not None:
            return settled.transform
        pair = self._pair(source)
        return pair.transform if pair is not None else Transform.NONE

    def confidence(self, source: int) -> float:
        """The matcher's confidence in the pair that stands; 0 where it has no part in it."""
        pair = self._pair(source)
        return pair.confidence if pair is not None and self.target.index[pair.target] == self.partner(source) else 0.0

    def is_open(self, source: int) -> bool:
        """Whether the key asks for a decision: proposed, ambiguous, or unmatched though a free target is as large."""
        status = self.status(source)
        if status is Status.UNMATCHED:
            return self._free[self.source.tensors[source].numel] > 0
        return status in (Status.PROPOSED, Status.AMBIGUOUS)

    def free_targets(self, numel: int) -> int:
        """How many unmatched targets have this number of elements."""
        return self._free[numel]

    @property
    def source_counts(self) -> dict[Status, int]:
        """How many source keys have each status."""
        return {status: self._source_counts[status] for status in Status}

    @property
    def target_counts(self) -> dict[Status, int]:
        """How many target keys are accepted, proposed, ignored and unmatched."""
        return {status: self._target_counts[status] for status in Status}

    def mapped(self, include_pending: bool) -> Iterator[Mapped]:
        """The pairs in the source's order: accepted and assigned ones, and the pending where asked for."""
        for place, spec in enumerate(self.source.tensors):
            status = self.status(place)
            if status is Status.ACCEPTED or (include_pending and status is Status.PROPOSED):
                settled = self._settled.get(place)
                yield Mapped(
                    spec.key,
                    self.target.tensors[self.partner(place)].key,
                    self.transform(place),
                    status,
                    settled is not None and settled.by_user and status is Status.ACCEPTED,
                )

    @property
    def facts(self) -> Facts:
        """What the user decided, as constraints for the next proposal."""
        keys, targets = self.source.tensors, self.target.tensors
        pairs: dict[str, str] = {}
        refused: set[tuple[str, str]] = set()
        ignored: set[str] = set()
        for place, settled in self._settled.items():
            key = keys[place].key
            if settled.status is Status.ACCEPTED:
                pairs[key] = targets[settled.target].key
            elif settled.status is not None:
                ignored.add(key)
            refused.update((key, targets[t].key) for t in settled.refused)
        return Facts(
            pairs, frozenset(refused), frozenset(ignored), frozenset(targets[t].key for t in self._ignored_targets)
        )

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    @property
    def decided(self) -> int:
        """How many decisions stand, those that were undone not counted."""
        return len(self._done)

    # ---- what changes it

    def propose(self, proposal: Proposal) -> None:
        """Take a new proposal for what is pending; nothing that was decided changes."""
        self.proposal = proposal
        self.version += 1
        index, target_index = self.source.index, self.target.index
        self._wants = {index[p.source]: target_index[p.target] for p in proposal.pairs.values()}
        self._wanted_by = {t: s for s, t in self._wants.items()}
        self._ambiguous = {index[key] for key in proposal.ambiguous}
        self._source_counts = Counter(self.statuses())
        statuses = self.target_statuses()
        self._target_counts = Counter(statuses)
        self._free = Counter(
            spec.numel for spec, status in zip(self.target.tensors, statuses, strict=True) if status is Status.UNMATCHED
        )

    def apply(self, decision: Decision) -> Change:
        """Carry a decision out.

        Raises:
            ValueError: a place that is not in the listing, a target given twice, nothing to undo or redo. Nothing
                has changed then.
        """
        if isinstance(decision, Undo):
            if not self._done:
                raise ValueError("nothing to undo")
            step = self._done.pop()
            self._undone.append(step)
            return self._write(
                {s: old for s, (old, _) in step.sources.items()}, {t: old for t, (old, _) in step.targets.items()}
            )
        if isinstance(decision, Redo):
            if not self._undone:
                raise ValueError("nothing to do again")
            step = self._undone.pop()
            self._done.append(step)
            return self._write(
                {s: new for s, (_, new) in step.sources.items()}, {t: new for t, (_, new) in step.targets.items()}
            )
        sources, targets = self._effect(decision)
        step = _Step(
            {s: (self._settled.get(s), new) for s, new in sources.items()},
            {t: (t in self._ignored_targets, new) for t, new in targets.items()},
        )
        change = self._write(sources, targets)
        self._done.append(step)
        self._undone.clear()
        return change

    def _effect(self, decision: Decision) -> tuple[dict[int, Settled | None], dict[int, bool]]:
        """The new settled values by source place, and the new ignored marks by target place."""
        sources: dict[int, Settled | None] = {}
        targets: dict[int, bool] = {}
        if isinstance(decision, Accept | Assign):
            claimed: dict[int, int] = {}
            for s, t, transform in unfold_pairs(decision.pairs):
                self._check(s, t)
                if t in claimed or s in sources:
                    raise ValueError("a decision names one key twice")
                claimed[t] = s
                refused = self._refused(s) - {t}
                sources[s] = Settled(Status.ACCEPTED, t, transform, isinstance(decision, Assign), refused)
                if t in self._ignored_targets:
                    targets[t] = False
            for t in claimed:
                loser = self._holder.get(t)
                if loser is not None and loser not in sources:
                    refused = self._refused(loser)
                    sources[loser] = Settled(refused=refused) if refused else None
        elif isinstance(decision, Reject):
            for s, t, _ in unfold_pairs(decision.pairs):
                self._check(s, t)
                sources[s] = Settled(Status.REJECTED, refused=self._refused(s) | {t})
        else:
            for s in unfold(decision.sources):  # type: ignore[union-attr]
                self._check(s, 0)
                ignore = isinstance(decision, Ignore)
                sources[s] = Settled(Status.IGNORED, refused=self._refused(s)) if ignore else None
            for t in unfold(decision.targets):  # type: ignore[union-attr]
                self._check(0, t)
                targets[t] = isinstance(decision, Ignore)
                holder = self._holder.get(t)
                if targets[t] and holder is not None and holder not in sources:
                    refused = self._refused(holder)
                    sources[holder] = Settled(refused=refused) if refused else None
        return sources, targets

    def _write(self, sources: dict[int, Settled | None], targets: dict[int, bool]) -> Change:
        self.version += 1
        touched_sources, touched_targets = set(sources), set(targets)
        for s, new in sources.items():
            old = self._settled.get(s)
            for t in (old.target if old else -1, new.target if new else -1, self._wants.get(s, -1)):
                if t >= 0:
                    touched_targets.add(t)
        touched_sources.update(self._wanted_by[t] for t in touched_targets if t in self._wanted_by)
        self._count(touched_sources, touched_targets, -1)
        for s in sources:
            old = self._settled.pop(s, None)
            if old is not None and old.target >= 0:
                del self._holder[old.target]
        for s, new in sources.items():
            if new is not None:
                self._settled[s] = new
                if new.target >= 0:
                    self._holder[new.target] = s
        for t, ignored in targets.items():
            (self._ignored_targets.add if ignored else self._ignored_targets.discard)(t)
        self._count(touched_sources, touched_targets, 1)
        return Change(frozenset(touched_sources), frozenset(touched_targets))

    def _count(self, sources: set[int], targets: set[int], by: int) -> None:
        for s in sources:
            self._source_counts[self.status(s)] += by
        for t in targets:
            status = self.target_status(t)
            self._target_counts[status] += by
            if status is Status.UNMATCHED:
                self._free[self.target.tensors[t].numel] += by

    def _check(self, source: int, target: int) -> None:
        if not (0 <= source < max(1, len(self.source)) and 0 <= target < max(1, len(self.target))):
            raise ValueError(f"no such pair of places: {source}, {target}")

    def _refused(self, source: int) -> frozenset[int]:
        settled = self._settled.get(source)
        return settled.refused if settled is not None else frozenset()

    def _pending(self, source: int) -> int:
        target = self._wants.get(source, -1)
        if target < 0 or target in self._holder or target in self._ignored_targets:
            return -1
        settled = self._settled.get(source)
        if settled is not None and (settled.status is not None or target in settled.refused):
            return -1
        return target

    def _pair(self, source: int) -> Pair | None:
        return self.proposal.pairs.get(self.source.tensors[source].key)
