"""Modules (``torch.nn.Module``) in a pickle's graph: what their ``state_dict()`` would hold, without their classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wmtui.core.listing import Kind
from wmtui.errors import UnsafeError
from wmtui.files.pickle_graph import Bag, Call, Node, dict_items, path_of, string_items
from wmtui.files.torch_tensors import class_name, tensor_of

MAX_DEPTH = 400
MAX_KEYS = 500_000
MAX_TEXT = 100_000_000
"""Characters of all prefixes together."""


class ModuleTensor(NamedTuple):
    """One entry of a module's ``state_dict()``."""

    key: str
    node: Node
    kind: Kind


def attributes(node: Node) -> dict[str, Node] | None:
    """The attributes of a pickled object by name, where its state is a dict; else ``None``."""
    if not isinstance(node, Call):
        return None
    state = node.state
    if isinstance(state, tuple) and len(state) == 2 and dict_items(state[0]) is not None:
        state = state[0]  # (attributes, slots)
    if dict_items(state) is None and path_of(node.func).startswith("torch.fx.graph_module.reduce_"):
        state = node.args[0] if isinstance(node.args, tuple) and node.args else None
    return dict(string_items(state)) if dict_items(state) is not None else None


def module_attributes(node: Node) -> dict[str, Node] | None:
    """The attributes of a module; ``None`` for anything else."""
    found = attributes(node)
    if found is None or "_modules" not in found or "_parameters" not in found:
        return None
    return found


def module_class(node: Node) -> str:
    """The bare name of a module's class."""
    if isinstance(node, Call):
        args = node.args
        by_function = path_of(node.func) in ("copyreg.__newobj__", "copy_reg._reconstructor", "copyreg._reconstructor")
        return class_name(args[0] if by_function and isinstance(args, tuple) and args else node.func)
    return "object"


def state_dict(module: Node, where: str) -> Iterator[ModuleTensor]:
    """The entries of a module's ``state_dict()``, in its order; what is shared stands at each of its names.

    Raises:
        UnsafeError: more keys or deeper nesting than any model has.
    """
    seen = text = 0
    stack: list[tuple[str, Node, int]] = [("", module, 0)]
    while stack:
        prefix, node, depth = stack.pop()
        found = module_attributes(node)
        if found is None:
            continue
        for key, value in string_items(found["_parameters"]):
            if tensor_of(value) is not None:
                seen += 1
                yield ModuleTensor(prefix + key, value, "parameter")
        hidden = _names(found.get("_non_persistent_buffers_set"))
        for key, value in string_items(found.get("_buffers")):
            if key not in hidden and tensor_of(value) is not None:
                seen += 1
                yield ModuleTensor(prefix + key, value, "buffer")
        children = list(string_items(found["_modules"]))
        seen += len(children)
        text += len(prefix) * (1 + len(children))
        if seen > MAX_KEYS or text > MAX_TEXT or depth > MAX_DEPTH:
            raise UnsafeError(f"{where}: a pickled model has more keys or levels than any real one", "do not trust it")
        stack.extend((f"{prefix}{key}.", value, depth + 1) for key, value in reversed(children))


def _names(node: Node) -> frozenset[str]:
    """The strings of a pickled set."""
    elements: object = ()
    if isinstance(node, Bag):
        elements = node.elements
    elif isinstance(node, Call) and path_of(node.func).endswith(".set") and isinstance(node.args, tuple) and node.args:
        elements = node.args[0]
    if not isinstance(elements, (list, tuple)):
        return frozenset()
    return frozenset(name for name in elements if isinstance(name, str))
