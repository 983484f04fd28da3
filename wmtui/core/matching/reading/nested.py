"""Modules nested in their own kind, level in level (U-Nets that hold the next depth in their middle), as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmtui.core.matching.reading.tree import Node

    Child = Callable[[Node, str], Node]
    Half = list[tuple[Node, tuple[str, ...]]]

_LEVELS = 4
"""So many levels make a nest."""

_ALIKE = 0.5
"""Share of the names of a level that the next one has too."""


def unroll(root: Node, child: Child) -> None:
    """Turn each nest into what the levels list before the next one, the innermost, and what they list after it.

    ``net.3.main.7.main.7.main.1`` becomes ``net.3.down.2.main.1``, and what follows the outermost ``7`` is the last of
    ``net.3.up``, as networks that list their blocks have them.

    Args:
        root: the tree, changed in place.
        child: makes or finds the child of a node with a given segment.
    """
    stack = [root]
    while stack:
        node = stack.pop()
        nests = [_nest(node, step) for step in _steps(node)]
        levels, step = max(nests, key=lambda nest: len(nest[0]), default=([], ()))
        if len(levels) >= _LEVELS and _alone(node, step):
            _lay_out(levels, step, child)
        stack.extend(node.children.values())


def _steps(node: Node) -> Iterator[tuple[str, ...]]:
    """The ways of a segment or two that could lead from level to level."""
    for token, below in node.children.items():
        if token in below.children:
            yield (token,)
        for second, inner in below.children.items():
            if second != token and token in inner.children:
                yield (token, second)


def _nest(node: Node, step: tuple[str, ...]) -> tuple[list[Node], tuple[str, ...]]:
    levels = [node]
    while (inner := _next(levels[-1], step)) is not None:
        levels.append(inner)
        if not _alike(levels[-2], inner, step):
            break  # the innermost may hold less
    return levels, step


def _next(level: Node, step: tuple[str, ...]) -> Node | None:
    node: Node | None = level
    for token in step:
        if node is None or node.leaves is not None:
            return None
        node = node.children.get(token)
    return node


def _alike(outer: Node, inner: Node, step: tuple[str, ...]) -> bool:
    """Whether the next level holds the names that this one holds beside it."""
    for token in step[:-1]:
        if token not in inner.children:
            return False
        outer, inner = outer.children[token], inner.children[token]
    here, there = set(outer.children) - {step[-1]}, set(inner.children) - {step[-1]}
    return bool(here) and len(here & there) >= _ALIKE * len(here | there)


def _alone(level: Node, step: tuple[str, ...]) -> bool:
    """Whether nothing beside the next level goes down about as far: in lists of lists, each member does."""
    beside = 0
    for token in step:
        beside = max([beside, *(_height(below) for below in level.children.values() if below.token != token)])
        level = level.children[token]
    return beside + 2 * len(step) <= _height(level)


def _height(node: Node) -> int:
    height, floor = 0, [node]
    while floor:
        height += 1
        floor = [below for above in floor for below in above.children.values()]
    return height


def _lay_out(levels: list[Node], step: tuple[str, ...], child: Child) -> None:
    top = levels[0]
    halves = [_halves(level, step) for level in levels]
    before, after = [half for half, _ in halves], [half for _, half in reversed(halves)]
    inmost = before.pop() + after.pop(0)
    top.children = {}
    middle: Half = []
    if not any(after):
        before.append(inmost)
    elif not any(before):
        after.insert(0, inmost)
    else:
        middle = inmost
    for place, half in enumerate(before):
        _hang(child(child(top, "down"), str(place)), half, child)
    if middle:
        _hang(child(top, "mid"), middle, child)
    for place, half in enumerate(after):
        _hang(child(child(top, "up"), str(place)), half, child)
    stack = [top]
    while stack:
        node = stack.pop()
        for below in node.children.values():
            below.parent, below.depth = node, node.depth + 1
        stack.extend(node.children.values())


def _halves(level: Node, step: tuple[str, ...]) -> tuple[Half, Half]:
    """What a level lists before and after the next one, each with the segments that lead to it."""
    before: Half = []
    after: Half = []
    node: Node | None = level
    for place, token in enumerate(step):
        if node is None:
            break
        step_index = node.children[token].index if token in node.children else None
        passed = False
        for below in node.children.values():
            if below.token == token:
                passed = True
            elif step_index is not None and below.index is not None:
                (after if below.index > step_index else before).append((below, step[:place]))
            else:
                (after if passed else before).append((below, step[:place]))
        node = node.children.get(token)
    return before, after


def _hang(parent: Node, half: Half, child: Child) -> None:
    for node, path in half:
        place = parent
        for token in path:
            place = child(place, token)
        place.children[node.token] = node
