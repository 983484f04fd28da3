"""Checkpoints as plain dictionaries, loaded without running anything that is in them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtui.core.listing import Listing
from wmtui.core.side import SideSpec
from wmtui.errors import ChoiceError, FormatError, MissingError
from wmtui.files.open import open_side
from wmtui.files.pickle_graph import Bag, Call, Global, Node, Persistent, Table, dict_items, path_of
from wmtui.files.pickled_modules import attributes, module_attributes, state_dict
from wmtui.files.source import OpenedSide, Source
from wmtui.files.torch_file import TorchFile
from wmtui.files.torch_source import TorchSource
from wmtui.files.torch_tensors import PickledTensor, dtype_of, ints, tensor_of

from .state_dicts import preferred
from .values import Values

if TYPE_CHECKING:
    import torch

MAX_DEPTH = 100
_TORCH_KNOWS = frozenset(("torch", "collections", "builtins", "__builtin__", "_codecs", "numpy"))
_PLAIN = frozenset(
    (
        "collections.OrderedDict",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch.Size",
    )
)
_DICTS = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter")


def load_checkpoint_as_dict(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint of any format on the CPU, without its classes and without running code from it.

    Tensors share the file's pages until they are changed. A pickled module becomes its state dict, an object of an
    unknown class a dictionary of its attributes with its name under ``__class__``; what is no dictionary at all
    stands under ``checkpoint``. Shards become one dictionary.

    Raises:
        MissingError (a FileNotFoundError): there is no such file.
        FormatError (a ValueError): it is damaged, or no checkpoint.
    """
    try:
        opened = _open(path)
    except ChoiceError as choice:
        opened = _open(path, choice.choices[0])
    return load_opened(opened)


def open_checkpoint(path: str | Path, weights_key: str | None = None) -> OpenedSide:
    """Open a checkpoint; where it has several dictionaries of weights, take the one with the most usual name.

    Raises:
        ChoiceError (a ValueError): several dictionaries of weights, none of a usual name.
        InputError: it cannot be used.
    """
    try:
        return _open(path, weights_key)
    except ChoiceError as choice:
        name = preferred(choice.choices)
        if name is None:
            raise ChoiceError(
                choice.message, f"Choose one, such as weights_key={choice.choices[0]!r}.", choice.choices
            ) from None
        return _open(path, name)


def _open(path: str | Path, weights_key: str | None = None) -> OpenedSide:
    file = Path(path).expanduser()
    if not file.exists():  # it must not be taken for a model's factory, whose code would run
        raise MissingError(f"{path} does not exist", "Give the path of a checkpoint.")
    return open_side(SideSpec(str(file), weights_key=weights_key))


def load_opened(opened: OpenedSide) -> dict[str, Any]:
    """All that an opened checkpoint holds, as `load_checkpoint_as_dict` does."""
    source = opened.source
    if isinstance(source, TorchSource) and len(source.parts) == 1 and source.index is None:
        file = source.parts[0].file
        if file.form != "torchscript":
            loaded = _load_torch_file(file)
            return loaded if isinstance(loaded, dict) else {"checkpoint": loaded}
    return load_tensors(opened.side.listing, source)


def load_tensors(listing: Listing, source: Source) -> dict[str, torch.Tensor]:
    """The tensors of a listing by key.

    Raises:
        InputError: one of them has no values, or they cannot be read.
    """
    values = Values()
    return {spec.key: values.whole(source.pieces(spec.key), spec.key) for spec in listing}


