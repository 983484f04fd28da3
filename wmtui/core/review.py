"""The review: a session, the rows of its two panes, and what the actions of the screen mean as decisions.

Everything that the screen shows as a number is kept here and changed with each decision, not counted anew.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain, compress

from .align import align, correspond
from .decisions import Accept, Assign, Decision, Ignore, Reject, Reopen, fold, fold_pairs
from .fused import FusedKeys
from .groups import Grouping
from .listing import Listing
from .printable import plural
from .proposal import Candidate, Proposal, Transform
from .session import Change, Session, Status
from .standing import Goals, LiveForecast
from .view import CODE, Look, PaneView

PROPOSED, AMBIGUOUS = CODE[Status.PROPOSED], CODE[Status.AMBIGUOUS]
ACCEPTED, UNMATCHED = CODE[Status.ACCEPTED], CODE[Status.UNMATCHED]
IS_PROPOSED = bytes(code == PROPOSED for code in range(256))
SETTLED_STATUSES = {Status.ACCEPTED, Status.REJECTED, Status.IGNORED}
SETTLED = {CODE[status] for status in SETTLED_STATUSES}
BARS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Where the confidence bar can stand."""


class Refused(ValueError):
    """What was asked for cannot be decided; the text says why, for the user."""


class Scope(StrEnum):
    """What a decision is about."""

    KEY = "key"
    GROUP = "group"
    FILTER = "filter"


def no_proposal() -> Proposal:
    """What stands before the matcher has said anything."""
    return Proposal({}, {}, (), (), lambda *_: ())


