"""Finding the dictionaries of weights in a checkpoint that nests them (``state_dict``, ``model``, ``ema``, ...).

A dictionary of weights is a dict with names for keys and tensors among its values, or a whole pickled module. Of a
dictionary and those inside it, the one with the most tensors stands; single numbers, such as metrics that were kept as
tensors, don't count. Optimizer states, schedulers, hyper-parameters and the like are looked into only where there is
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

from wmtui.core.listing import Kind
from wmtui.core.printable import plural, printable
from wmtui.errors import ChoiceError, KeyMissingError
from wmtui.files.folded import FoldedTensor
from wmtui.files.pickle_graph import Node, dict_items, string_items
from wmtui.files.pickled_modules import attributes, module_attributes, state_dict
from wmtui.files.torch_tensors import PickledTensor, tensor_of

MAX_DEPTH = 12
MAX_VISITS = 200_000
MAX_LIST = 64
_SINGLE = ((), (1,))
_ASIDE = ("optim", "sched", "scaler", "rng", "random", "callback", "loop", "hparam", "hyper_param", "config", "args")


class Tensors(Sequence[tuple[str, Node, PickledTensor]]):
    """(key, node, tensor) of each entry of a dictionary; what folded nodes say is made each time it is asked for."""

    def __init__(self, entries: Iterable[tuple[str, Node, PickledTensor]] = ()) -> None:
        self._keys: list[str] = []
        self._nodes: list[Node] = []
        self._known: list[PickledTensor | None] = []
        for entry in entries:
            self.append(*entry)

    def append(self, key: str, node: Node, tensor: PickledTensor | None = None) -> None:
        """One more at the end; of a folded node, its tensor need not be made for it."""
        self._keys.append(key)
        self._nodes.append(node)
        self._known.append(None if isinstance(node, FoldedTensor) else tensor)

    @property
    def size(self) -> int:
        """Number of those that are more than single numbers; numpy's arrays don't count beside torch's."""
        return sum(map(self._counts, self._nodes, self._known))

    @staticmethod
    def _counts(node: Node, known: PickledTensor | None) -> bool:
        if isinstance(node, FoldedTensor):
            return node.view.shape not in _SINGLE
        return known is not None and known.shape not in _SINGLE and known.type_name != "ndarray"

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, at: int) -> tuple[str, Node, PickledTensor]: ...

    @overload
    def __getitem__(self, at: slice) -> Tensors: ...

    def __getitem__(self, at: int | slice) -> tuple[str, Node, PickledTensor] | Tensors:
        if isinstance(at, slice):
            return Tensors(self[i] for i in range(*at.indices(len(self))))
        return self._entry(self._keys[at], self._nodes[at], self._known[at])

    def __iter__(self) -> Iterator[tuple[str, Node, PickledTensor]]:
        return map(self._entry, self._keys, self._nodes, self._known)

    @staticmethod
    def _entry(key: str, node: Node, known: PickledTensor | None) -> tuple[str, Node, PickledTensor]:
        tensor = known or tensor_of(node)
        assert tensor is not None
        return key, node, tensor


@dataclass(frozen=True)
class Weights:
    """One dictionary of weights.

    Attributes:
        path: the keys that lead to it; empty for the top level.
        node: the dict or the module.
        tensors: (key, node, tensor) in order.
        kinds: key -> kind, where the file tells: in modules.
        is_module: whether it is a whole pickled module.
    """

    path: tuple[str, ...]
    node: Node
    tensors: Tensors
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    is_module: bool = False

    @cached_property
    def size(self) -> int:
        """As of `Tensors`."""
        return self.tensors.size

    @property
    def name(self) -> str:
        """The path as ``--weights-key`` takes it."""
        return ".".join(self.path)


def find_weights(root: Node, where: str) -> list[Weights]:
    """All dictionaries of weights below a node, in order.

    Args:
        root: the object of a checkpoint.
        where: the file's name for messages.

    Raises:
        UnsafeError: a pickled model is larger than any real one.
    """
    search = _Search(where)
    search.visit((), root, search.found)
    found = search.found or search.aside
    return [weights for weights in found if weights.size] or found


