"""The rows of a listing: groups and keys, searched and sorted.

Rows are plain integers, so that 94,000 of them cost nothing to keep: a key's row is its place in the listing, the row
of group ``g`` is ``-1 - g``. A group of one key has no row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from itertools import chain

from .groups import Group, SpareSegments
from .listing import Listing
from .search import Query, TemplateFinder, natural


class Order(StrEnum):
    """How rows are sorted."""

    FILE = "file order"
    BESIDE = "beside the source"
    CERTAINTY = "least certain first"
    NAME = "name"
    SIZE = "size"
    DTYPE = "dtype"


class GroupTable:
    """The rows of one listing.

    Args:
        listing: the tensors.
        groups: their groups; the keys of one differ in their numbers only.
        of_key: the group of each place.

    Attributes:
        rows: what is shown, see the module.
        expanded: groups whose keys are shown below them.
        codes: a byte for each place, by which it can be chosen.
        order, text, only: what chooses the rows; ``only`` is a code, ``None`` for all of them.
    """

    LOOSE = UNIFORM = False
    """How searches work, see :class:`TemplateFinder`."""

    def __init__(self, listing: Listing, groups: Sequence[Group], of_key: Sequence[int]) -> None:
        self.listing = listing
        self.groups = groups
        self.of_key = of_key
        self.expanded: set[int] = set()
        self.order = Order.FILE
        self.text = ""
        self.only: int | None = None
        self.codes = bytearray(len(listing))
        self.rows: list[int] = []
        self._finder = TemplateFinder(listing.tensors, groups, loose=self.LOOSE, uniform=self.UNIFORM)
        self._shapes: dict[int, tuple[int, ...] | None] = {}
        self._sorted_groups: list[int] | None = None
        self._shown: dict[int, list[int]] | None = None
        self._spare: SpareSegments | None = None
        self.refresh()

    # ---- what changes it

    def search(self, text: str) -> None:
        """Show only what the text finds, see :class:`Query`."""
        if text != self.text:
            self.text = text
            self.refresh()

    def choose(self, only: int | None) -> None:
        """Show only places with this code, or all."""
        self.only = only
        self.refresh()

    def sort(self, order: Order) -> None:
        """Sort the rows anew, also where the order is the same and what it goes by has changed."""
        self.order = order
        self._sorted_groups = None
        self.refresh()

    def toggle(self, group: int, expand: bool | None = None) -> None:
        """Show or hide the keys of a group."""
        if expand is None:
            expand = group not in self.expanded
        (self.expanded.add if expand else self.expanded.discard)(group)
        self.refresh()

    def expand_all(self, expand: bool) -> None:
        """Show or hide the keys of all groups."""
        self.expanded = {g for g, group in enumerate(self.groups) if len(group.members) > 1} if expand else set()
        self.refresh()

    # ---- what stands

    @property
    def filtered(self) -> bool:
        """Whether something is left out."""
        return self.only is not None or bool(Query.parse(self.text))

    def members(self, row: int) -> Sequence[int]:
        """The places that a row stands for: those of a group that the filter shows, or the one of a key."""
        if row >= 0:
            return (row,)
        group = -1 - row
        return self._shown[group] if self._shown is not None else self.groups[group].members

    def group_of(self, row: int) -> int:
        """The group that a row shows or belongs to."""
        return self.of_key[row] if row >= 0 else -1 - row

    def shown_places(self) -> list[int]:
        """All places that the filter shows, ascending."""
        if not self.filtered:
            return list(range(len(self.listing)))
        shown = self._matching_groups() if self._shown is None else self._shown
        return sorted(chain.from_iterable(shown.values()))

    @property
    def shown_groups(self) -> int:
        """How many groups the filter shows."""
        return len(self.groups) if self._shown is None else len(self._shown)

    def group_shape(self, group: int) -> tuple[int, ...] | None:
        """The shape of a group's keys, ``None`` where they have several."""
        if group not in self._shapes:
            shapes = {self.listing.tensors[place].shape for place in self.groups[group].members}
            self._shapes[group] = shapes.pop() if len(shapes) == 1 else None
        return self._shapes[group]

    def spare(self, group: int) -> tuple[int, ...]:
        """The segments of the names of a group and of its keys that say least, see :class:`SpareSegments`."""
        if self._spare is None:
            self._spare = SpareSegments(self.groups)
        return self._spare.of(group)

    def next_of(self, places: Collection[int], at: int) -> int:
        """The next row after ``at`` that stands for one of some places, round the end; -1 without one.

        A closed group that holds others too is opened, so that the row is that of one of the places.
        """
        count = len(self.rows)
        for n in range(1, count + 1):
            row = self.rows[(at + n) % count]
            if row < 0 and -1 - row in self.expanded:
                continue
            members = self.members(row)
            found = next((place for place in members if place in places), -1)
            if found < 0:
                continue
            if not all(place in places for place in members):
                self.toggle(-1 - row, True)
                return self.rows.index(found)
            return (at + n) % count
        return -1

    def row_of(self, place: int, whole: bool = False) -> int:
        """Where the row of a key stands, or that of its group; -1 where the filter leaves it out.

        Args:
            whole: the group's row is wanted, also where its keys have rows of their own.
        """
        group = self.of_key[place]
        single = len(self.groups[group].members) == 1
        own = group in self.expanded and not whole
        for row in (place,) if single else (place, -1 - group) if own else (-1 - group,):
            try:
                return self.rows.index(row)
            except ValueError:
                continue
        return -1

    # ---- rows

    def refresh(self) -> None:
        """Make the rows anew."""
        if self._sorted_groups is None:
            self._sorted_groups = self._sort_groups()
        shown: dict[int, list[int]] | None = None
        if self.filtered:
            shown = self._matching_groups()
        self._shown = shown
        groups = self.groups
        rows: list[int] = []
        for g in self._sorted_groups:
            if shown is not None and g not in shown:
                continue
            whole = groups[g].members
            if len(whole) == 1:
                rows.append(whole[0])
                continue
            rows.append(-1 - g)
            if g in self.expanded:
                rows += self._sort_members(whole if shown is None else shown[g])
        self.rows = rows

    def drop(self, places: Iterable[int]) -> None:
        """Take a few places that a filter shows out of the rows; cheaper than making the rows anew."""
        shown, rows = self._shown, self.rows
        if shown is None:
            return
        for place in places:
            group = self.of_key[place]
            left = shown[group]
            left.remove(place)
            single = len(self.groups[group].members) == 1
            if single or group in self.expanded:
                rows.remove(place)
            if not left:
                del shown[group]
                if not single:
                    rows.remove(-1 - group)

    def _matching_groups(self) -> dict[int, list[int]]:
        found = self._finder.find(self.text)
        if self.only is None:
            return found
        chosen = {g: self._with_code(g, places, self.only) for g, places in found.items()}
        return {g: places for g, places in chosen.items() if places}

    def _with_code(self, group: int, places: list[int], code: int) -> list[int]:  # noqa: ARG002
        codes = self.codes
        return [place for place in places if codes[place] == code]

    def _sort_groups(self) -> list[int]:
        order = list(range(len(self.groups)))
        if self.order is Order.NAME:
            order.sort(key=lambda g: natural(self.groups[g].name))
        elif self.order is Order.SIZE:
            order.sort(key=lambda g: -sum(map(self._size, self.groups[g].members)))
        elif self.order is not Order.FILE:
            value = self._value()
            order.sort(key=lambda g: min(map(value, self.groups[g].members)))
        return order

    def _sort_members(self, places: Sequence[int]) -> Sequence[int]:
        if self.order is Order.NAME:
            return sorted(places, key=lambda place: natural(self.listing.tensors[place].key))
        if self.order is Order.SIZE:
            return sorted(places, key=self._size, reverse=True)
        return places if self.order is Order.FILE else sorted(places, key=self._value())

    def _size(self, place: int) -> int:
        spec = self.listing.tensors[place]
        return spec.numel if spec.nbytes is None else spec.nbytes

    def _value(self) -> Callable[[int], float | str]:
        """What the present order, if it is neither file order nor name nor size, sorts places by."""
        return lambda place: self.listing.tensors[place].dtype


class TemplateTable(GroupTable):
    """The rows of a listing that is grouped by template, shape and dtype: searches may be loose."""

    LOOSE = UNIFORM = True

    @property
    def shown_count(self) -> int:
        """How many tensors the filter shows."""
        return len(self.listing) if self._shown is None else sum(map(len, self._shown.values()))
