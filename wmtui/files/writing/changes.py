"""Changes to a pickle's graph, kept beside it: the graph stays what was read, for the screen and the next save."""

from __future__ import annotations

from collections.abc import Sequence

from wmtui.files.pickle_graph import Call, Node, Table, path_of
from wmtui.files.writing.torch_nodes import ORDERED_DICT


class Changes:
    """What is written in the places of some nodes.

    Attributes:
        nodes: by the ``id`` of the nodes of the graph, those that are written instead.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}

    def replace(self, node: Node, made: Node) -> None:
        """Write something else wherever a node stands."""
        self.nodes[id(node)] = made

    def replace_items(self, node: Node, items: Sequence[tuple[Node, Node]]) -> None:
        """Give a dict-like node other items."""
        if isinstance(node, Table):
            table = Table()
            table.items = list(items)
            self.replace(node, table)
        elif isinstance(node, Call):
            args = () if path_of(node.func) == ORDERED_DICT.path else node.args  # some hold their items here
            made = Call(node.how, node.func, args)
            made.kwargs, made.elements, made.items, made.state = node.kwargs, node.elements, list(items), node.state
            self.replace(node, made)
