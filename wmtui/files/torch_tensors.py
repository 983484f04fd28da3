"""Tensors in a pickle's graph: what the calls that ``torch.save`` writes would make, known without making it.

The functions are those of ``torch._utils`` and ``torch._tensor`` from PyTorch 0.1 on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import prod
from typing import NamedTuple

from wmtui.core.listing import Kind
from wmtui.files.dtypes import BITS, NUMPY_CODES, STORAGES, nbytes_of, torch_name
from wmtui.files.folded import FoldedTensor, Like, View
from wmtui.files.pickle_graph import Call, Global, Graph, Node, Persistent, get, path_of

MAX_DIMS = 64
_STORAGE_CLASS = re.compile(rb"ctorch\n(\w+Storage)\n")


class StorageRef(NamedTuple):
    """A storage as a persistent id names it.

    Attributes:
        key: its name in the file; old files have views of storages, whose key is the root's.
        dtype: type of its elements.
        numel: number of elements.
        offset: of a view, its first element in the root.
    """

    key: str
    dtype: str
    numel: int
    offset: int = 0


class PickledTensor(NamedTuple):
    """One tensor.

    Attributes:
        shape, dtype, kind, type_name: as in `wmtui.core.listing.TensorSpec`.
        nbytes: of its own elements, where known.
        storage: where its elements are, for plain tensors only.
        storage_offset: its first element, in elements of ``dtype``.
        strides: in elements.
        identity: equal for two tensors of unusual kinds that share their data; ``None`` where that is not known.
        flipped: its elements are to be conjugated or negated when they are read.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: Kind | None = None
    type_name: str | None = None
    nbytes: int | None = None
    storage: StorageRef | None = None
    storage_offset: int = 0
    strides: tuple[int, ...] | None = None
    identity: object = None
    flipped: bool = False


def tensor_of(node: Node) -> PickledTensor | None:
    """The tensor that a node stands for, or ``None`` where it is something else or makes no sense.

    The readers of old tar files put `PickledTensor` in the place of their persistent ids.
    """
    if isinstance(node, FoldedTensor):
        like = folded_as(node.like, node.view)
        assert like is not None  # or it would not have been folded
        ref = like.storage
        assert ref is not None
        ref = StorageRef(node.key, ref.dtype, ref.numel)
        return PickledTensor(
            like.shape, like.dtype, None, None, like.nbytes, ref, like.storage_offset, like.strides
        )  # twice as fast as _replace
    if not isinstance(node, Call):
        return node.pid if isinstance(node, Persistent) and isinstance(node.pid, PickledTensor) else None
    rebuild = _REBUILD.get(path_of(node.func))
    made = None
    if rebuild is not None and isinstance(node.args, tuple):
        try:
            made = rebuild(node.args)
        except RecursionError:  # a tensor of a tensor of a tensor ...: nothing that torch writes
            return None
    elif path_of(node.func).endswith("ShardedTensor"):
        made = _sharded_tensor(node)
    elif path_of(node.func).endswith(("multiarray._reconstruct", "numeric._frombuffer")):
        made = _array(node)
    if made is not None and made.storage is None and made.identity is None:
        return made._replace(identity=id(node))
    return made


@lru_cache(10_000)
def folded_as(like: Like, view: View) -> PickledTensor | None:
    """The tensor that a folded one is but for the key of its storage; ``None`` where that makes no sense."""
    made = tensor_of(FoldedTensor(like, view, "").unfolded())
    return made if made is not None and made.storage is not None else None


def storage_of(node: Node) -> StorageRef | None:
    """The storage that a persistent id names: ``("storage", class, key, location, numel[, view])``."""
    pid = node.pid if isinstance(node, Persistent) else None
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        return None
    kind, key, numel = pid[1], pid[2], pid[4]
    dtype = STORAGES.get(kind.name) if isinstance(kind, Global) else None
    if dtype is None or not isinstance(key, (str, int)) or not _is_count(numel):
        return None
    view = pid[5] if len(pid) > 5 else None
    if isinstance(view, tuple) and len(view) == 3 and _is_count(view[1]) and _is_count(view[2]):
        return StorageRef(str(key), dtype, view[2], view[1])
    return StorageRef(str(key), dtype, numel)


def storages_of(graph: Graph) -> Iterator[StorageRef]:
    """All storages that a graph names, once for each mention."""
    for node in graph.persistents:
        ref = storage_of(node)
        if ref is not None:
            yield ref
    for folded in graph.folded:
        tensor = tensor_of(folded)
        if tensor is not None and tensor.storage is not None:
            yield tensor.storage