def _load_torch_file(file: TorchFile) -> Any:
    """The object of a file: from its graph where that tells all of it (twice as fast), else by torch if it will."""
    import torch

    known = all(named.module.partition(".")[0] in _TORCH_KNOWS for named in file.graph.globals)
    if file.form == "zip" and known and not all(map(_is_plain, file.graph.globals)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(file.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception:  # something that torch does not load after all
            pass
    return _Maker(file).value(file.graph.root, "", 0)


def _is_plain(named: Global) -> bool:
    return named.path in _PLAIN or named.name.endswith("Storage") or dtype_of(named) is not None


class _Maker:
    """Plain values from the graph of a pickle; what is shared in the file stays one object."""

    def __init__(self, file: TorchFile) -> None:
        self._file = file
        self._values = Values()
        self._made: dict[int, Any] = {}

    def value(self, node: Node, name: str, depth: int) -> Any:
        """The value of a node; ``name`` is where it was found, for messages."""
        if node is None or isinstance(node, bool | int | float | str | bytes):
            return node
        if depth > MAX_DEPTH:
            return "..."
        if id(node) not in self._made:
            self._made[id(node)] = None  # what a tuple or an object sees of itself
            self._made[id(node)] = self._make(node, name, depth + 1)
        return self._made[id(node)]

    def _make(self, node: Node, name: str, depth: int) -> Any:
        tensor = tensor_of(node)
        if tensor is not None:
            return self._tensor(tensor, name)
        if isinstance(node, Table):
            return self._fill(self._keep(node, {}), node, depth)
        if isinstance(node, list):
            return self._extend(self._keep(node, []), node, name, depth)
        if isinstance(node, tuple):
            return tuple(self._extend([], node, name, depth))
        if isinstance(node, Bag):
            return self._bag(node, name, depth)
        if isinstance(node, Call):
            return self._call(node, name, depth)
        if isinstance(node, Global):
            return _dtype(node) or node.path
        return repr(node.pid) if isinstance(node, Persistent) else repr(node)

    def _keep(self, node: Node, value: Any) -> Any:
        self._made[id(node)] = value
        return value

    def _fill(self, made: dict[Any, Any], node: Node, depth: int) -> dict[Any, Any]:
        for key_node, value_node in dict_items(node) or ():
            key = self.value(key_node, "", depth)
            try:
                made[key] = self.value(value_node, str(key), depth)
            except TypeError:  # a key that was an object: a dictionary here
                made[repr(key)] = self.value(value_node, repr(key), depth)
        return made

    def _extend(self, made: list[Any], nodes: list[Node] | tuple[Node, ...], name: str, depth: int) -> list[Any]:
        made.extend(self.value(child, name, depth) for child in nodes)
        return made

    def _bag(self, node: Bag, name: str, depth: int) -> Any:
        elements = self._extend([], node.elements, name, depth)
        if node.kind == "bytearray":
            return bytearray(elements[0]) if elements and isinstance(elements[0], bytes) else bytearray()
        return _set(elements, node.kind)

    def _call(self, node: Call, name: str, depth: int) -> Any:
        import torch

        if module_attributes(node) is not None:
            return OrderedDict(
                (entry.key, self.value(entry.node, entry.key, depth))
                for entry in state_dict(node, str(self._file.path))
            )
        path = path_of(node.func)
        if path in _DICTS:
            made = self._fill(self._keep(node, OrderedDict()), node, depth)
            for key, value in (attributes(node) or {}).items():
                if key == "_metadata":
                    made._metadata = self.value(value, key, depth)  # type: ignore[attr-defined]
            return made
        shape = ints(node)
        if path == "torch.Size" and shape is not None:
            return torch.Size(shape)
        if path == "_codecs.encode" and isinstance(node.args, tuple) and node.args and isinstance(node.args[0], str):
            return node.args[0].encode("latin-1", "replace")
        kind = path.removeprefix("__builtin__.").removeprefix("builtins.")
        if kind in ("set", "frozenset") and isinstance(node.args, tuple) and node.args:
            return _set(self.value(node.args[0], name, depth), kind)
        return self._object(node, name, depth)

    def _object(self, node: Call, name: str, depth: int) -> dict[str, Any]:
        """An object of a class that is not there: its name, its attributes, and what it was made from."""
        args = node.args
        newobj = path_of(node.func) in ("copyreg.__newobj__", "copyreg._reconstructor", "copy_reg._reconstructor")
        of_class = args[0] if newobj and isinstance(args, tuple) and args else node.func
        made = self._keep(node, {"__class__": path_of(of_class) or "object"})
        found = attributes(node)
        if found is not None:
            made.update((key, self.value(value, key, depth)) for key, value in found.items())
        elif not newobj and args:
            made["__args__"] = self.value(args, name, depth)
        if node.items is not None:
            made.update((str(self.value(k, name, depth)), self.value(v, str(k), depth)) for k, v in node.items)
        if node.elements is not None:
            made["__items__"] = self.value(node.elements, name, depth)
        return made  # type: ignore[no-any-return]

    def _tensor(self, tensor: PickledTensor, name: str) -> Any:
        if tensor.type_name is None and tensor.storage is not None and not tensor.flipped:
            return self._values.tensor(self._file.place(tensor, name), name)
        what = tensor.type_name or ("negated or conjugated view" if tensor.flipped else "tensor without data")
        warnings.warn(f"{name!r} is a {what}, whose values cannot be loaded", stacklevel=2)
        return {"__class__": what, "shape": tensor.shape, "dtype": tensor.dtype}


def _set(elements: Any, kind: str) -> Any:
    """A set or frozenset; a list where an element was an object, which is a dictionary here."""
    try:
        return frozenset(elements) if kind == "frozenset" else set(elements)
    except TypeError:
        return elements


def _dtype(node: Global) -> torch.dtype | None:
    import torch

    name = dtype_of(node)
    return getattr(torch, name, None) if name is not None else None


def weights_of_opened(checkpoint: dict[str, Any], opened: OpenedSide) -> dict[str, Any]:
    """The dictionary of weights, in what `load_opened` made of an opened checkpoint.

    Raises:
        FormatError: what is there is no dictionary.
    """
    source = opened.source
    value: Any = checkpoint
    path = source.parts[0].weights.path if isinstance(source, TorchSource) and source.index is None else ()
    if path and path[0] not in checkpoint:
        value = checkpoint["checkpoint"]
    for name in path:
        value = value[int(name)] if isinstance(value, list | tuple) else value[name]
    if not isinstance(value, dict):
        raise FormatError(f"{opened.side.name} holds no dictionary of weights", "Load it with load_checkpoint_as_dict.")
    return value
