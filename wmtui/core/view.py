"""What a pane of the review shows: the rows of its side, by status, with counts that stay true."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .groups import Group
from .listing import Listing
from .session import Status
from .table import GroupTable, Order

STATUSES = tuple(Status)
CODE = {status: code for code, status in enumerate(STATUSES)}
_WIDTH = len(STATUSES)
ORDERS = (Order.FILE, Order.CERTAINTY, Order.NAME, Order.SIZE)
FEW = 16
"""Changes up to which rows are taken out one by one."""


class Look(NamedTuple):
    """What a user made of a pane: search, order, status, and the keys of each group that is open."""

    text: str
    order: Order
    facet: Status | None
    opened: frozenset[tuple[int, ...]]


class PaneView(GroupTable):
    """The rows of one side of a review.

    Args:
        listing: the side's tensors.
        groups: its groups, and the group of each place.
        of_key: likewise.
        statuses: the statuses of all places as they are now.
        status_of: the status of a place.
        certainty: how sure the pair of a place is, for the order of rows; asked when they are sorted.
        holders: of the target side, the source places that its places are given to, -1 without one. Its rows begin in
            the order of the source, so that partners stand side by side.

    Attributes:
        orders: in which its rows can be sorted, the first one first.
        facet: the only status that is shown; ``None`` for all of them.
        codes: the status of each place, as its place in STATUSES.
    """

    def __init__(
        self,
        listing: Listing,
        groups: Sequence[Group],
        of_key: Sequence[int],
        statuses: Iterable[Status],
        status_of: Callable[[int], Status],
        certainty: Callable[[int], float],
        holders: Callable[[], Sequence[int]] | None = None,
    ) -> None:
        self._status_of = status_of
        self._certainty = certainty
        self._holders = holders
        self.orders = ORDERS if holders is None else (Order.BESIDE, *ORDERS)
        self.facet: Status | None = None
        super().__init__(listing, groups, of_key)
        self._count(statuses)
        if holders is not None:
            self.sort(Order.BESIDE)

    # ---- what changes it

    def follow(self, look: Look) -> None:
        """Search, sort and filter as a view of the same listing looked; open the groups that were open there."""
        if look == self.look:
            return
        if look.opened:
            self.expanded = {g for g, group in enumerate(self.groups) if group.members in look.opened}
        if look.order is not self.order:
            self.order, self._sorted_groups = look.order, None
        self.text = look.text
        self.choose_facet(look.facet)

    def _count(self, statuses: Iterable[Status]) -> None:
        self.codes = bytearray(map(CODE.__getitem__, statuses))
        self._counts = array("l", bytes(array("l").itemsize * _WIDTH * len(self.groups)))
        for (group, code), count in Counter(zip(self.of_key, self.codes, strict=True)).items():
            self._counts[group * _WIDTH + code] = count
        self._groups_with = [sum(1 for count in self._counts[code::_WIDTH] if count) for code in range(_WIDTH)]

    def update(self, places: Iterable[int]) -> list[tuple[int, int, int]]:
        """Look at the statuses of these places again; the rows change where a facet is chosen.

        Returns:
            (place, old code, new code) of those that changed.
        """
        changed: list[tuple[int, int, int]] = []
        counts = self._counts
        for place in places:
            new = CODE[self._status_of(place)]
            old = self.codes[place]
            if new == old:
                continue
            changed.append((place, old, new))
            self.codes[place] = new
            at = self.of_key[place] * _WIDTH
            counts[at + old] -= 1
            self._groups_with[old] -= counts[at + old] == 0
            counts[at + new] += 1
            self._groups_with[new] += counts[at + new] == 1
        if changed and self.facet is not None:
            shown = CODE[self.facet]
            if (
                len(changed) <= FEW
                and self._shown is not None
                and not self.text
                and all(old == shown for _, old, _ in changed)
            ):
                self.drop(place for place, _, _ in changed)
            elif any(shown in (old, new) for _, old, new in changed):
                self.refresh()
        return changed

    def choose_facet(self, facet: Status | None) -> None:
        """Show only keys with this status, or all."""
        self.facet = facet
        self.choose(None if facet is None else CODE[facet])

    # ---- what stands

    @property
    def look(self) -> Look:
        """What another view of the same listing needs to be looked at in the same way."""
        return Look(self.text, self.order, self.facet, frozenset(self.groups[g].members for g in self.expanded))

    def group_counts(self, group: int) -> dict[Status, int]:
        """How many keys of a group have each status, without those that none has."""
        at = group * _WIDTH
        return {status: n for status, n in zip(STATUSES, self._counts[at : at + _WIDTH], strict=True) if n}

    def facet_counts(self) -> dict[Status, int]:
        """How many groups hold a key of each status."""
        return dict(zip(STATUSES, self._groups_with, strict=True))

    # ---- rows

    def _with_code(self, group: int, places: list[int], code: int) -> list[int]:
        # Most groups have one status: their keys need not be looked at.
        count = self._counts[group * _WIDTH + code]
        if count == len(self.groups[group].members):
            return places
        return super()._with_code(group, places, code) if count else []

    def _value(self) -> Callable[[int], float | str]:
        if self.order is Order.BESIDE and self._holders is not None:
            return _beside(self._holders()).__getitem__
        return self._certainty if self.order is Order.CERTAINTY else super()._value()


def _beside(holders: Iterable[int]) -> list[float]:
    """Where places stand in the order of the source; those without a holder follow the one before them."""
    places: list[float] = []
    last = -1
    for holder in holders:
        places.append(holder if holder >= 0 else last + 0.5)
        last = holder if holder >= 0 else last
    return places
