"""Fuzzes the reader of pickles, guided by coverage, and what is made of its graphs.

Run as ``python -m tests.fuzz.pickles [CORPUS] [options of libFuzzer]``; needs atheris. Any error but this project's own
is a finding, and so is a graph that is not the same after it was written and read again.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wmtui"]):
    from wmtui.errors import FormatError, WmtuiError
    from wmtui.files.contents import content_tree, strangers
    from wmtui.files.folded import FoldedTensor
    from wmtui.files.pickle_graph import Bag, Call, Global, Graph, Persistent, Table
    from wmtui.files.pickle_reader import read_pickle
    from wmtui.files.unwrap import find_weights
    from wmtui.files.writing.pickle_writer import write_pickle

MAX_COMPARED = 20_000


def one(data: bytes) -> None:
    try:
        graph = read_pickle(data, "fuzz")
        weights = find_weights(graph.root, "fuzz")
        content_tree(graph, weights)
        strangers(graph)
    except FormatError:
        return
    try:
        written = write_pickle(graph.root, graph.protocol, lambda persistent: persistent)
    except WmtuiError:
        return
    again = read_pickle(bytes(written), "written")
    if shape_of(graph) != shape_of(again):
        raise AssertionError(f"{data!r} is {shape_of(graph)} and {shape_of(again)} after writing")
    folded = write_pickle(read_pickle(data, "fuzz", fold=FoldedTensor).root, graph.protocol, lambda node: node)
    if shape_of(read_pickle(bytes(folded), "folded")) != shape_of(again):
        raise AssertionError(f"{data!r} is another one when its tensors are folded")


def shape_of(graph: Graph) -> list[str]:
    """The graph in the order of a walk, objects that stand at several places named by their first."""
    numbers: dict[int, int] = {}
    out: list[str] = []
    todo: list[object] = [graph.root]
    while todo and len(out) < MAX_COMPARED:
        node = todo.pop()
        if isinstance(node, (list, tuple, Table, Bag, Call)) and node != ():
            if id(node) in numbers:
                out.append(f"again {numbers[id(node)]}")
                continue
            numbers[id(node)] = len(numbers)
        out.append(name_of(node))
        todo += parts_of(node)
    return out


def name_of(node: object) -> str:
    if isinstance(node, Global):
        return node.path
    if isinstance(node, Call):
        return f"call {node.how}"
    if isinstance(node, Bag):
        return node.kind
    return repr(node) if isinstance(node, (str, bytes, int, float)) else type(node).__name__


def parts_of(node: object) -> list[object]:
    if isinstance(node, (list, tuple)):
        return list(node)
    if isinstance(node, Table):
        return [part for item in node.items for part in item]
    if isinstance(node, Bag):
        whole = b"".join(part for part in node.elements if isinstance(part, bytes))
        return [whole] if node.kind == "bytearray" else node.elements
    if isinstance(node, Persistent):
        return [node.pid]
    if isinstance(node, Call):
        items = [part for item in node.items or () for part in item]
        return [node.func, node.args, node.kwargs, *(node.elements or ()), *items, node.state]
    return []


def seeds() -> list[bytes]:
    """The corpus's pickles, and small ones of all protocols as Python and torch write them."""
    import pickle
    from collections import OrderedDict

    from tests.files.hostile_pickles import PICKLES, program, table, tensor

    kept = [program(body) for body in PICKLES.values() if isinstance(body, bytes) and len(body) < 2000]
    kept.append(program(table(a=tensor(), b=tensor())))
    value = OrderedDict(a=[1, -1, 1 << 70, 1.5, None, True, "é", b"x"], b={frozenset((1, 2)), (1, 2, 3, 4)})
    return kept + [pickle.dumps(value, protocol) for protocol in range(6)]


if __name__ == "__main__":
    from tests.fuzz.run import run

    run(sys.argv, one, seeds())
