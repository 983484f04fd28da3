"""Groups: keys that differ only in their numbers, as the one row that stands for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from .listing import Listing, TensorSpec
from .proposal import Proposal

NUMBER = re.compile(r"[0-9](?:(?<![^\W_][0-9])[0-9]{0,8}(?![0-9])|(?<![0-9][0-9])[0-9]{0,8}(?=\.|$))")
"""Digits that count something, at a word's start or a segment's end: ``layer1.conv2``, not ``fp8scale``.

Nobody counts further than nine digits; what is longer is a name. The first digit stands before the conditions
because the engine finds it twice as fast there.
"""
_split = re.compile(f"({NUMBER.pattern})").split  # text, number, text, ..., text


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


def common_name(keys: Iterable[str]) -> str:
    """What all the keys are called together; where their templates differ, the first key and how many more."""
    rows = map(_split, keys)
    first = next(rows)
    texts, columns = first[::2], [{number} for number in first[1::2]]
    alike, count = True, 1
    for row in rows:
        count += 1
        alike = alike and row[::2] == texts
        if alike:
            for numbers, number in zip(columns, row[1::2], strict=True):
                numbers.add(number)
    return _joined(texts, columns) if alike else f"{''.join(first)} … {count - 1} more"


def _joined(texts: Sequence[str], columns: Sequence[set[str]]) -> str:
    """A template's texts with the numbers that occur between them."""
    name = texts[0]
    for numbers, text in zip(columns, texts[1:], strict=True):
        name += next(iter(numbers)) if len(numbers) == 1 else f"{{{ranges(map(int, numbers))}}}"
        name += text
    return name


BothGroups = tuple[Sequence[Group], Sequence[Group]]
"""Those of the source and of the target."""


class SpareSegments:
    """Which segments of groups' names can be left out where there is no room, so that no two of them look alike."""

    MOST = 3000
    """Groups up to which it is worked out; with more of them nothing is spare."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._names = [group.name.split(".") for group in groups]
        self._found: dict[int, tuple[int, ...]] = {}
        self._with: dict[str, int] = {}
        if len(groups) <= self.MOST:
            for n, segments in enumerate(self._names):
                for segment in segments:
                    self._with[segment] = self._with.get(segment, 0) | 1 << n

    def of(self, group: int) -> tuple[int, ...]:
        """The places of the segments of a group's name that may go, those that say least first.

        With all of them gone, the others still occur together in no other name in which all of them do not. The last
        segment and those with numbers stay.
        """
        if group not in self._found:
            self._found[group] = self._work_out(self._names[group]) if self._with else ()
        return self._found[group]

    def _work_out(self, segments: Sequence[str]) -> tuple[int, ...]:
        alike = [self._with[segment] for segment in segments]
        whole = _common(alike)
        left = list(range(len(segments)))
        order = sorted(
            (n for n, segment in enumerate(segments[:-1]) if not any(c.isdigit() for c in segment)),
            key=lambda n: -alike[n].bit_count(),
        )
        gone = []
        for n in order:
            others = [k for k in left if k != n]
            if _common([alike[k] for k in others]) == whole:
                left = others
                gone.append(n)
        return tuple(gone)


def _common(masks: Sequence[int]) -> int:
    found = -1
    for mask in masks:
        found &= mask
    return found


class Grouping:
    """The groups of both sides for one proposal.

    A rule of the proposal makes one group a side; what it leaves over is grouped by template and shape. Groups
    stand in the order of their first keys.

    Args:
        before: source and target groups of another proposal; those that are the same now need no name made again.

    Attributes:
        sources, targets: the groups of each side.
        of_source, of_target: place of a key -> place of its group.
    """

    def __init__(
        self,
        source: Listing,
        target: Listing,
        proposal: Proposal,
        before: BothGroups = ((), ()),
    ) -> None:
        source_roles: dict[str, int] = {}
        target_roles: dict[str, int] = {}
        for n, rule in enumerate(proposal.rules):
            for s, t in rule.pairs():
                source_roles[s] = n
                target_roles[t] = n
        self.sources, self.of_source = group_listing(source, source_roles, before=before[0])
        self.targets, self.of_target = group_listing(target, target_roles, before=before[1])


def group_listing(
    listing: Listing,
    roles: Mapping[str, object] | None = None,
    apart: Callable[[TensorSpec], object] = lambda _: None,
    before: Sequence[Group] = (),
) -> tuple[tuple[Group, ...], list[int]]:
    """The groups of one side, and the place of each key's group.

    Args:
        listing: the keys.
        roles: key -> what the keys of one group have in common, instead of template and shape.
        apart: tensors of which this differs never share a group by template.
        before: groups of the same listing, whose names are taken over where a group has the same keys.
    """
    roles = roles or {}
    members: dict[object, list[int]] = {}
    named: dict[object, tuple[list[str], list[set[str]]]] = {}
    for place, spec in enumerate(listing.tensors):
        role = roles.get(spec.key)
        if role is None:
            parts = _split(spec.key)
            texts, numbers = parts[::2], parts[1::2]
            role = (tuple(texts), spec.shape, apart(spec))
            if role in members:
                # Not kept to the end: the garbage collector would look through the parts of 94,000 keys.
                for seen, number in zip(named[role][1], numbers, strict=True):
                    seen.add(number)
            else:
                named[role] = texts, [{number} for number in numbers]
        members.setdefault(role, []).append(place)
    known = {group.members: group.name for group in before}
    groups: list[Group] = []
    of_key = [0] * len(listing)
    for n, (role, found) in enumerate(members.items()):
        places = tuple(found)
        name = known.get(places)
        if name is None:
            name = _joined(*named[role]) if role in named else common_name(listing.tensors[p].key for p in places)
        groups.append(Group(name, places))
        for place in places:
            of_key[place] = n
    return tuple(groups), of_key
