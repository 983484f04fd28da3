"""What follows from the pairs of a session and is kept up with each decision: the forecast, and where groups go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .proposal import Transform
from .session import Session


class LiveForecast:
    """What ``load_state_dict`` would say if all that is accepted or proposed were written.

    Attributes:
        missing: how many target keys get nothing.
        mismatched: places of the source keys whose target has another shape.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        target = session.target
        self._tie_of = {target.index[key]: first for first, keys in target.ties.items() for key in keys}
        self._held = bytearray(len(target))
        self._tied_held: Counter[str] = Counter()
        self.missing = len(target)
        self.mismatched: set[int] = set()
        self.update(
            (s for s, t in enumerate(session.partners()) if t >= 0),
            (t for t, s in enumerate(session.holders()) if s >= 0),
        )

    def update(self, sources: Iterable[int], targets: Iterable[int]) -> None:
        """Look at these places again."""
        for place in sources:
            self._weigh_shape(place)
        for place in targets:
            self._weigh_target(place)

    def missing_targets(self) -> list[int]:
        """Places of the targets that get nothing, ascending."""
        tied, held = self._tied_held, self._tie_of
        return [
            place
            for place, taken in enumerate(self._held)
            if not taken and not ((first := held.get(place)) is not None and tied[first])
        ]

    def _weigh_target(self, place: int) -> None:
        held = self._session.holder(place) >= 0
        if held == self._held[place]:
            return
        self._held[place] = held
        first = self._tie_of.get(place)
        if first is None:
            self.missing += -1 if held else 1
            return
        # One of several tied targets serves the others: the plan writes them as aliases.
        before = self._tied_held[first]
        self._tied_held[first] += 1 if held else -1
        if (before == 0) != (self._tied_held[first] == 0):
            count = len(self._session.target.ties[first])
            self.missing += -count if held else count

    def _weigh_shape(self, place: int) -> None:
        session = self._session
        partner = session.partner(place)
        wrong = (
            partner >= 0
            and session.transform(place) is Transform.NONE
            and session.source.tensors[place].shape != session.target.tensors[partner].shape
        )
        (self.mismatched.add if wrong else self.mismatched.discard)(place)


class Goals:
    """Which target groups the keys of each source group go to.

    Args:
        of_source, of_target: the group of each place.
    """

    def __init__(self, session: Session, of_source: Sequence[int], of_target: Sequence[int]) -> None:
        self._session = session
        self._of_source, self._of_target = of_source, of_target
        self._goal_of = [of_target[t] if t >= 0 else -1 for t in session.partners()]
        self._counts: dict[int, dict[int, int]] = {}
        for (group, goal), count in Counter(zip(of_source, self._goal_of, strict=True)).items():
            self._counts.setdefault(group, {})[goal] = count

    def _look(self, place: int) -> int:
        partner = self._session.partner(place)
        return self._of_target[partner] if partner >= 0 else -1

    def update(self, sources: Iterable[int]) -> None:
        """Look at these places again."""
        for place in sources:
            old, new = self._goal_of[place], self._look(place)
            if old == new:
                continue
            self._goal_of[place] = new
            counts = self._counts[self._of_source[place]]
            counts[new] = counts.get(new, 0) + 1
            counts[old] -= 1
            if not counts[old]:
                del counts[old]

    def of(self, group: int) -> list[int]:
        """The target groups of a source group, those of most keys first."""
        counts = self._counts[group]
        return sorted((goal for goal in counts if goal >= 0), key=lambda goal: (-counts[goal], goal))