class Review:
    """A review in progress.

    Args:
        source, target: the listings.
        proposal: what the matcher says; ``None`` where it has said nothing yet.
        grouping: the groups for it; made where it is not given.

    Attributes:
        session: what is decided and what is proposed.
        sources, targets: the panes.
        fused: which keys look like parts of a tensor on the other side.
        matched: whether a proposal is there.
        bar: where the confidence bar stands, a place of BARS.
        goals: where the keys of each source group go.
    """

    def __init__(
        self, source: Listing, target: Listing, proposal: Proposal | None = None, grouping: Grouping | None = None
    ) -> None:
        self.session = Session(source, target, proposal or no_proposal())
        self.fused = FusedKeys(source, target, self.session.proposal.fusions)
        self.matched = proposal is not None
        self.bar = BARS.index(0.9)
        self._confidence = array("d", bytes(8 * len(source)))
        for pair in self.session.proposal.pairs.values():
            self._confidence[source.index[pair.source]] = pair.confidence
        if grouping is None:
            grouping = Grouping(source, target, self.session.proposal)
        session, by_source, by_target = self.session, grouping.of_source, grouping.of_target
        self.sources = PaneView(source, grouping.sources, by_source, session.statuses(), session.status, self.certainty)
        self.targets = PaneView(
            target,
            grouping.targets,
            by_target,
            session.target_statuses(),
            session.target_status,
            self._target_certainty,
            session.holders,
        )
        self._above_shown: tuple[list[int], tuple[int, int]] | None = None
        self._forecast = LiveForecast(self.session)
        self.goals = Goals(session, by_source, by_target)
        self._count_all()

    @property
    def source(self) -> Listing:
        return self.session.source

    @property
    def target(self) -> Listing:
        return self.session.target

    # ---- what changes it

    @property
    def looks(self) -> tuple[Look, Look, int]:
        """What another review of the same sides needs to show the same: searches, orders, open groups, and the bar."""
        return self.sources.look, self.targets.look, self.bar

    def follow(self, looks: tuple[Look, Look, int]) -> None:
        """Show what another review of the same sides shows, see `looks`."""
        source, target, bar = looks
        self.sources.follow(source)
        self.targets.follow(target)
        if bar != self.bar:
            self.bar = bar
            self._count_above()

    def apply(self, decision: Decision) -> Change:
        """Carry a decision out, see :meth:`Session.apply`."""
        change = self.session.apply(decision)
        self._above_shown = None
        tensors, bar, of_key = self.source.tensors, BARS[self.bar], self.sources.of_key
        for place, old, new in self.sources.update(change.sources):
            self._least.pop(of_key[place], None)
            self._unmatched[tensors[place].numel] += (new == UNMATCHED) - (old == UNMATCHED)
            if self._confidence[place] >= bar:
                self._above[of_key[place]] += (new == PROPOSED) - (old == PROPOSED)
        self.targets.update(change.targets)
        self._forecast.update(change.sources, change.targets)
        self.goals.update(change.sources)
        return change

    def move_bar(self, by: int) -> None:
        """Move the confidence bar."""
        self.bar = min(max(self.bar + by, 0), len(BARS) - 1)
        self._count_above()

    def _count_all(self) -> None:
        self._least: dict[int, float] = {}
        tensors = self.source.tensors
        self._unmatched = Counter(
            tensors[place].numel for place, code in enumerate(self.sources.codes) if code == UNMATCHED
        )
        self._count_above()

    def _count_above(self) -> None:
        self._above_shown = None
        bar, proposed = BARS[self.bar], self.sources.codes.translate(IS_PROPOSED)
        pairs = compress(zip(self.sources.of_key, self._confidence, strict=True), proposed)
        self._above = Counter(group for group, confidence in pairs if confidence >= bar)

    # ---- what stands

    @property
    def missing(self) -> int:
        """How many target keys would get nothing if all that is accepted or proposed were written."""
        return self._forecast.missing

    @property
    def mismatched(self) -> int:
        """How many keys would then go to a target of another shape."""
        return len(self._forecast.mismatched)

    def missing_targets(self) -> list[int]:
        """Places of the target keys that would get nothing, ascending."""
        return self._forecast.missing_targets()

    def mismatched_sources(self) -> list[int]:
        """Places of the source keys that would go to a target of another shape, ascending."""
        return sorted(self._forecast.mismatched)

    def certainty(self, place: int) -> float:
        """For sorting: ambiguous keys first, unmatched ones, proposals by confidence, then what is decided."""
        code = self.sources.codes[place]
        if code == PROPOSED:
            return self._confidence[place]
        return -1.0 if code == AMBIGUOUS else -0.5 if code == UNMATCHED else 2.0

    def row_confidence(self, row: int) -> float:
        """The least confidence of a row's proposed keys; 0 without one."""
        if row >= 0:
            return self._confidence[row]
        group = -1 - row
        if group not in self._least:
            codes, confidence = self.sources.codes, self._confidence
            members = self.sources.groups[group].members
            self._least[group] = min((confidence[p] for p in members if codes[p] == PROPOSED), default=0.0)
        return self._least[group]

    def _target_certainty(self, place: int) -> float:
        holder = self.session.holder(place)
        return self.certainty(holder) if holder >= 0 else -0.5

    def is_open(self, place: int) -> bool:
        """Whether a source key asks for a decision, see :meth:`Session.is_open`."""
        code = self.sources.codes[place]
        return code in (PROPOSED, AMBIGUOUS) or (code == UNMATCHED and self.session.is_open(place))

    @property
    def open_keys(self) -> int:
        """How many source keys ask for a decision."""
        counts = self.session.source_counts
        free = self.session.free_targets
        unmatched = sum(n for numel, n in self._unmatched.items() if n and free(numel))
        return counts[Status.PROPOSED] + counts[Status.AMBIGUOUS] + unmatched

    @property
    def decided_keys(self) -> int:
        """How many source keys are accepted, rejected or ignored."""
        counts = self.session.source_counts
        return sum(counts[status] for status in SETTLED_STATUSES)

    @property
    def loads(self) -> bool:
        """Whether ``load_state_dict`` would take what is accepted or proposed."""
        return not self.missing and not self.mismatched

    def above(self) -> tuple[int, int]:
        """How many groups and how many keys the bar would accept, of those that the filter shows."""
        view = self.sources
        if view.facet not in (None, Status.PROPOSED):
            return 0, 0
        if view.text:
            if self._above_shown is None or self._above_shown[0] is not view.rows:
                places = self.above_places()
                self._above_shown = (view.rows, (len({view.of_key[place] for place in places}), len(places)))
            return self._above_shown[1]
        counts = [n for n in self._above.values() if n]
        return len(counts), sum(counts)

    def below(self) -> tuple[int, float]:
        """How many proposed keys that the filter shows are below the bar, and the confidence of the surest of them."""
        bar, view, confidence = BARS[self.bar], self.sources, self._confidence
        proposed: Iterable[float] = compress(confidence, view.codes.translate(IS_PROPOSED))
        if view.filtered:
            proposed = (confidence[place] for place in view.shown_places() if view.codes[place] == PROPOSED)
        left = [share for share in proposed if share < bar]
        return len(left), max(left, default=0.0)

    def above_places(self) -> list[int]:
        """The proposed source keys at or above the bar that the filter shows."""
        bar, codes, confidence = BARS[self.bar], self.sources.codes, self._confidence
        return [p for p in self.sources.shown_places() if codes[p] == PROPOSED and confidence[p] >= bar]

    def next_open(self, at: int, step: int = 1) -> int:
        """The next row of the source pane after ``at`` with an open key, round the end; -1 without one."""
        rows, codes, members = self.sources.rows, self.sources.codes, self.sources.members
        count = len(rows)
        for n in range(1, count + 1):
            where = (at + step * n) % count
            row = rows[where]
            if row >= 0:
                if codes[row] in SETTLED or not self.is_open(row):
                    continue
                return where
            if self.sources.group_counts(-1 - row).keys() <= SETTLED_STATUSES:
                continue
            if any(map(self.is_open, members(row))):
                return where
        return -1

    def scoped(self, scope: Scope, row: int) -> Sequence[int]:
        """The source keys that a decision is about, the row of the cursor given."""
        if scope is Scope.FILTER:
            return self.sources.shown_places()
        if scope is Scope.GROUP and row >= 0:
            return self.sources.members(-1 - self.sources.group_of(row)) if self._is_shared(row) else (row,)
        return self.sources.members(row)

    def _is_shared(self, row: int) -> bool:
        return len(self.sources.groups[self.sources.group_of(row)].members) > 1

    def leader(self, places: Sequence[int]) -> int:
        """The key that speaks for several: the first that is open, else the first."""
        return next(filter(self.is_open, places), places[0])

    def candidates(self, place: int, limit: int = 9) -> tuple[Candidate, ...]:
        """Ranked targets for a source key; empty before the matcher is done."""
        return self.session.proposal.candidates(self.source.tensors[place].key, limit) if self.matched else ()

    # ---- what actions mean

    def accept(self, places: Iterable[int]) -> Accept:
        """The proposed pairs of these keys are right."""
        codes, session = self.sources.codes, self.session
        pairs = [(p, session.partner(p), session.transform(p)) for p in places if codes[p] == PROPOSED]
        if not pairs:
            raise Refused(self._why_not_proposed(places))
        return Accept(fold_pairs(pairs))

    def _why_not_proposed(self, places: Iterable[int]) -> str:
        codes = {self.sources.codes[place] for place in places}
        if not self.matched:
            return "the matcher has not proposed anything yet"
        if AMBIGUOUS in codes:
            return "several targets fit equally well: choose one with 1-9"
        if ACCEPTED in codes:
            return "accepted already"
        return "nothing is proposed here: choose a candidate with 1-9 or search one with r"

    def reject(self, places: Iterable[int]) -> Reject:
        """The pairs of these keys are wrong."""
        session = self.session
        pairs = [(p, t, session.transform(p)) for p in places if (t := session.partner(p)) >= 0]
        if not pairs:
            raise Refused("there is no pair to reject: i ignores a key")
        return Reject(fold_pairs(pairs))

    def ignore(self, sources: Iterable[int] = (), targets: Iterable[int] = ()) -> Ignore:
        """These keys are left out."""
        decision = Ignore(
            fold(p for p in sources if self.session.status(p) is not Status.IGNORED),
            fold(t for t in targets if self.session.target_status(t) is not Status.IGNORED),
        )
        if not decision.sources and not decision.targets:
            raise Refused("ignored already")
        return decision

    def reopen(self, sources: Iterable[int] = (), targets: Iterable[int] = ()) -> Reopen:
        """Forget what was decided about these keys."""
        decision = Reopen(
            fold(p for p in sources if self.session.settled(p) is not None),
            fold(t for t in targets if self.session.target_status(t) is Status.IGNORED),
        )
        if not decision.sources and not decision.targets:
            raise Refused("nothing is decided here")
        return decision

    def assign(self, places: Sequence[int], target: int, lead: int | None = None) -> Accept | Assign:
        """Give these keys the target, or where they are several, the members of the target's group that belong to them.

        Args:
            lead: the key that gets exactly ``target``.
        """
        lead = self.leader(places) if lead is None else lead
        group = self.targets.groups[self.targets.of_key[target]].members if len(places) > 1 else (target,)
        pairs = align(self.source, places, self.target, group, (lead, target))
        if not any(s == lead for s, _, _ in pairs):
            raise Refused("the shapes hold different numbers of elements")
        return self._settle(pairs)

    def assign_group(self, places: Sequence[int], targets: Sequence[int]) -> Accept | Assign:
        """Give these keys the targets that belong to them."""
        pairs = align(self.source, places, self.target, targets)
        if not pairs:
            raise Refused("no shape of the one fits one of the other")
        return self._settle(pairs)

    def _settle(self, pairs: list[tuple[int, int, Transform]]) -> Accept | Assign:
        session = self.session
        if all(session.status(s) is Status.ACCEPTED and session.partner(s) == t for s, t, _ in pairs):
            raise Refused("accepted already")
        pending = all(session.status(s) is Status.PROPOSED and session.partner(s) == t for s, t, _ in pairs)
        return (Accept if pending else Assign)(fold_pairs(pairs))

    def swap(self, one: Sequence[int], other: Sequence[int]) -> Assign:
        """Exchange the targets of two keys, or of two groups member by member."""
        if set(one) & set(other):
            raise Refused("choose two different keys or groups to swap")
        if len(one) != len(other):
            raise Refused(f"{plural(len(one), 'key')} cannot be swapped with {len(other):,}")
        partner, tensors = self.session.partner, self.source.tensors
        swapped: list[tuple[int, int, Transform]] = []
        for a, b in correspond(self.source, one, self.source, other):
            if partner(a) < 0 or partner(b) < 0:
                raise Refused("both must have a target to swap")
            for s, t in ((a, partner(b)), (b, partner(a))):
                pairs = align(self.source, (s,), self.target, (t,))
                if not pairs:
                    raise Refused(f"the shape of {tensors[s].key} does not fit the other's target")
                swapped += pairs
        if len(swapped) != 2 * len(one):
            raise Refused("the numbers in the keys of the two do not correspond")
        return Assign(fold_pairs(swapped))

    def swap_with_holder(self, place: int, target: int) -> Assign:
        """Give a key a target that another one has, and that one this key's."""
        holder = self.session.holder(target)
        if holder < 0 or holder == place:
            raise Refused("nobody else has that target")
        return self.swap((place,), (holder,))

    def affected(self, decision: Decision) -> int:
        """How many source and target keys a decision is about."""
        if isinstance(decision, Accept | Assign | Reject):
            return sum(run.length for run in decision.pairs)
        if isinstance(decision, Ignore | Reopen):
            return sum(run.length for run in chain(decision.sources, decision.targets))
        return 0
