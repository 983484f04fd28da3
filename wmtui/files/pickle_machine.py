"""The machine that a pickle is a program for, without its dangerous half: its state, and the less frequent opcodes."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Literal, cast

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.folded import FoldedTensor
from wmtui.files.folding import NOTABLE, Fold, Folder, Unfoldable
from wmtui.files.pickle_graph import NO_STATE, Bag, Call, Global, Node, Persistent, Table

MAX_STACK = 4_000_000
MAX_SPARSE = 1_000_000
MAX_SHARED = 10_000
_INT = frozenset({int})
UNIT = 32
"""Bytes that one unit of room stands for."""
MAX_UNITS = 320 * (1 << 20) // UNIT
LONG_TEXT = 100_000
"""Bytes from which on a text pays for the four bytes that each of its characters may take."""
NOT_TORCH = "make sure that the file is a checkpoint, or save it again with torch.save(model.state_dict(), ...)"
TOO_LARGE = "save only the weights: torch.save(model.state_dict(), ...)"

_double = struct.Struct(">d").unpack_from


class Machine:
    """Stack, memo and position of a pickle that is being read.

    Attributes:
        data: bytes that hold the pickle.
        where: what messages call it.
        pos: the opcode that is read now; ``start`` is the first.
        room: units of memory that may still be taken.
        steps: opcodes that may still be carried out, about.
        folder: what folds tensors; ``None`` where none are folded.
    """

    def __init__(self, data: bytes, where: str, start: int, steps: int, fold: Fold | None) -> None:
        self.data = data
        self.where = where
        self.pos = start
        self.start = start
        self.protocol = 0
        self.stack: list[Node] = []
        self.marks: list[int] = []
        self.memo: list[Node] = []
        self.sparse: dict[int, Node] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.persistents: list[Persistent] = []
        self.tuples: dict[tuple[Node, ...], tuple[Node, ...]] = {}
        self.room = MAX_UNITS
        self.steps = steps
        self.folder = Folder(fold, self.memo, self.persistents) if fold is not None else None

    def broken(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: the pickle {what} (at byte {self.pos - self.start})", NOT_TORCH)

    def too_large(self) -> UnsafeError:
        return UnsafeError(f"{self.where}: the pickle asks for more memory than any checkpoint needs", TOO_LARGE)

    def shared(self, made: tuple[Node, ...]) -> tuple[Node, ...]:
        """An equal tuple of whole numbers that was made before: of 100,000 tensors there are few shapes."""
        if not _INT.issuperset(map(type, made)):  # True and 1.0 equal 1
            return made
        if len(self.tuples) < MAX_SHARED:
            return self.tuples.setdefault(made, made)
        return self.tuples.get(made, made)

    # memo

    def put(self, index: int) -> None:
        """Remember the top of the stack under an index that is not the next one, as no checkpoint's writer does.

        Raises:
            Unfoldable: what folds tensors would not find it.
        """
        if self.folder is not None:
            raise Unfoldable
        if index < len(self.memo):
            self.memo[index] = self.stack[-1]
        else:
            if len(self.sparse) > MAX_SPARSE:
                raise self.too_large()
            self.sparse[index] = self.stack[-1]

    def recall(self, index: int) -> Node:
        if 0 <= index < len(self.memo):
            return self.again(self.memo[index])
        try:
            return self.again(self.sparse[index])
        except KeyError:
            raise self.broken(f"recalls entry {index} of its memo, which it never made") from None

    def again(self, node: Node) -> Node:
        """A node that gets one more place."""
        if self.folder is not None and type(node) in NOTABLE:
            self.folder.recalled(node)
        return node

    def no_target(self, what: str) -> Exception:
        """The error for something that cannot be changed in that way."""
        return Unfoldable() if isinstance(self.stack[-1], FoldedTensor) else self.broken(what)

    def put_line(self) -> None:
        index = int(self.line())
        if index == len(self.memo):
            self.memo.append(self.stack[-1])
        else:
            self.put(index)

    def recall_line(self) -> Node:
        return self.recall(int(self.line()))

    # reading

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes."""
        end = self.pos + length
        if length < 0:
            raise self.broken("holds a negative length")
        if end > len(self.data):
            raise struct.error
        piece = self.data[self.pos : end]
        self.pos = end
        self.room -= 2 + (length >> 5)
        return piece

    def line(self) -> bytes:
        """The next line, without its end."""
        end = self.data.find(b"\n", self.pos)
        if end < 0:
            raise struct.error
        piece = self.data[self.pos : end]
        self.pos = end + 1
        self.room -= 2 + (len(piece) >> 5)
        return piece

    def number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def price(self, length: int, room: int) -> int:
        """Units that a long text takes besides its bytes, if there is so much room."""
        units = length * 3 // UNIT
        if units > room:
            raise self.too_large()
        return units

    def unicode(self, raw: bytes) -> str:
        if len(raw) > LONG_TEXT:
            self.room -= self.price(len(raw), self.room)
        return str(raw, "utf-8", "surrogatepass")

    def popmark(self) -> list[Node]:
        """Everything above the last mark."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    # opcodes

    def proto(self) -> None:
        self.protocol = self.number(1)
        if self.protocol > 5:
            raise self.broken(f"says that it has protocol {self.protocol}; 5 is the newest that is known")

    def named(self, module: str, name: str) -> Global:
        found = self.globals.get((module, name))
        if found is None:
            found = self.globals[module, name] = Global(module, name)
            self.room -= 8
        return found

    def global_(self) -> None:
        module, name = self.line(), self.line()
        self.stack.append(self.named(module.decode(), name.decode()))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.broken("names a class by something that is no text")
        self.stack.append(self.named(module, name))

    def append(self, values: list[Node]) -> None:
        target = self.stack[-1]
        self.room -= 1 + (len(values) >> 2)
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Call):
            if target.elements is None:
                target.elements = []
            target.elements.extend(values)
        elif isinstance(target, Bag):
            target.elements.extend(values)
        else:
            raise self.no_target("appends to something that is no list")

    def set_items(self, values: list[Node]) -> None:
        target = self.stack[-1]
        if len(values) % 2:
            raise self.broken("sets items of a dict without a value")
        self.room -= len(values) * 2
        pairs = zip(values[::2], values[1::2], strict=True)
        if isinstance(target, Table):
            target.items.extend(pairs)
        elif isinstance(target, Call):
            if target.items is None:
                target.items = []
            target.items.extend(pairs)
        else:
            raise self.no_target("sets items of something that is no dict")

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Call):
            raise self.no_target("sets the state of something that is no object")
        target.state = state if target.state is NO_STATE else (target.state, state)

    def make(self, how: Literal["reduce", "newobj", "newobj_ex", "inst"], func: Node, args: Node) -> Call:
        self.room -= 4
        made = Call(how, func, args)
        self.stack.append(made)
        return made

    def newobj(self) -> None:
        args, func = self.stack.pop(), self.stack.pop()
        self.make("newobj", func, args)

    def newobj_ex(self) -> None:
        kwargs, args, func = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.make("newobj_ex", func, args).kwargs = kwargs

    def persistent_line(self) -> None:
        made = Persistent(self.line().decode())
        self.persistents.append(made)
        self.stack.append(made)

    def inst(self) -> None:
        module, name = self.line(), self.line()
        self.make("inst", self.named(module.decode(), name.decode()), tuple(self.popmark()))

    def obj(self) -> None:
        func, *args = self.popmark()
        self.make("inst", func, tuple(args))

    def table(self, values: list[Node]) -> None:
        self.room -= 5
        self.stack.append(Table())
        self.set_items(values)

    def list_(self, values: list[Node]) -> None:
        self.room -= 3 + (len(values) >> 2)
        self.stack.append(values)

    def bag(self, kind: Literal["set", "frozenset", "bytearray"], elements: list[Node]) -> None:
        self.room -= 6 + (len(elements) >> 2)
        self.stack.append(Bag(kind, elements))

    def text(self, raw: bytes) -> None:
        """Python 2 strings: text where they are ASCII, else bytes."""
        self.stack.append(raw.decode("ascii") if raw.isascii() else raw)

    def string_line(self) -> None:
        raw = self.line()
        if len(raw) < 2 or raw[:1] not in (b"'", b'"') or raw[:1] != raw[-1:]:
            raise self.broken("holds a string without quotes")
        self.text(codecs.escape_decode(raw[1:-1])[0])

    def unicode_line(self) -> str:
        raw = self.line()
        self.room -= self.price(len(raw), self.room)
        return raw.decode("raw-unicode-escape")

    def int_line(self) -> None:
        raw = self.line()
        self.stack.append({b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else int(raw, 0))

    def unsupported(self) -> None:
        raise self.broken("uses extension codes or buffers outside of the file, which no checkpoint does")


def _others() -> dict[int, Callable[[Machine], object]]:
    """All opcodes but the frequent ones, which `wmtui.files.pickle_reader` carries out itself."""

    def push(read: Callable[[Machine], Node]) -> Callable[[Machine], None]:
        return lambda r: r.stack.append(read(r))

    def popped(use: Callable[[Machine, list[Node]], None]) -> Callable[[Machine], None]:
        return lambda r: use(r, r.popmark())

    table: dict[bytes, Callable[[Machine], object]] = {
        b"\x80": Machine.proto,
        b"\x95": lambda r: r.take(8),  # FRAME
        b"c": Machine.global_,
        b"\x93": Machine.stack_global,
        b"b": Machine.build,
        b"\x81": Machine.newobj,
        b"\x92": Machine.newobj_ex,
        b"i": Machine.inst,
        b"o": Machine.obj,
        b"d": popped(Machine.table),
        b"u": popped(Machine.set_items),
        b"s": lambda r: r.set_items([r.stack.pop(), r.stack.pop()][::-1]),
        b"l": popped(Machine.list_),
        b"e": popped(Machine.append),
        b"a": lambda r: r.append([r.stack.pop()]),
        b"\x8f": lambda r: r.bag("set", []),
        b"\x90": popped(Machine.append),  # ADDITEMS
        b"\x91": popped(lambda r, values: r.bag("frozenset", values)),
        b"\x96": lambda r: r.bag("bytearray", [r.take(r.number(8))]),
        b"P": Machine.persistent_line,
        b"G": push(lambda r: cast(float, _double(r.take(8))[0])),
        b"F": push(lambda r: float(r.line())),
        b"I": Machine.int_line,
        b"L": push(lambda r: int(r.line().removesuffix(b"L"))),
        b"\x8a": push(lambda r: r.number(r.number(1), signed=True)),
        b"\x8b": push(lambda r: r.number(r.number(4, signed=True), signed=True)),
        b"S": Machine.string_line,
        b"U": lambda r: r.text(r.take(r.number(1))),
        b"T": lambda r: r.text(r.take(r.number(4, signed=True))),
        b"V": push(Machine.unicode_line),
        b"\x8d": push(lambda r: r.unicode(r.take(r.number(8)))),
        b"C": push(lambda r: r.take(r.number(1))),
        b"B": push(lambda r: r.take(r.number(4))),
        b"\x8e": push(lambda r: r.take(r.number(8))),
        b"1": Machine.popmark,
        b"2": push(lambda r: r.again(r.stack[-1])),
        b"g": push(Machine.recall_line),
        b"p": Machine.put_line,
        **dict.fromkeys((b"\x82", b"\x83", b"\x84", b"\x97", b"\x98"), Machine.unsupported),
    }
    return {code[0]: handler for code, handler in table.items()}


OTHERS = _others()
