"""What a pickle holds besides weights, as a small tree for the inspector; and what it asks for that is not torch's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wmtui.core.printable import plural, printable
from wmtui.core.side import Content, ContentKind
from wmtui.files.pickle_graph import Bag, Call, Global, Graph, Node, Persistent, Table, dict_items, path_of
from wmtui.files.pickled_modules import attributes, module_attributes, module_class
from wmtui.files.torch_tensors import class_name, dtype_of, ints, storage_of, tensor_of
from wmtui.files.unwrap import Weights

MAX_NODES = 5_000
MAX_ITEMS = 100
MAX_DEPTH = 8
MAX_TEXT = 200

_KNOWN = ("torch", "collections", "numpy", "_codecs", "copyreg", "copy_reg", "pathlib", "datetime", "argparse")
_PLAIN_BUILTINS = frozenset(
    ("set", "frozenset", "dict", "list", "tuple", "slice", "complex", "bytearray", "bytes", "int", "float", "bool",
     "str", "object", "range", "type", "getattr")
)  # fmt: skip
_DANGEROUS = frozenset(
    ("os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy", "pty", "ctypes", "importlib", "webbrowser",
     "pickle", "_pickle", "marshal", "types", "code", "commands", "pip", "timeit", "bdb", "pdb", "asyncio", "signal",
     "multiprocessing", "threading", "http", "urllib", "requests", "tempfile", "io", "_io", "operator", "functools")
)  # fmt: skip


def content_tree(graph: Graph, weights: Iterable[Weights]) -> Content:
    """The object of a pickle without the insides of its dictionaries of weights."""
    return _Tree({id(found.node): found for found in weights}).of(graph.root, 0)


def strangers(graph: Graph) -> tuple[str, ...]:
    """Notes on what unpickling would import or call that is neither torch's nor harmless, one line each."""
    dangerous, unknown = [], []
    for named in graph.globals:
        top = named.module.partition(".")[0]
        if top in ("builtins", "__builtin__"):
            if named.name not in _PLAIN_BUILTINS:
                dangerous.append(named.path)
        elif top in _DANGEROUS:
            dangerous.append(named.path)
        elif top not in _KNOWN:
            unknown.append(named.path)
    notes = []
    if dangerous:
        notes.append(
            f"unpickling it would run {_some(dangerous)}; nothing was run here: do not load it with torch.load"
        )
    if unknown:
        notes.append(f"classes that stay placeholders here: {_some(unknown)}")
    return tuple(notes)


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(_short(name, 80)) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _short(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class _Tree:
    """Makes the tree, within a number of nodes."""

    def __init__(self, weights: dict[int, Weights]) -> None:
        self.weights = weights
        self.room = MAX_NODES

    def of(self, node: Node, depth: int) -> Content:
        self.room -= 1
        found = self.weights.get(id(node))
        if found is not None:
            what = f"{module_class(node)}, " if found.is_module else ""
            return Content("dict", f"{what}{plural(len(found.tensors), 'tensor')}", count=len(found.tensors))
        if isinstance(node, str):
            return Content("text", _short(node))
        if node is None or isinstance(node, (bool, int, float)):
            return Content("value", _number(node))
        if isinstance(node, (bytes, bytearray)):
            return Content("value", plural(len(node), "byte"))
        tensor = tensor_of(node)
        if tensor is not None:
            kind = f"{tensor.type_name} of {tensor.dtype}" if tensor.type_name else tensor.dtype
            return Content("tensor", f"{kind} {list(tensor.shape)}")
        if isinstance(node, (list, tuple)):
            return self.sequence("list" if isinstance(node, list) else "tuple", node, depth)
        items = dict_items(node)
        if items is not None:
            text = f"{'dict' if isinstance(node, Table) else module_class(node)} of {len(items)}"
            return self.branch("dict", text, ((_name(key), child) for key, child in items), len(items), depth)
        return self.object(node, depth)

    def sequence(self, name: str, nodes: Sequence[Node], depth: int) -> Content:
        numbered = ((str(i), child) for i, child in enumerate(nodes))
        return self.branch("list", f"{name} of {len(nodes)}", numbered, len(nodes), depth)

    def branch(
        self, kind: ContentKind, text: str, items: Iterable[tuple[str, Node]], count: int, depth: int
    ) -> Content:
        kept: list[tuple[str, Content]] = []
        for name, child in items:
            if len(kept) == MAX_ITEMS or self.room <= 0 or depth >= MAX_DEPTH:
                break
            kept.append((name, self.of(child, depth + 1)))
        return Content(kind, text, tuple(kept), count)

    def object(self, node: Node, depth: int) -> Content:
        if isinstance(node, Bag):
            return self.sequence(node.kind, node.elements, depth)
        if isinstance(node, Global):
            return Content("value", dtype_of(node) or node.path)
        if isinstance(node, Persistent):
            return Content("object", "storage" if storage_of(node) else class_name(node))
        if not isinstance(node, Call):
            return Content("object", type(node).__name__)
        size = ints(node)
        if path_of(node.func) == "torch.Size" and size is not None:
            return Content("value", f"torch.Size({list(size)})")
        if path_of(node.func) == "torch.device" and isinstance(node.args, tuple):
            return Content("value", f"device {':'.join(str(arg) for arg in node.args if isinstance(arg, (str, int)))}")
        name = module_class(node)
        if module_attributes(node) is not None:
            return Content("object", f"{name} (module)")
        if node.elements is not None:
            return self.sequence(_short(name), node.elements, depth)
        inside = attributes(node) or {}
        return self.branch("object", _short(name), iter(inside.items()), len(inside), depth)


def _number(value: bool | int | float | None) -> str:
    if type(value) is int and value.bit_length() > 256:
        return f"number of {value.bit_length()} bits"
    return repr(value)


def _name(key: Node) -> str:
    if isinstance(key, str):
        return _short(key)
    return _number(key) if key is None or isinstance(key, (int, float)) else "…"