def ints(node: Node) -> tuple[int, ...] | None:
    """A tuple, list or ``torch.Size`` of counts."""
    if isinstance(node, Call) and path_of(node.func) == "torch.Size" and isinstance(node.args, tuple) and node.args:
        node = node.args[0]
    if not isinstance(node, (tuple, list)) or len(node) > MAX_DIMS or not all(_is_count(n) for n in node):
        return None
    return tuple(node)


def dtype_of(node: Node) -> str | None:
    """The name of a ``torch.dtype``, which is pickled as a global, in old files as the result of a ``getattr``."""
    return torch_name(node.name) if isinstance(node, Global) and node.module == "torch" else None


def class_name(node: Node) -> str:
    """The bare name of a class, also where an old file keeps it in a persistent id together with its source."""
    if isinstance(node, Persistent) and isinstance(node.pid, tuple) and len(node.pid) > 1 and node.pid[0] == "module":
        node = node.pid[1]
    return node.name.rpartition(".")[2] if isinstance(node, Global) else "object"


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _plain(args: tuple[Node, ...], dtype: str | None = None) -> PickledTensor | None:
    """A tensor from ``(storage, offset, size, stride, ...)``."""
    if len(args) < 4:
        return None
    offset = args[1]
    ref = storage_of(args[0])
    shape, strides = ints(args[2]), ints(args[3])
    if ref is None and shape is not None and isinstance(args[0], Call):
        return _in_pickle(args[0], shape)
    if ref is None or shape is None or strides is None or len(shape) != len(strides) or not _is_count(offset):
        return None
    name = dtype or ref.dtype
    assert isinstance(offset, int)
    nbytes = nbytes_of(name, prod(shape))
    return PickledTensor(shape, name, nbytes=nbytes, storage=ref, storage_offset=offset, strides=strides)


def fits(tensor: PickledTensor) -> bool:
    """Whether all elements of a plain tensor lie in its storage."""
    if tensor.storage is None or tensor.strides is None or 0 in tensor.shape:
        return True
    last = tensor.storage_offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    bits, held = BITS[tensor.dtype], BITS[tensor.storage.dtype] * tensor.storage.numel
    return (last + 1) * bits <= (held + 7) // 8 * 8


def _tensor_v2(args: tuple[Node, ...]) -> PickledTensor | None:
    made = _plain(args)
    return _with_bits(made, args[6]) if made and len(args) > 6 else made


def _tensor_v3(args: tuple[Node, ...]) -> PickledTensor | None:
    dtype = dtype_of(args[6]) if len(args) > 6 else None
    made = _plain(args, dtype) if dtype else None
    return _with_bits(made, args[7]) if made and len(args) > 7 else made


def _with_bits(made: PickledTensor, metadata: Node) -> PickledTensor:
    flipped = any(get(metadata, bit) for bit in ("conj", "neg"))
    return made._replace(flipped=True) if flipped else made


def _qtensor(args: tuple[Node, ...]) -> PickledTensor | None:
    made = _plain(args)
    return made._replace(type_name="QuantizedTensor") if made else None


def _parameter(args: tuple[Node, ...]) -> PickledTensor | None:
    made = tensor_of(args[0]) if args else None
    return made._replace(kind="parameter") if made else None


def _from_type(args: tuple[Node, ...]) -> PickledTensor | None:
    """``(function, class, its arguments, state)``: a tensor or parameter with attributes, or a subclass."""
    if len(args) < 3:
        return None
    name = class_name(args[1])
    made = tensor_of(Call("reduce", args[0], args[2]))
    if made is None:
        return None
    if name == "Parameter":
        return made._replace(kind="parameter")
    if name in ("Tensor", "Buffer"):
        return made
    return made._replace(type_name=name)


def _sparse(args: tuple[Node, ...]) -> PickledTensor | None:
    data = args[1] if len(args) > 1 else None
    if not isinstance(data, tuple) or len(data) < 3:
        return None
    shapes = [shape for shape in (ints(part) for part in data) if shape is not None]
    parts = [part for part in (tensor_of(piece) for piece in data) if part is not None]
    if not parts or not shapes:
        return None
    nbytes = sum(part.nbytes or 0 for part in parts)
    return PickledTensor(shapes[-1], parts[-1].dtype, type_name="SparseTensor", nbytes=nbytes)


def _nested(args: tuple[Node, ...]) -> PickledTensor | None:
    buffer = tensor_of(args[0]) if args else None
    sizes = tensor_of(args[1]) if len(args) > 1 else None
    if buffer is None:
        return None
    shape = sizes.shape[:1] if sizes else ()
    return PickledTensor(shape, buffer.dtype, type_name="NestedTensor", nbytes=buffer.nbytes)


def _from_cpu(args: tuple[Node, ...]) -> PickledTensor | None:
    made = tensor_of(args[0]) if args else None
    return made._replace(type_name="device tensor") if made else None


