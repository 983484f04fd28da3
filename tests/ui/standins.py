"""Stand-ins for the outside world of the review app: a small matcher, a journal in memory, a save port that notes."""

from __future__ import annotations

from collections.abc import Iterable

from wmtui.core.decisions import Decision
from wmtui.core.forecast import forecast
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.match_options import MatchOptions
from wmtui.core.plan import make_plan, transform_between
from wmtui.core.ports import CancelledCall, Progress, ProgressCall, Saved, SavePreview, SaveRequest, SideName
from wmtui.core.proposal import Candidate, Evidence, Facts, Pair, Proposal, Rule, Score, Transform
from wmtui.core.session import Session
from wmtui.core.side import Side, SideSpec
from wmtui.core.tensor_stats import TensorStats
from wmtui.errors import Cancelled, WmtuiError


def listing(name: str, *keys: str, shape: tuple[int, ...] = (4,)) -> Listing:
    """Tensors of one shape; ``key:2x3`` gives one of its own."""
    specs = []
    for key in keys:
        text, _, size = key.rpartition(":") if ":" in key else (key, "", "")
        own = tuple(int(n) for n in size.split("x")) if size else shape
        specs.append(TensorSpec(text, own, nbytes=4))
    return Listing(name, specs)


def side(of: Listing) -> Side:
    return Side(SideSpec(of.name), of, "stand-in")


class SuffixMatch:
    """Pairs keys of equal shape whose last segments agree most; equally good ones are ambiguous."""

    def __init__(self, source: Listing, target: Listing) -> None:
        self.source, self.target = source, target
        self.calls: list[Facts] = []
        self.options = MatchOptions()

    def tune(self, options: MatchOptions) -> None:
        self.options = options

    def __call__(self, facts: Facts, progress: ProgressCall, cancelled: CancelledCall) -> Proposal:
        self.calls.append(facts)
        progress(Progress("comparing", 1, 2))
        if cancelled():
            raise Cancelled("stopped")
        pairs: dict[str, Pair] = {}
        ambiguous: dict[str, tuple[str, ...]] = {}
        taken = set(facts.pairs.values()) | set(facts.ignored_targets)
        for spec in self.source:
            if spec.key in facts.pairs:
                key = facts.pairs[spec.key]
                pairs[spec.key] = Pair(
                    spec.key, key, 1.0, transform_between(spec.shape, self.target[key].shape) or Transform.NONE
                )
                continue
            if spec.key in facts.ignored_sources:
                continue
            free = [
                c for c in self.rank(spec.key) if c.target not in taken and (spec.key, c.target) not in facts.refused
            ]
            if free and free[0].support > 0:
                if len(free) > 1 and free[1].support == free[0].support:
                    ambiguous[spec.key] = tuple(c.target for c in free if c.support == free[0].support)
                else:
                    pairs[spec.key] = Pair(spec.key, free[0].target, free[0].confidence, free[0].transform)
                    taken.add(free[0].target)
        return Proposal(pairs, ambiguous, (), _rules(pairs), lambda key, limit: self.rank(key)[:limit])

    def rank(self, key: str) -> tuple[Candidate, ...]:
        spec = self.source[key]
        found = []
        for other in self.target:
            transform = transform_between(spec.shape, other.shape)
            if transform is None:
                continue
            same = _common_end(key.split("."), other.key.split("."))
            share = same / max(key.count(".") + 1, 1)
            confidence = min(1.0, 0.3 + 0.7 * share) if same else 0.1
            score = Score(0.5 + share / 2, 1.0, share, share)
            evidence = (Evidence("name", f"the last {same} segments agree", share - 0.2),)
            found.append(Candidate(key, other.key, score, confidence, transform, float(same), evidence))
        return tuple(sorted(found, key=lambda c: -c.support))


def _common_end(one: list[str], other: list[str]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def _rules(pairs: dict[str, Pair]) -> tuple[Rule, ...]:
    del pairs
    return ()


class MemoryJournal:
    """Keeps decisions; raises ``broken`` while it is set."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.broken: WmtuiError | None = None
        self.afresh = self.taken_over = 0

    def append(self, decision: Decision) -> None:
        self.decisions.append(decision)
        if self.broken is not None:
            raise self.broken

    def take_over(self) -> None:
        self.taken_over += 1
        if self.broken is not None:
            raise self.broken

    def start_afresh(self) -> None:
        self.afresh += 1
        self.decisions.clear()


class NotingSave:
    """Previews truly, and notes what it was asked to write."""

    def __init__(self, exists: Iterable[str] = ()) -> None:
        self.exists = set(exists)
        self.saved: list[tuple[SaveRequest, dict[str, str]]] = []

    def suggest(self) -> SaveRequest:
        return SaveRequest("mapping.json", "report.json", "renamed.safetensors")

    def preview(self, request: SaveRequest, session: Session) -> SavePreview:
        pairs = [(m.source, m.target, m.transform) for m in session.mapped(request.include_pending)]
        plan = make_plan(session.source, pairs, unmapped=request.unmapped, target=session.target)
        paths = [request.mapping_path, request.report_path, request.checkpoint_path]
        kinds = ("mapping", "report", "checkpoint")
        outputs = tuple(Saved(kind, path, 1234) for kind, path in zip(kinds, paths, strict=True) if path)
        problems = () if request.force else tuple(f"{path} is there already" for path in paths if path in self.exists)
        said = forecast(plan, session.source, session.target)
        return SavePreview(outputs, problems, len(pairs), 0, len(plan.aliases), len(plan.kept), len(plan.dropped), said)

    def save(
        self, request: SaveRequest, session: Session, progress: ProgressCall, cancelled: CancelledCall
    ) -> tuple[Saved, ...]:
        progress(Progress("writing the checkpoint", 1, 2))
        if cancelled():
            raise Cancelled("stopped")
        mapping = {m.source: m.target for m in session.mapped(request.include_pending)}
        self.saved.append((request, mapping))
        return self.preview(request, session).outputs


class NoValues:
    """Sides without values."""

    def stats(self, side: SideName, key: str) -> TensorStats | None:
        return None

    def equal(self, source: str, target: str) -> bool | None:
        return None


def no_command(session: Session) -> str:
    return f"wmtui map {session.source.name} {session.target.name}"
