"""TorchScript archives: the parameters and buffers of a scripted module, listed but not renamed.

An object's attributes are in ``data.pkl``; which of them are parameters and buffers stands in the archive's code, in
the lines ``__parameters__`` and ``__buffers__`` of each class. The code is only searched for these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wmtui.core.listing import Kind
from wmtui.errors import UnsafeError
from wmtui.files.pickle_graph import Call, Global, Node
from wmtui.files.pickled_modules import MAX_DEPTH, MAX_KEYS, attributes, module_class
from wmtui.files.regular_file import RegularFile
from wmtui.files.torch_file import TorchFile
from wmtui.files.torch_tensors import tensor_of
from wmtui.files.unwrap import Tensors, Weights
from wmtui.files.zip_directory import read_member

MAX_CODE = 64 << 20
_CLASS = re.compile(r"^class (\w+)\(Module\):\n  __parameters__ = \[(.*?)\]\n  __buffers__ = \[(.*?)\]", re.M | re.S)
_NAME = re.compile(r'"([^"\\]+)"')

_Names = dict[str, Kind]


def script_weights(file: TorchFile) -> Weights:
    """The parameters and buffers of an archive's module, in the order of its ``state_dict()``.

    Raises:
        UnsafeError: its code is larger, or its modules are more, than those of any real model.
    """
    kinds = _declared(file)
    tensors = Tensors()
    found: dict[str, Kind] = {}
    stack: list[tuple[str, Node, int]] = [("", file.graph.root, 0)]
    seen = 0
    while stack:
        prefix, node, depth = stack.pop()
        inside = attributes(node) or {}
        names = kinds.get(node.func.path, {}) if isinstance(node, Call) and isinstance(node.func, Global) else {}
        for wanted in ("parameter", "buffer"):
            for name, value in inside.items():
                tensor = tensor_of(value) if names.get(name) == wanted else None
                if tensor is not None:
                    tensors.append(prefix + name, value, tensor)
                    found[prefix + name] = names[name]
        children = [(f"{prefix}{name}.", value, depth + 1) for name, value in inside.items() if _is_module(value)]
        seen += len(children)
        if seen > MAX_KEYS or depth > MAX_DEPTH or len(prefix) > 10_000:
            raise UnsafeError(f"{file.path}: more modules than any real model has", "do not trust this file")
        stack.extend(reversed(children))
    return Weights((), file.graph.root, tensors, found, is_module=True)


def script_class(file: TorchFile) -> str:
    """The bare name of the module's class."""
    return module_class(file.graph.root)


def _is_module(node: Node) -> bool:
    return isinstance(node, Call) and isinstance(node.func, Global) and node.func.module.startswith("__torch__")


def _declared(file: TorchFile) -> Mapping[str, _Names]:
    """Path of each class -> its parameters and buffers, from the code of the classes that the pickle names."""
    assert file.directory is not None
    declared: dict[str, _Names] = {}
    room = MAX_CODE
    with RegularFile(file.path, file.start, file.size) as opened:
        for module in sorted({named.module for named in file.graph.globals if named.module.startswith("__torch__")}):
            member = file.directory.members.get(f"{file.top}code/{module.replace('.', '/')}.py")
            if member is None:
                continue
            code = read_member(opened, member, room).decode("utf-8", "replace")
            room -= len(code)
            for name, parameters, buffers in _CLASS.findall(code):
                kinds: _Names = dict.fromkeys(_NAME.findall(parameters), "parameter")
                declared[f"{module}.{name}"] = kinds | dict.fromkeys(_NAME.findall(buffers), "buffer")
    return declared
