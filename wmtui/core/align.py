"""Aligning two groups: which of its targets each member gets when a whole group is assigned to another."""

from __future__ import annotations

from collections.abc import Sequence

from .groups import NUMBER
from .listing import Listing
from .plan import transform_between
from .proposal import Transform

Indices = tuple[int, ...]


def align(
    source: Listing,
    sources: Sequence[int],
    target: Listing,
    targets: Sequence[int],
    anchor: tuple[int, int] | None = None,
) -> list[tuple[int, int, Transform]]:
    """Pair the members of a source group with those of a target group, and say what their shapes take.

    As :func:`correspond` says; pairs whose shapes nothing joins are left out.
    """
    pairs: list[tuple[int, int, Transform]] = []
    for s, t in correspond(source, sources, target, targets, anchor):
        transform = transform_between(source.tensors[s].shape, target.tensors[t].shape)
        if transform is not None:
            pairs.append((s, t, transform))
    return pairs


def correspond(
    source: Listing,
    sources: Sequence[int],
    target: Listing,
    targets: Sequence[int],
    anchor: tuple[int, int] | None = None,
) -> list[tuple[int, int]]:
    """Which member of one group belongs to which of the other, by the numbers in their keys.

    Tried in this order: the numbers that vary are equal on both sides; each number of the target follows one of the
    source's, moved by what the anchor shows (``blocks.0`` and ``layers.1``); the order on both sides; the one order
    and the other backwards. The first way that serves the anchor and most members is taken.

    Args:
        anchor: a pair that must come out; else the first of both.
    """
    source_numbers = _numbers(source, sources)
    target_numbers = _numbers(target, targets)
    if anchor is None:
        anchor = (sources[0], targets[0])
        ways = [_by_equality(source_numbers, target_numbers, anchor[0]), _by_order(source_numbers, target_numbers)]
    else:
        ways = [
            _by_equality(source_numbers, target_numbers, anchor[0]),
            _by_offset(source_numbers, target_numbers, anchor),
            _by_order(source_numbers, target_numbers),
            _by_order(source_numbers, target_numbers, backwards=True),
        ]
        ways = [way for way in ways if way.get(anchor[0]) == anchor[1]]
    return sorted(max(ways, key=len, default={anchor[0]: anchor[1]}).items())


def _numbers(listing: Listing, places: Sequence[int]) -> dict[int, Indices]:
    """The numbers in each key, without those columns that are the same in all of them."""
    rows = {place: tuple(map(int, NUMBER.findall(listing.tensors[place].key))) for place in places}
    length = min(map(len, rows.values()))
    varying = [c for c in range(length) if len({row[c] for row in rows.values()}) > 1]
    return {place: tuple(row[c] for c in varying) for place, row in rows.items()}


def _by_equality(source: dict[int, Indices], target: dict[int, Indices], first: int) -> dict[int, int]:
    place_of = {numbers: place for place, numbers in target.items()}
    found: dict[int, int] = {}
    # Keys of several groups may have the same numbers: one of them gets the target.
    for s in (first, *source):
        if s not in found and (t := place_of.pop(source[s], None)) is not None:
            found[s] = t
    return found


def _by_order(source: dict[int, Indices], target: dict[int, Indices], backwards: bool = False) -> dict[int, int]:
    if len(source) != len(target):
        return {}
    here, there = (sorted(side, key=lambda place: (side[place], place)) for side in (source, target))
    return dict(zip(here, reversed(there) if backwards else there, strict=True))


def _by_offset(source: dict[int, Indices], target: dict[int, Indices], anchor: tuple[int, int]) -> dict[int, int]:
    here, there = source.get(anchor[0]), target.get(anchor[1])
    if here is None or there is None:
        return {}
    # For each number of the target: the source's number that it follows, preferably an equal one, and by how much more.
    follows: list[tuple[int, int]] = []
    for n, value in enumerate(there):
        column = next((c for c, v in enumerate(here) if v == value and (c, 0) not in follows), min(n, len(here) - 1))
        if column < 0:
            return {}
        follows.append((column, value - here[column]))
    place_of = {numbers: place for place, numbers in target.items()}
    found: dict[int, int] = {}
    for s, numbers in source.items():
        t = place_of.pop(tuple(numbers[c] + more for c, more in follows), None)
        if t is not None:
            found[s] = t
    return found
