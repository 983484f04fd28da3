"""Outlines: trees of which only the open part exists, as rows; modules by segment, and what else a file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from .listing import Listing
from .search import natural
from .side import Content, Side


class Node(msgspec.Struct, eq=False):
    """One row of an outline.

    Attributes:
        name: a segment of a key, or a name in the file; as it is there.
        depth: 0 for the roots.
        opens: it has children.
        is_open: they are shown.
        places: tensors of the listing that it stands for; the one of a leaf.
        path: the whole key of a leaf, the prefix of a module with its dot.
        content: what the file holds there, for contents.
    """

    name: str
    depth: int
    opens: bool
    is_open: bool = False
    places: Sequence[int] = ()
    path: str = ""
    content: Content | None = None


class Outline:
    """The rows of a tree.

    Attributes:
        rows: the nodes that are shown, in order.
    """

    def __init__(self, roots: Iterable[Node], children: Callable[[Node], Sequence[Node]]) -> None:
        self.rows = list(roots)
        self._children = children

    def toggle(self, place: int, is_open: bool | None = None) -> bool:
        """Show or hide the children of a row; whether anything changed."""
        node = self.rows[place]
        if is_open is None:
            is_open = not node.is_open
        if not node.opens or node.is_open == is_open:
            return False
        if is_open:
            self.rows[place + 1 : place + 1] = self._children(node)
        else:
            end = place + 1
            while end < len(self.rows) and self.rows[end].depth > node.depth:
                end += 1
            del self.rows[place + 1 : end]
        node.is_open = is_open
        return True

    def parent(self, place: int) -> int:
        """The row above that a row belongs to; itself for a root."""
        depth = self.rows[place].depth
        return next((p for p in range(place - 1, -1, -1) if self.rows[p].depth < depth), place)


def module_outline(listing: Listing, places: Sequence[int], by_name: bool = False) -> Outline:
    """The tree of modules over some tensors of a listing, open at its first level.

    Args:
        listing: the tensors.
        places: those of them that count.
        by_name: siblings by name, numbers by value; else in the listing's order.
    """

    def children(node: Node) -> list[Node]:
        start = len(node.path)
        parts: dict[str, list[int]] = {}
        for place in node.places:
            segment, dot, _ = listing.tensors[place].key[start:].partition(".")
            parts.setdefault(segment + dot, []).append(place)
        made = [_module(listing, node, part, found) for part, found in parts.items()]
        return sorted(made, key=lambda child: natural(child.name)) if by_name else made

    outline = Outline(children(Node("", -1, True, places=places)), children)
    if len(outline.rows) == 1:
        outline.toggle(0, True)
    return outline


def _module(listing: Listing, parent: Node, part: str, places: list[int]) -> Node:
    depth, path = parent.depth + 1, parent.path + part
    leaf = len(places) == 1 and listing.tensors[places[0]].key == path
    # A chain of modules with one child each is one row: "_orig_mod.module.model".
    while not leaf:
        segments = {listing.tensors[place].key[len(path) :].partition(".")[:2] for place in places}
        if len(segments) != 1 or ("", "") in segments:
            break
        path += "".join(segments.pop())
        leaf = len(places) == 1 and listing.tensors[places[0]].key == path
    name = path[len(parent.path) :]
    return Node(name if leaf else name[:-1], depth, not leaf, False, places, path)


def contents_outline(side: Side) -> Outline:
    """What a file holds besides its tensors: notes, a safetensors file's metadata, everything else by name."""
    roots: list[Node] = []
    if side.notes:
        roots.append(_content(0, "notes", _texts(enumerate(side.notes, 1), len(side.notes))))
    if side.metadata:
        roots.append(_content(0, "metadata", _texts(side.metadata.items(), len(side.metadata))))
    roots += [_content(0, name, item) for name, item in side.contents.items]

    def children(node: Node) -> list[Node]:
        content = node.content
        assert content is not None
        return [_content(node.depth + 1, name, item) for name, item in content.items]

    outline = Outline(roots, children)
    for place in range(len(roots) - 1, -1, -1):
        if roots[place].name in ("notes", "metadata"):
            outline.toggle(place, True)
    return outline


def _content(depth: int, name: str, content: Content) -> Node:
    return Node(name, depth, bool(content.items), content=content)


def _texts(items: Iterable[tuple[object, str]], count: int) -> Content:
    found = tuple((str(name), Content("text", text)) for name, text in items)
    return Content("dict", f"{count}", found, count)


def left_out(content: Content) -> int:
    """How many children of a node were not worth keeping."""
    return max(0, content.count - len(content.items))
