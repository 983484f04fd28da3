"""Roles: what all instances of a block family decide together, and what that lends to each of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmtui.core.matching.blocks.assignment import assign, margins

Floats = NDArray[np.float64]
Family = tuple[str, str]

_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)$", re.DOTALL)

_FULL_MARGIN = 0.12
_TRANSFER = 0.8
_MOST_CELLS = 1_000_000
DECIDED = 3.0
"""Role evidence where the user decided; 1 is the most that votes give."""

_DECIDED_MARGIN = 30.0


class Record(NamedTuple):
    """The support inside one pair of structures, by relative paths, and how often that pair stands in the listings."""

    family: Family
    paths_a: Sequence[str]
    paths_b: Sequence[str]
    weights: Floats
    times: int


def _list_of(path: str) -> str:
    """The path without its last number, the list that it is numbered in; empty where it has none."""
    found = _LAST_NUMBER.match(path)
    return f"{found[1]}#{found[3]}" if found else ""


class Roles:
    """Joint decisions by family, and by relative path for families of other names."""

    def __init__(self) -> None:
        self._own: dict[tuple[Family, str], dict[str, float]] = {}
        self._margins: dict[tuple[Family, str, str], float] = {}
        self._owners: dict[tuple[Family, str], str] = {}
        self._at_home: dict[tuple[Family, str], tuple[str, float]] = {}
        self._abroad: defaultdict[str, list[tuple[Family, str, float]]] = defaultdict(list)
        self._numbered: dict[Family, dict[str, tuple[int, ...]]] = {}

    def has_source(self, family: Family, path: str) -> bool:
        """Whether the family decided a partner for that source role."""
        return (family, path) in self._own

    def has_target(self, family: Family, path: str) -> bool:
        """Whether the family decided a partner for that target role."""
        return (family, path) in self._owners

    def margin(self, family: Family, a: str, b: str) -> float:
        """By how much the family as a whole, per instance, prefers that role pair to its best alternative."""
        return self._margins.get((family, a, b), 0.0)

    def against(self, family: Family, a: str, b: str) -> float:
        """How sure the family is that either role of a pair belongs to another one, 0 to 1."""
        owner = self._owners.get((family, b))
        sure = [value for target, value in self._own.get((family, a), {}).items() if target != b]
        if owner is not None and owner != a:
            sure.append(self._own[family, owner][b])
        return min(1.0, max(sure, default=0.0))

    def known_as(self, family: Family, path: str, paths: Sequence[str]) -> str:
        """What other families know a source role as: its path, or what it is inside of a module that alone has it."""
        name = path
        while name and all(other == family for other, *_ in self._abroad.get(name, ())):
            name = name.partition(".")[2]
        return name if name == path or sum(f".{other}".endswith(f".{name}") for other in paths) == 1 else path

    def targets_of(self, family: Family, path: str, inside: bool, known_as: str) -> dict[str, float]:
        """Target roles and their evidence for a source role.

        Other families' decisions count less, and the less the surer the family is of another one; not at all for
        the members of a numbered list that is longer or shorter there: ``norm2`` of two is not that of three, unless
        its two are numbered as the last of three are.

        Args:
            inside: whether the scope is a block, not the whole listing.
            known_as: see :meth:`known_as`.
        """
        own = self._own.get((family, path))
        abroad = self._abroad.get(known_as) if inside else None
        if not abroad:
            return own or {}
        found = dict(own or {})
        listed, known = _list_of(path), _list_of(known_as)
        at_home, sure = self._at_home.get((family, path), ("", 0.0))
        for other, target, value in abroad:
            if other != family and (not listed or self._numbered_alike((family, listed), (other, known))):
                share = _TRANSFER * (1.0 if target == at_home else max(0.0, 1.0 - sure))
                found[target] = max(found.get(target, 0.0), share * value)
        return found

    def _numbered_alike(self, one: tuple[Family, str], other: tuple[Family, str]) -> bool:
        """Whether the lists of two families have as many members, or one of them lacks the first of the other's."""
        ours, theirs = (self._numbered.get(family, {}).get(listed, ()) for family, listed in (one, other))
        few, many = sorted((ours, theirs), key=len)
        return len(few) == len(many) or few == many[-len(few) :] != many[: len(few)]

    def learn(self, records: Sequence[Record]) -> None:
        """Solve one assignment per family over the support of all its instances."""
        families: defaultdict[Family, list[Record]] = defaultdict(list)
        for record in records:
            families[record.family].append(record)
        for family, members in families.items():
            self._learn_family(family, members)

    def _learn_family(self, family: Family, members: list[Record]) -> None:
        paths_a = {path: k for k, path in enumerate(dict.fromkeys(p for m in members for p in m.paths_a))}
        paths_b = {path: k for k, path in enumerate(dict.fromkeys(p for m in members for p in m.paths_b))}
        if not paths_a or not paths_b or len(paths_a) * len(paths_b) > _MOST_CELLS:
            return
        numbers: defaultdict[str, set[int]] = defaultdict(set)
        for path in paths_a:
            if found := _LAST_NUMBER.match(path):
                numbers[_list_of(path)].add(int(found[2]))
        self._numbered[family] = {listed: tuple(sorted(some)) for listed, some in numbers.items()}
        total: Floats = np.zeros((len(paths_a), len(paths_b)))
        instances: Counter[str] = Counter()
        for member in members:
            cells = np.ix_([paths_a[p] for p in member.paths_a], [paths_b[p] for p in member.paths_b])
            total[cells] += member.weights * member.times
            for path, row in zip(member.paths_a, member.weights, strict=True):
                if row.any():
                    instances[path] += member.times
        chosen = assign(total)
        names_a, names_b = list(paths_a), list(paths_b)
        for i, loss in margins(total, chosen).items():
            a, b = names_a[i], names_b[chosen[i]]
            margin = loss / max(1, instances[a])
            value = (
                DECIDED if _DECIDED_MARGIN < margin * instances[a] < 1e17 else min(1.0, max(0.0, margin) / _FULL_MARGIN)
            )
            self._abroad[a].append((family, b, value))
            self._at_home[family, a] = (b, value)
            if len(members) >= 2:
                self._own[family, a] = {b: value}
                self._owners[family, b] = a
                self._margins[family, a, b] = min(margin, 1e9)