def choose(root: Node, found: Sequence[Weights], weights_key: str | None, where: str) -> Weights:
    """The dictionary that was asked for (any dict with tensors will do, or a module), or else the only one found.

    Raises:
        ChoiceError: there are several, and none was asked for.
        KeyMissingError: there is none at the given path.
    """
    if weights_key is not None:
        for weights in found:
            if weights.name == weights_key:
                return weights
        for path, node in nodes_at(root, weights_key):
            asked = weights_at(path, node, where)
            if asked is not None:
                return asked
        names = ", ".join(printable(weights.name) or "''" for weights in found)
        raise KeyMissingError(f"{where} has no dictionary of weights at {weights_key!r}", f"there are: {names}")
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{printable(weights.name)} ({plural(len(weights.tensors), 'tensor')})" for weights in found)
    raise ChoiceError(
        f"{where} holds several dictionaries of weights: {names}",
        f"choose one, such as --weights-key {printable(found[0].name)}",
        tuple(weights.name for weights in found),
    )


class _Search:
    """A walk through an object; what lies under names such as ``optimizer`` is kept apart."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[Weights] = []
        self.aside: list[Weights] = []
        self.seen: set[int] = set()

    def visit(self, path: tuple[str, ...], node: Node, into: list[Weights]) -> int:
        """Look into one node; returns the size of the largest dictionary in it."""
        if len(path) > MAX_DEPTH or id(node) in self.seen or len(self.seen) > MAX_VISITS:
            return 0
        self.seen.add(id(node))
        if module_attributes(node) is not None:
            whole = weights_at(path, node, self.where)
            if whole is not None:
                into.append(whole)
                return whole.size
        tensors, children = _look_into(node)
        own = Weights(path, node, tensors) if tensors and dict_items(node) is not None else None
        first = len(into)
        largest = 0
        for name, child in children:
            if into is self.found and any(part in name.lower() for part in _ASIDE):
                self.visit((*path, name), child, self.aside)
            else:
                largest = max(largest, self.visit((*path, name), child, into))
        if own is None or own.size < largest or (own.size == 0 and len(into) > first):
            return largest
        into[first:] = [own]
        return own.size


def nodes_at(node: Node, path: str, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """The nodes that a path of names joined by dots leads to; several where names hold dots themselves."""
    if not path:
        yield before, node
        return
    if len(before) < MAX_DEPTH:
        for name, child in _look_into(node)[1]:
            if path == name:
                yield (*before, name), child
            elif path.startswith(f"{name}."):
                yield from nodes_at(child, path[len(name) + 1 :], (*before, name))


def _look_into(node: Node) -> tuple[Tensors, list[tuple[str, Node]]]:
    """The tensors right in a dict, the attributes of an object or a short list; and what else there is to look into."""
    inside: Iterable[tuple[str, Node]]
    if dict_items(node) is not None:
        inside = string_items(node)
    elif isinstance(node, (list, tuple)) and len(node) <= MAX_LIST:
        inside = ((str(i), child) for i, child in enumerate(node))
    else:
        inside = (attributes(node) or {}).items()
    tensors, children = Tensors(), []
    for name, child in inside:
        if isinstance(child, FoldedTensor):
            tensors.append(name, child)
        elif (tensor := tensor_of(child)) is not None:
            tensors.append(name, child, tensor)
        elif not isinstance(child, (str, bytes, int, float, type(None))):
            children.append((name, child))
    return tensors, children


def weights_at(path: tuple[str, ...], node: Node, where: str) -> Weights | None:
    """A dict's own tensors or those of a module's ``state_dict()``; ``None`` where there are none."""
    if module_attributes(node) is None:
        tensors = _look_into(node)[0] if dict_items(node) is not None else Tensors()
        return Weights(path, node, tensors) if tensors else None
    entries = list(state_dict(node, where))
    tensors = Tensors((e.key, e.node, tensor) for e in entries if (tensor := tensor_of(e.node)) is not None)
    kinds = {entry.key: entry.kind for entry in entries}
    return Weights(path, node, tensors, kinds, is_module=True) if tensors else None
