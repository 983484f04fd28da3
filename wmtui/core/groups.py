"""Groups: keys that differ only in their numbers, as the one row that stands for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from .listing import Listing
from .proposal import Proposal

NUMBER = re.compile(r"(?<![^\W\d_])[0-9]+|[0-9]+(?=\.|$)")
"""Digits that count something, at a word's start or a segment's end: ``layer1.conv2``, not ``fp8scale``."""


class Group(msgspec.Struct, frozen=True):
    """Keys of one listing that are decided together.

    Attributes:
        name: the keys' common template with the numbers that occur (``layers.{0-11}.attn.q.weight``), or the only key.
        members: places in the listing, ascending.
    """

    name: str
    members: tuple[int, ...]


def skeleton(key: str) -> str:
    """The key with each number that counts something replaced by a NUL, which no two different templates share."""
    return NUMBER.sub("\0", key)


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in short: ``0-11``, ``0,3,6``, ``0-2,5``; a long irregular list is cut with an ellipsis."""
    ordered = sorted(set(numbers))
    parts: list[str] = []
    start = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] != ordered[i - 1] + 1:
            first, last = ordered[start], ordered[i - 1]
            parts.append(str(first) if first == last else f"{first}-{last}" if last > first + 1 else f"{first},{last}")
            start = i
    if len(parts) > 5:
        parts = [*parts[:3], "…", parts[-1]]
    return ",".join(parts)


def common_name(keys: Sequence[str]) -> str:
    """What all the keys are called together; where their templates differ, the first key and how many more."""
    if len(keys) == 1:
        return keys[0]
    first = NUMBER.split(keys[0])
    columns: list[set[int]] = [set() for _ in first[1:]]
    texts: list[set[str]] = [set() for _ in first[1:]]
    for key in keys:
        if NUMBER.split(key) != first:
            return f"{keys[0]} … {len(keys) - 1} more"
        for column, shown, number in zip(columns, texts, NUMBER.findall(key), strict=True):
            column.add(int(number))
            shown.add(number)
    name = first[0]
    for column, shown, rest in zip(columns, texts, first[1:], strict=True):
        name += (next(iter(shown)) if len(shown) == 1 else f"{{{ranges(column)}}}") + rest
    return name


class Grouping:
    """The groups of both sides for one proposal.

    A rule of the proposal makes one group a side; what it leaves over is grouped by template and shape. Groups
    stand in the order of their first keys.

    Attributes:
        sources, targets: the groups of each side.
        of_source, of_target: place of a key -> place of its group.
    """

    def __init__(self, source: Listing, target: Listing, proposal: Proposal) -> None:
        source_roles: dict[str, int] = {}
        target_roles: dict[str, int] = {}
        for n, rule in enumerate(proposal.rules):
            for s, t in rule.pairs():
                source_roles[s] = n
                target_roles[t] = n
        self.sources, self.of_source = _group(source, source_roles)
        self.targets, self.of_target = _group(target, target_roles)


def _group(listing: Listing, roles: dict[str, int]) -> tuple[tuple[Group, ...], list[int]]:
    members: dict[object, list[int]] = {}
    for place, spec in enumerate(listing.tensors):
        role = roles.get(spec.key)
        name = (skeleton(spec.key), spec.shape) if role is None else role
        members.setdefault(name, []).append(place)
    groups = tuple(
        Group(common_name([listing.tensors[p].key for p in places]), tuple(places)) for places in members.values()
    )
    of_key = [0] * len(listing)
    for n, group in enumerate(groups):
        for place in group.members:
            of_key[place] = n
    return groups, of_key