def _from_numpy(args: tuple[Node, ...]) -> PickledTensor | None:
    array = tensor_of(args[0]) if args else None
    shape = array.shape if array is not None else None
    dtype = dtype_of(args[1]) if len(args) > 1 else None
    if shape is None or dtype is None:
        return None
    return PickledTensor(shape, dtype, type_name="device tensor")


def _meta(args: tuple[Node, ...]) -> PickledTensor | None:
    dtype, shape = (dtype_of(args[0]), ints(args[1])) if len(args) >= 3 else (None, None)
    if dtype is None or shape is None:
        return None
    return PickledTensor(shape, dtype, type_name="meta tensor", nbytes=0)


def _wrapper(args: tuple[Node, ...]) -> PickledTensor | None:
    if len(args) < 3:
        return None
    dtype, shape = dtype_of(args[1]), ints(args[2])
    if dtype is None or shape is None:
        return None
    return PickledTensor(shape, dtype, type_name=class_name(args[0]))


def _lazy(args: tuple[Node, ...]) -> PickledTensor:
    """A parameter whose shape its module has not seen yet: ``(requires_grad, device, dtype)`` in some order."""
    dtype = next(filter(None, map(dtype_of, args)), "float32")
    return PickledTensor((), dtype, "parameter", "UninitializedParameter")


def _sharded_tensor(node: Call) -> PickledTensor | None:
    """A ``ShardedTensor``'s state is ``(shards, metadata, ...)``; the metadata tell the whole shape."""
    state = node.state
    metadata = state[1] if isinstance(state, tuple) and len(state) > 1 else None
    if not isinstance(metadata, Call):
        return None
    shape = ints(get(metadata.state, "size"))
    if shape is None:
        return None
    properties = get(metadata.state, "tensor_properties")
    known = properties.state if isinstance(properties, Call) else None
    dtype = dtype_of(known[0]) if isinstance(known, tuple) and known else dtype_of(get(known, "dtype"))
    return PickledTensor(shape, dtype or "float32", type_name="ShardedTensor")


def _array(node: Call) -> PickledTensor | None:
    """A numpy array, as some libraries keep weights in plain pickles.

    It is a call to ``_reconstruct`` with a state ``(version, shape, dtype, ...)``, in protocol 5 one to ``_frombuffer``
    with ``(bytes, dtype, shape, order)``.
    """
    if path_of(node.func).endswith("._frombuffer"):
        parts = node.args[2:0:-1] if isinstance(node.args, tuple) else ()
    else:
        parts = node.state[1:3] if isinstance(node.state, tuple) else ()
    if len(parts) != 2:
        return None
    shape, kind = ints(parts[0]), parts[1]
    code = kind.args[0] if isinstance(kind, Call) and isinstance(kind.args, tuple) and kind.args else None
    dtype = NUMPY_CODES.get(code) if isinstance(code, str) else None
    if shape is None or dtype is None:
        return None
    return PickledTensor(shape, dtype, type_name="ndarray", nbytes=nbytes_of(dtype, prod(shape)))


def _in_pickle(storage: Call, shape: tuple[int, ...]) -> PickledTensor | None:
    """A tensor that ``pickle`` wrote without torch: its storage is a file of ``torch.save`` within the pickle."""
    args = storage.args
    data = args[0] if path_of(storage.func) == "torch.storage._load_from_bytes" and isinstance(args, tuple) else None
    if isinstance(data, Call) and path_of(data.func) == "_codecs.encode" and isinstance(data.args, tuple):
        data = data.args[0]
    head = data[:2000].encode("latin-1", "replace") if isinstance(data, str) else data
    found = _STORAGE_CLASS.search(head[:2000]) if isinstance(head, bytes) else None
    dtype = STORAGES.get(found[1].decode()) if found else None
    if dtype is None:
        return None
    return PickledTensor(shape, dtype, type_name="tensor in a plain pickle", nbytes=nbytes_of(dtype, prod(shape)))


_Rebuild = Callable[[tuple[Node, ...]], PickledTensor | None]
_REBUILD: dict[str, _Rebuild] = {
    "torch._utils._rebuild_tensor": _tensor_v2,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_qtensor": _qtensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.parameter.UninitializedParameter": _lazy,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_sparse_csr_tensor": _sparse,
    "torch._utils._rebuild_nested_tensor": _nested,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_cpu,
    "torch._utils._rebuild_device_tensor_from_numpy": _from_numpy,
    "torch._utils._rebuild_xla_tensor": _from_numpy,
    "torch._utils._rebuild_mlc_tensor": _from_numpy,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_wrapper_subclass": _wrapper,
    "torch._tensor._rebuild_from_type": _from_type,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.tensor._rebuild_from_type": _from_type,
}
