"""The writer of pickles: a graph of `wmtui.files.pickle_graph` back into opcodes.

A graph that came from protocol 2 is written with its opcodes only: they are what ``torch.save`` writes, and all that
``torch.load(weights_only=True)`` reads. An object that stands at several places is written once and recalled from the
memo. No recursion: a graph may be as deep as its pickle was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import cast

from wmtui.errors import FormatError
from wmtui.files.folded import PERSISTENT_ID, FoldedTensor
from wmtui.files.pickle_graph import NO_STATE, Bag, Call, Global, Node, Persistent, Table

_BATCH = 1000
"""Items between two SETITEMS or APPENDS, as CPython does it."""
_SHORT = 8
"""Arguments that are written again where two calls share them."""
_MAX_TEXTS = 10_000
"""Texts that are recalled where they come again."""
_double = struct.Struct(">d").pack
_uint32 = struct.Struct("<I").pack
_int32 = struct.Struct("<i").pack


class _Raw:
    """Opcodes on the writer's stack of things to do."""

    __slots__ = ("data", "memo")

    def __init__(self, data: bytes, memo: object = None) -> None:
        self.data = data
        self.memo = memo


_MARK = _Raw(b"(")
_TUPLE = _Raw(b"t")
_SETITEMS = _Raw(b"u")
_APPENDS = _Raw(b"e")
_ADDITEMS = _Raw(b"\x90")
_BUILD = _Raw(b"b")
_PERSID = _Raw(b"Q")


def write_pickle(
    root: Node,
    protocol: int,
    persistent: Callable[[Persistent], Node],
    folded: Callable[[FoldedTensor], object] = lambda _: None,
    instead: Mapping[int, Node] | None = None,
) -> bytearray:
    """One pickle of a graph.

    Args:
        protocol: what the original declared; it decides by which names Python 3 finds the classes of Python 2.
        persistent: called for each persistent id in the order of writing; gives what is written in its place.
        folded: called for each folded tensor in the order of writing.
        instead: by the ``id`` of nodes of the graph, those that are written in their places.

    Raises:
        FormatError: the graph holds something that no pickle can.
    """
    return _Writer(max(2, protocol), persistent, folded, instead or {}).run(root)


