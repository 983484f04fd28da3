"""Nodes of pickles as ``torch.save`` writes them: tensors, their storages, and tables renamed by place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from wmtui.errors import InputError
from wmtui.files.dtypes import BITS, STORAGES
from wmtui.files.folded import PERSISTENT_ID, FoldedTensor, Like, View
from wmtui.files.pickle_graph import Call, Global, Node, Persistent, path_of
from wmtui.files.writing.elements import row_major

ORDERED_DICT = Global("collections", "OrderedDict")
UNTYPED = Global("torch.storage", "UntypedStorage")
_V2 = Global("torch._utils", "_rebuild_tensor_v2")
_V3 = Global("torch._utils", "_rebuild_tensor_v3")
_CLASSES = {dtype: Global("torch", name) for name, dtype in STORAGES.items() if name != "UntypedStorage"}
_PLAIN = ("torch._utils._rebuild_tensor", _V2.path, _V3.path)
_PARAMETERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.nn.parameter.Parameter",
)
_NESTED = 8
"""Levels of parameters of tensors of ... that are looked into."""

Strides = tuple[int, ...]


def ordered_dict(items: Sequence[tuple[Node, Node]]) -> Call:
    """An ``OrderedDict``."""
    made = Call("reduce", ORDERED_DICT, ())
    made.items = list(items)
    return made


def storage_node(key: str, dtype: str, nbytes: int, location: Node = "cpu") -> Persistent:
    """The persistent id of a storage; untyped where torch has no class for the type."""
    return Persistent((PERSISTENT_ID, _CLASSES.get(dtype, UNTYPED), key, location, _numel(dtype, nbytes)))


def tensor_node(
    key: str, dtype: str, nbytes: int, shape: tuple[int, ...], offset: int = 0, strides: Strides | None = None
) -> FoldedTensor:
    """A tensor on a storage of so many bytes, which is named by a key; contiguous without strides."""
    view = View(_numel(dtype, nbytes), offset, shape, row_major(shape) if strides is None else strides)
    return FoldedTensor(_like(dtype), view, key)


@cache
def _like(dtype: str) -> Like:
    if dtype in _CLASSES:
        return Like(_V2, _CLASSES[dtype], "cpu", False, ORDERED_DICT, None)
    return Like(_V3, UNTYPED, "cpu", False, ORDERED_DICT, Global("torch", dtype))


def _numel(dtype: str, nbytes: int) -> int:
    return nbytes * 8 // BITS[dtype] if dtype in _CLASSES else nbytes


def size_node(lengths: tuple[int, ...]) -> Call:
    """A ``torch.Size``."""
    return Call("reduce", Global("torch", "Size"), (lengths,))


def moved(node: Node, storage: Persistent, offset: int, shape: tuple[int, ...], strides: Strides) -> Node:
    """A tensor or parameter like another one, on another storage or with another view of it.

    Raises:
        InputError: it is of an unusual kind.
    """
    if isinstance(node, FoldedTensor):
        node = node.unfolded()
    if isinstance(node, Call) and isinstance(node.args, tuple):
        path, args = path_of(node.func), node.args
        made = None
        if path in _PLAIN:
            made = Call("reduce", node.func, (storage, offset, shape, strides, *args[4:]))
        elif path in _PARAMETERS:
            made = Call("reduce", node.func, (moved(args[0], storage, offset, shape, strides), *args[1:]))
        elif len(args) > 2 and path.rpartition(".")[2].startswith("_rebuild_from_type"):
            inner = moved(Call("reduce", args[0], args[2]), storage, offset, shape, strides)
            assert isinstance(inner, Call)
            made = Call("reduce", node.func, (*args[:2], inner.args, *args[3:]))
        if made is not None:
            made.state, made.items, made.elements = node.state, node.items, node.elements
            return made
    raise InputError("a tensor of an unusual kind cannot be transposed or reshaped", "Reject that pair.")


def storage_of_tensor(node: Node) -> Persistent | None:
    """The persistent id of the storage that a plain tensor or parameter lies on."""
    for _ in range(_NESTED):
        if isinstance(node, FoldedTensor):
            node = node.unfolded()
        if not isinstance(node, Call) or not isinstance(node.args, tuple) or not node.args:
            return None
        path, args = path_of(node.func), node.args
        if path in _PLAIN:
            return args[0] if isinstance(args[0], Persistent) else None
        if path.rpartition(".")[2].startswith("_rebuild_from_type") and len(args) > 2:
            node = Call("reduce", args[0], args[2])
        elif path in _PARAMETERS:
            node = args[0]
    return None


def without_parameter(node: Node) -> Node:
    """The tensor of a parameter, as ``state_dict()`` gives it; anything else as it is."""
    while isinstance(node, Call) and path_of(node.func) in _PARAMETERS and isinstance(node.args, tuple) and node.args:
        node = node.args[0]
    return node
