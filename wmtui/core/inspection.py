"""What an inspection says of a listing as a whole: totals, ties, and its table of groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from .groups import group_listing
from .listing import Listing, TensorSpec
from .table import TemplateTable


class Total(msgspec.Struct, frozen=True):
    """Tensors that have something in common.

    Attributes:
        name: what that is.
        tensors: how many they are.
        numel: their elements, tied tensors counted once.
        nbytes: their bytes, tied tensors counted once, unknown ones as none.
    """

    name: str
    tensors: int
    numel: int
    nbytes: int


def inspection_table(listing: Listing) -> TemplateTable:
    """The rows of an inspection: groups by template, shape and dtype."""
    groups, of_key = group_listing(listing, apart=lambda spec: spec.dtype)
    return TemplateTable(listing, groups, of_key)


def whole(listing: Listing) -> Total:
    """The total of all tensors."""
    return next(iter(totals(listing, lambda _: listing.name)), Total(listing.name, 0, 0, 0))


def totals(tensors: Iterable[TensorSpec], name: Callable[[TensorSpec], str]) -> tuple[Total, ...]:
    """Totals by name, the largest first; equal ones in the order of their first tensors."""
    sums: dict[str, list[int]] = {}
    for spec in tensors:
        found = sums.setdefault(name(spec), [0, 0, 0])
        found[0] += 1
        if spec.shares is None:
            found[1] += spec.numel
            found[2] += spec.nbytes or 0
    made = [Total(name, *found) for name, found in sums.items()]
    return tuple(sorted(made, key=lambda t: (-t.nbytes, -t.numel)))


def totals_by_dtype(tensors: Iterable[TensorSpec]) -> tuple[Total, ...]:
    """Totals by dtype."""
    return totals(tensors, lambda spec: spec.dtype)


def totals_by_module(listing: Listing) -> tuple[Total, ...]:
    """Totals by module, at the first depth where there is more than one."""
    deepest = max((spec.key.count(".") for spec in listing), default=0)
    for depth in range(1, deepest + 1):
        found = totals(listing, lambda spec: ".".join(spec.key.split(".", depth)[:depth]))  # noqa: B023
        if len(found) > 1:
            return found
    return totals(listing, lambda spec: spec.key)


def ties(listing: Listing) -> tuple[tuple[str, ...], ...]:
    """Tied tensors: the keys of each storage that several have."""
    return tuple(listing.ties.values())