class _Writer:
    def __init__(
        self, protocol: int, persistent: Callable[[Persistent], Node], folded: Callable[[FoldedTensor], object],
        instead: Mapping[int, Node],
    ) -> None:  # fmt: skip
        self.protocol = protocol
        self.persistent = persistent
        self.folded = folded
        self.instead = instead
        self.out = bytearray(b"\x80" + bytes([protocol]))
        self.memo: dict[int, int] = {}
        self.texts: dict[str, int] = {}
        self.slots = 0
        self.kept: list[Node] = []  # the memo goes by identity, which only lasts as long as the object

    def run(self, root: Node) -> bytearray:
        todo: list[Node] = [root]
        out = self.out
        while todo:
            node = todo.pop()
            kind = type(node)
            if kind is _Raw:
                raw = cast(_Raw, node)
                out += raw.data
                if raw.memo is not None:
                    self.remember(raw.memo)
            elif kind is str:
                self.text(cast(str, node))
            elif kind is int:
                self.integer(cast(int, node))
            elif node is None:
                out += b"N"
            elif node is True:
                out += b"\x88"
            elif node is False:
                out += b"\x89"
            elif kind is float:
                out += b"G" + _double(cast(float, node))
            elif kind is tuple and not node:
                out += b")"
            elif id(node) in self.memo:
                self.recall(self.memo[id(node)])
            elif kind is FoldedTensor:
                self.tensor(cast(FoldedTensor, node))
            elif id(node) in self.instead:
                todo.append(self.instead[id(node)])
            else:
                self.begin(node, todo)
        out += b"."
        return out

    def tensor(self, node: FoldedTensor) -> None:
        """A folded tensor, whose parts nothing else recalls."""
        self.folded(node)
        like, view = node.like, node.view
        self.leaf(like.func)
        self.out += b"(("
        self.leaf(PERSISTENT_ID)
        self.leaf(like.storage_class)
        self.unremembered(node.key)
        self.leaf(like.location)
        self.integer(view.numel)
        self.out += b"tQ"
        self.integer(view.offset)
        self.integers(view.shape)
        self.integers(view.strides)
        self.out += b"\x88" if like.requires_grad else b"\x89"
        self.leaf(like.hooks)
        self.out += b")R"
        if like.dtype is not None:
            self.leaf(like.dtype)
        self.out += b"tR"
        if node.recalled:
            self.remember(node)

    def leaf(self, node: str | Global) -> None:
        if isinstance(node, str):
            self.text(node)
        elif id(node) in self.memo:
            self.recall(self.memo[id(node)])
        else:
            self.named(node)

    def integers(self, numbers: tuple[int, ...]) -> None:
        self.out += b"" if len(numbers) <= 3 else b"("
        for number in numbers:
            self.integer(number)
        self.out += (b")", b"\x85", b"\x86", b"\x87")[len(numbers)] if len(numbers) <= 3 else b"t"

    def begin(self, node: Node, todo: list[Node]) -> None:
        """Begin an object; what is left to do for it goes onto the stack, last things first."""
        if isinstance(node, tuple):
            if len(node) <= 3:
                todo.append(_Raw(bytes([0x84 + len(node)]), node))
                todo.extend(reversed(node))
            else:
                todo.append(_Raw(b"t", node))
                todo.extend(reversed(node))
                todo.append(_MARK)
        elif isinstance(node, Call):
            self.call(node, todo)
        elif isinstance(node, Persistent):
            placed = self.persistent(node)
            self.kept.append(placed)
            if isinstance(placed, Persistent):
                todo += [_PERSID, placed.pid]
            else:
                todo.append(placed)
        elif isinstance(node, Global):
            self.named(node)
        elif isinstance(node, Table):
            self.out += b"}"
            self.remember(node)
            self.items(node.items, todo)
        elif isinstance(node, list):
            self.out += b"]"
            self.remember(node)
            self.batches(node, _APPENDS, todo)
        elif isinstance(node, bytes):
            # in protocol 2 these are strings of Python 2, unless they would be read as text then
            self.out += (b"B" if self.protocol > 2 or node.isascii() else b"T") + _uint32(len(node)) + node
            self.remember(node)
        elif isinstance(node, Bag):
            self.bag(node, todo)
        else:
            raise FormatError(f"the pickle holds a {type(node).__name__}, which cannot be written")

    def named(self, node: Global) -> None:
        if node.path.isprintable():
            self.out += b"c" + f"{node.module}\n{node.name}\n".encode()
        else:  # no name of Python's: what comes after a line break would be read as opcodes
            self.text(node.module)
            self.text(node.name)
            self.out += b"\x93"
        self.remember(node)

    def call(self, node: Call, todo: list[Node]) -> None:
        if node.state is not NO_STATE:
            todo += [_BUILD, node.state]
        if node.items:
            self.items(node.items, todo)
        if node.elements:
            self.batches(node.elements, _APPENDS, todo)
        if node.how == "inst":
            arguments = node.args if isinstance(node.args, tuple) else (node.args,)
            todo += [_Raw(b"o", node), *reversed(arguments), node.func, _MARK]
        elif node.how == "newobj_ex":
            todo += [_Raw(b"\x92", node), node.kwargs, node.args, node.func]
        else:
            todo.append(_Raw(b"\x81" if node.how == "newobj" else b"R", node))
            args = node.args
            if isinstance(args, tuple) and 3 < len(args) <= _SHORT and id(args) not in self.memo:
                todo.append(_TUPLE)  # not remembered: nothing else recalls the arguments of a tensor
                todo.extend(reversed(args))
                todo.append(_MARK)
            else:
                todo.append(args)
            todo.append(node.func)

    def bag(self, node: Bag, todo: list[Node]) -> None:
        if node.kind == "bytearray":
            content = b"".join(element for element in node.elements if isinstance(element, bytes))
            self.out += b"\x96" + struct.pack("<Q", len(content)) + content
            self.remember(node)
            return
        if node.kind == "frozenset":
            todo += [_Raw(b"\x91", node), *reversed(node.elements), _MARK]
        else:
            self.out += b"\x8f"
            self.remember(node)
            self.batches(node.elements, _ADDITEMS, todo)

    def items(self, items: list[tuple[Node, Node]], todo: list[Node]) -> None:
        self.batches([node for item in items for node in item], _SETITEMS, todo, 2 * _BATCH)

    def batches(self, nodes: list[Node], close: _Raw, todo: list[Node], size: int = _BATCH) -> None:
        last = (len(nodes) - 1) // size * size
        for start in range(last, -1, -size) if nodes else ():
            todo.append(close)
            todo.extend(reversed(nodes[start : start + size]))
            todo.append(_MARK)

    def text(self, text: str) -> None:
        slot = self.texts.get(text)
        if slot is not None:
            self.recall(slot)
            return
        self.unremembered(text)
        if len(self.texts) < _MAX_TEXTS:
            self.texts[text] = self.slots
            self.put()

    def unremembered(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.out += b"X" + _uint32(len(data)) + data

    def integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += bytes((0x4B, value))
        elif 0 <= value < 65536:
            self.out += b"M" + value.to_bytes(2, "little")
        elif -(1 << 31) <= value < 1 << 31:
            self.out += b"J" + _int32(value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += b"\x8a" + bytes([len(data)]) if len(data) < 256 else b"\x8b" + _int32(len(data))
            self.out += data

    def remember(self, node: object) -> None:
        self.memo[id(node)] = self.slots
        self.put()

    def put(self) -> None:
        self.out += bytes((0x71, self.slots)) if self.slots < 256 else b"r" + _uint32(self.slots)
        self.slots += 1

    def recall(self, slot: int) -> None:
        self.out += bytes((0x68, slot)) if slot < 256 else b"j" + _uint32(slot)
