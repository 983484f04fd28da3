"""Fused tensors in words: which keys look like parts of one tensor on the other side, and how to say it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .listing import Listing
from .printable import plural
from .proposal import Fusion

MOST_NAMED = 4
"""Parts that are named one by one; of more, the first and the last."""


class FusedKeys:
    """The fusions of a proposal by the places of the keys that lie in them."""

    def __init__(self, source: Listing, target: Listing, fusions: Sequence[Fusion]) -> None:
        self._sources = {source.index[key]: fusion for fusion in fusions for key in fusion.sources}
        self._targets = {target.index[key]: fusion for fusion in fusions for key in fusion.targets}

    def of_source(self, place: int) -> Fusion | None:
        """The fusion in which a source key lies, ``None`` without one."""
        return self._sources.get(place)

    def of_target(self, place: int) -> Fusion | None:
        """The fusion in which a target key lies, ``None`` without one."""
        return self._targets.get(place)


def source_story(fusion: Fusion, key: str) -> str:
    """What a source key of a fusion looks like, in one sentence."""
    if fusion.kind == "split":
        return _whole(fusion.targets, "target", fusion.dim)
    return _part(fusion.sources, key, "makes", fusion.targets[0], fusion.dim)


def target_story(fusion: Fusion, key: str) -> str:
    """What a target key of a fusion looks like, in one sentence."""
    if fusion.kind == "merge":
        return _whole(fusion.sources, "source", fusion.dim)
    return _part(fusion.targets, key, "lies in", fusion.sources[0], fusion.dim)


def _whole(parts: Sequence[str], side: str, dim: int | None) -> str:
    return f"looks fused: it holds {_listed(short_names(parts))} of the {side} side {_along(dim)}"


def _part(parts: Sequence[str], key: str, does: str, whole: str, dim: int | None) -> str:
    others = [name for name, part in zip(short_names(parts), parts, strict=True) if part != key]
    together = f"with {_listed(others)} it {does}" if others else f"it {does}"
    return f"looks like a part: {together} {whole} {_along(dim)}"


def _along(dim: int | None) -> str:
    if dim is None:
        return "by weight norm"
    return "stacked on a new first dim" if dim < 0 else f"along dim {dim}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMED:
        return f"{names[0]} … {names[-1]} ({plural(len(names), 'tensor')})"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def short_names(keys: Sequence[str]) -> list[str]:
    """Keys without the segments that all begin and end with; whole where nothing else would be left of one.

    A number keeps the segment before it.
    """
    rows = [key.split(".") for key in keys]
    shortest = min(map(len, rows))
    head = tail = 0
    while head < shortest and all(a[head] == b[head] for a, b in pairwise(rows)):
        head += 1
    while tail < shortest - head and all(a[-1 - tail] == b[-1 - tail] for a, b in pairwise(rows)):
        tail += 1
    if head and any(row[head : head + 1] and row[head].isdigit() for row in rows):
        head -= 1  # a number alone says nothing
    names = [".".join(row[head : len(row) - tail]) for row in rows]
    return names if all(names) else list(keys)
