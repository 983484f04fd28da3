"""The direction that lists are counted in, where like blocks do not tell."""

from __future__ import annotations

from collections.abc import Sequence

from wmtui.core.matching.alignment import Block
from wmtui.core.matching.lists import counted
from wmtui.core.matching.tree import Node
from wmtui.core.matching.words import alike, words

_LONGEST_DOUBTFUL = 8


def direction_unknown(ours: Sequence[Node], theirs: Sequence[Node], pairs: Sequence[Block]) -> bool:
    """Whether a short family of like blocks could as well run in reverse.

    A numbered attribute among others (``refinenet4``) and a list index (``layers.0``) agree in direction by convention
    only, so it needs one more witness: other sizes somewhere in the family, a word in common, or other modules between
    them.
    """
    if not 2 <= len(pairs) <= _LONGEST_DOUBTFUL or len(ours) != len(theirs) or len(pairs) != len(ours):
        return False
    if len({block.source.bag for block in pairs} | {block.target.bag for block in pairs}) > 1:
        return False
    one, other = counted(ours[0]), counted(theirs[0])
    named = one if one.stem else other
    if bool(one.stem) == bool(other.stem) or _fills_its_module(named) or _same_row(ours, theirs):
        return False
    return bool(_list_words(one) and _list_words(other)) and not share_words(one, other)


def _fills_its_module(node: Node) -> bool:
    """Whether the module above holds nothing but a numbered node and the others of its stem, as a list does."""
    return node.parent is not None and all(other.stem == node.stem for other in node.parent.children.values())


def _same_row(ours: Sequence[Node], theirs: Sequence[Node]) -> bool:
    """Whether the modules that hold two families hold the same in the same order, and not in the reversed one."""
    parents = [{id(node.parent): node.parent for node in nodes} for nodes in (ours, theirs)]
    rows = [
        [child.bag for child in parent.children.values()] for found in parents for parent in found.values() if parent
    ]
    return len(rows) == 2 and rows[0] == rows[1] != rows[0][::-1]


def _list_words(node: Node) -> set[str]:
    """The words that name a family: of the numbered segment, or of the list that holds it."""
    if node.stem or node.parent is None:
        return set(words(node.stem))
    above = node.parent.parent
    return {*words(node.parent.stem), *(words(above.stem) if above is not None else ())}


def share_words(a: Node, b: Node) -> bool:
    """Whether the names of two families have a word in common: they are counted alike then."""
    return any(alike(one, other) for one in _list_words(a) for other in _list_words(b))
