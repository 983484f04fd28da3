"""Modules by what they hold: those that are alone in it, those outside of lists, those that no block has touched."""

from __future__ import annotations

from collections import defaultdict

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.reading.tree import Node

_LEAST_SINGLE = 3
"""Units of a module that can be known by what it holds."""


def alone_in_content(a: Node, b: Node) -> list[Block]:
    """Modules that are alone, on both sides, in holding just these sizes; the outermost of each."""
    ours, theirs = by_bag(a), by_bag(b)
    found: list[Block] = []
    stack = _inner(a)
    while stack:
        node = stack.pop()
        mine, others = ours.get(node.bag, []), theirs.get(node.bag, [])
        if len(mine) == len(others) == 1 and node.size < a.size and others[0].size < b.size:
            found.append(Block(mine[0], others[0], 1.0))
        else:
            stack.extend(_inner(node))
    return sorted(found, key=lambda block: block.source.lo)


def free(scope: Node, used: set[int]) -> dict[int, list[Node]]:
    """Modules of some units outside of lists by what they hold, the largest first."""
    found: defaultdict[int, list[Node]] = defaultdict(list)
    stack = [child for child in _inner(scope) if child.kin == 1]
    while stack:
        node = stack.pop()
        if id(node) in used:
            continue
        inner = [child for child in _inner(node) if child.kin == 1]
        if all(child.size != node.size for child in inner):
            found[node.bag].append(node)
        stack.extend(inner)
    return dict(sorted(found.items(), key=lambda item: -item[1][0].size))


def _inner(module: Node) -> list[Node]:
    """A module's own modules of some units."""
    return [child for child in module.children.values() if child.size >= _LEAST_SINGLE]


def by_bag(scope: Node) -> dict[int, list[Node]]:
    """Modules of some units in a scope by what they hold; of modules that hold nothing but a module the innermost.

    Of modules that hold the same two are enough, with what they are made of.
    """
    found: defaultdict[int, list[Node]] = defaultdict(list)
    stack = list(scope.children.values())
    while stack:
        node = stack.pop()
        size = node.hi - node.lo
        if size >= _LEAST_SINGLE and len(found[node.bag]) < 2:
            stack.extend(node.children.values())
            if all(child.hi - child.lo != size for child in node.children.values()):
                found[node.bag].append(node)
    return dict(found)


def untouched(scope: Node, used: set[int], above: set[int]) -> list[Node]:
    """Modules of some units in a scope that hold no block and lie in none; of modules in modules the innermost."""
    found: list[Node] = []
    stack = list(scope.children.values())
    while stack:
        node = stack.pop()
        if id(node) in used or node.size < _LEAST_SINGLE:
            continue
        stack.extend(node.children.values())
        if id(node) not in above and not any(child.size == node.size for child in node.children.values()):
            found.append(node)
    return found
