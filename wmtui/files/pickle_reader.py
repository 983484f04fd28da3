"""The reader of pickles: opcodes in, a `wmtui.files.pickle_graph.Graph` out; see there for what is safe about it."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from itertools import repeat
from typing import Literal, cast

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.pickle_graph import NO_STATE, Bag, Call, Global, Graph, Node, Persistent, Table
from wmtui.files.quiet_gc import no_garbage_collection

MAX_STEPS = 16_000_000
MAX_STACK = 4_000_000
UNIT = 32
"""Bytes that one unit of room stands for."""
MAX_UNITS = 320 * (1 << 20) // UNIT
_NOT_TORCH = "make sure that the file is a checkpoint, or save it again with torch.save(model.state_dict(), ...)"
_TOO_LARGE = "save only the weights: torch.save(model.state_dict(), ...)"

_double = struct.Struct(">d").unpack_from
_int32 = struct.Struct("<i").unpack_from
_uint32 = struct.Struct("<I").unpack_from
_uint16 = struct.Struct("<H").unpack_from
_uint64 = struct.Struct("<Q").unpack_from


class Truncated(FormatError):
    """The data end before the pickle does."""


def read_pickle(data: bytes, where: str, start: int = 0) -> Graph:
    """Read one pickle.

    Args:
        data: bytes that hold it.
        where: what messages call it: a file, or a member of a file.
        start: its first byte.

    Raises:
        Truncated: the data end before it does.
        UnsafeError: it would take more memory or time than any checkpoint needs.
        FormatError: it is no pickle.
    """
    reader = _Reader(data, where, start)
    with no_garbage_collection():
        try:
            return reader.run()
        except (IndexError, struct.error) as e:
            if reader.pos >= len(data) or isinstance(e, struct.error):
                raise Truncated(f"{where}: the pickle ends too early", _NOT_TORCH) from e
            raise reader.broken("takes more from its stack than there is") from e
        except (UnicodeDecodeError, ValueError, TypeError, OverflowError) as e:
            if isinstance(e, FormatError):
                raise
            raise reader.broken(f"holds a value that cannot be read ({type(e).__name__})") from e


class _Reader:
    """The machine that a pickle is a program for, without its dangerous half."""

    def __init__(self, data: bytes, where: str, start: int) -> None:
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
        self.room = MAX_UNITS

    def broken(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: the pickle {what} (at byte {self.pos - self.start})", _NOT_TORCH)

    def too_large(self) -> UnsafeError:
        return UnsafeError(f"{self.where}: the pickle asks for more memory than any checkpoint needs", _TOO_LARGE)

    def run(self) -> Graph:
        """The main loop: the opcodes of tensors in order of frequency, all others by table."""
        data, stack, marks, memo = self.data, self.stack, self.marks, self.memo
        size = len(data)
        pos = self.pos
        push = stack.append
        remember = memo.append
        room = self.room
        for _ in repeat(None, MAX_STEPS):
            self.pos = pos
            op = data[pos]
            pos += 1
            if op == 0x71:  # BINPUT
                index = data[pos]
                pos += 1
                if index == len(memo):
                    remember(stack[-1])
                else:
                    self.put(index)
            elif op == 0x72:  # LONG_BINPUT
                (index,) = _uint32(data, pos)
                pos += 4
                if index == len(memo):
                    remember(stack[-1])
                else:
                    self.put(index)
                    room -= 4
            elif op == 0x68:  # BINGET
                index = data[pos]
                pos += 1
                push(memo[index] if index < len(memo) else self.recall(index))
            elif op == 0x6A:  # LONG_BINGET
                (index,) = _uint32(data, pos)
                pos += 4
                push(memo[index] if index < len(memo) else self.recall(index))
            elif op == 0x4B:  # BININT1
                push(data[pos])
                pos += 1
            elif op == 0x4D:  # BININT2
                push(_uint16(data, pos)[0])
                pos += 2
                room -= 1
            elif op == 0x28:  # MARK
                marks.append(len(stack))
            elif op == 0x74:  # TUPLE
                mark = marks.pop()
                made = tuple(stack[mark:])
                del stack[mark:]
                push(made)
                room -= 2 + (len(made) >> 2)
            elif op == 0x85 or op == 0x86 or op == 0x87:  # TUPLE1, TUPLE2, TUPLE3
                made = tuple(stack[0x84 - op :])
                if len(made) != op - 0x84:
                    raise IndexError
                del stack[0x84 - op :]
                push(made)
                room -= 3
            elif op == 0x52:  # REDUCE
                args = stack.pop()
                stack[-1] = Call("reduce", stack[-1], args)
                room -= 4
            elif op == 0x58:  # BINUNICODE
                (length,) = _uint32(data, pos)
                pos += 4 + length
                if pos > size:
                    raise struct.error
                push(str(data[pos - length : pos], "utf-8", "surrogatepass"))
                room -= 2 + (length >> 5)
            elif op == 0x51:  # BINPERSID
                stack[-1] = persistent = Persistent(stack[-1])
                self.persistents.append(persistent)
                room -= 2
            elif op == 0x29:  # EMPTY_TUPLE
                push(())
            elif op == 0x89:  # NEWFALSE
                push(False)
            elif op == 0x4A:  # BININT
                push(_int32(data, pos)[0])
                pos += 4
                room -= 1
            elif op == 0x94:  # MEMOIZE
                if self.sparse:
                    self.put(len(memo) + len(self.sparse))
                else:
                    remember(stack[-1])
            elif op == 0x8C:  # SHORT_BINUNICODE
                length = data[pos]
                pos += 1 + length
                if pos > size:
                    raise struct.error
                push(str(data[pos - length : pos], "utf-8", "surrogatepass"))
                room -= 2 + (length >> 5)
            elif op == 0x7D:  # EMPTY_DICT
                push(Table())
                room -= 5
            elif op == 0x5D:  # EMPTY_LIST
                push([])
                room -= 3
            elif op == 0x4E:  # NONE
                push(None)
            elif op == 0x88:  # NEWTRUE
                push(True)
            elif op == 0x30:  # POP
                if marks and marks[-1] == len(stack):
                    marks.pop()
                else:
                    stack.pop()
            elif op == 0x2E:  # STOP
                self.pos = pos
                named = tuple(self.globals.values())
                return Graph(stack.pop(), self.protocol, pos, named, tuple(self.persistents))
            else:
                handler = _OTHERS.get(op)
                if handler is None:
                    raise self.broken(f"holds the unknown opcode 0x{op:02x}")
                self.pos = pos
                self.room = room
                handler(self)
                pos = self.pos
                room = self.room
            if room < 0 or len(stack) > MAX_STACK:
                raise self.too_large()
        raise UnsafeError(f"{self.where}: the pickle takes more steps than any checkpoint needs", _TOO_LARGE)

    # memo

    def put(self, index: int) -> None:
        """Remember the top of the stack under an index that is not the next one."""
        if index < len(self.memo):
            self.memo[index] = self.stack[-1]
        else:
            if len(self.sparse) > 1_000_000:
                raise self.too_large()
            self.sparse[index] = self.stack[-1]

    def recall(self, index: int) -> Node:
        try:
            return self.sparse[index]
        except KeyError:
            raise self.broken(f"recalls entry {index} of its memo, which it never made") from None

    def put_line(self) -> None:
        index = int(self.line())
        if index == len(self.memo):
            self.memo.append(self.stack[-1])
        else:
            self.put(index)

    def recall_line(self) -> Node:
        index = int(self.line())
        return self.memo[index] if 0 <= index < len(self.memo) else self.recall(index)

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
            raise self.broken("appends to something that is no list")

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
            raise self.broken("sets items of something that is no dict")

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Call):
            raise self.broken("sets the state of something that is no object")
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

    def int_line(self) -> None:
        raw = self.line()
        self.stack.append({b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else int(raw, 0))

    def unsupported(self) -> None:
        raise self.broken("uses extension codes or buffers outside of the file, which no checkpoint does")


def _others() -> dict[int, Callable[[_Reader], object]]:
    """All opcodes but the frequent ones, which `_Reader.run` carries out itself."""

    def push(read: Callable[[_Reader], Node]) -> Callable[[_Reader], None]:
        return lambda r: r.stack.append(read(r))

    def popped(use: Callable[[_Reader, list[Node]], None]) -> Callable[[_Reader], None]:
        return lambda r: use(r, r.popmark())

    table: dict[bytes, Callable[[_Reader], object]] = {
        b"\x80": _Reader.proto,
        b"\x95": lambda r: r.take(8),  # FRAME
        b"c": _Reader.global_,
        b"\x93": _Reader.stack_global,
        b"b": _Reader.build,
        b"\x81": _Reader.newobj,
        b"\x92": _Reader.newobj_ex,
        b"i": _Reader.inst,
        b"o": _Reader.obj,
        b"d": popped(_Reader.table),
        b"u": popped(_Reader.set_items),
        b"s": lambda r: r.set_items([r.stack.pop(), r.stack.pop()][::-1]),
        b"l": popped(_Reader.list_),
        b"e": popped(_Reader.append),
        b"a": lambda r: r.append([r.stack.pop()]),
        b"\x8f": lambda r: r.bag("set", []),
        b"\x90": popped(_Reader.append),  # ADDITEMS
        b"\x91": popped(lambda r, values: r.bag("frozenset", values)),
        b"\x96": lambda r: r.bag("bytearray", [r.take(r.number(8))]),
        b"P": _Reader.persistent_line,
        b"G": push(lambda r: cast(float, _double(r.take(8))[0])),
        b"F": push(lambda r: float(r.line())),
        b"I": _Reader.int_line,
        b"L": push(lambda r: int(r.line().removesuffix(b"L"))),
        b"\x8a": push(lambda r: r.number(r.number(1), signed=True)),
        b"\x8b": push(lambda r: r.number(r.number(4, signed=True), signed=True)),
        b"S": _Reader.string_line,
        b"U": lambda r: r.text(r.take(r.number(1))),
        b"T": lambda r: r.text(r.take(r.number(4, signed=True))),
        b"V": push(lambda r: r.line().decode("raw-unicode-escape")),
        b"\x8d": push(lambda r: str(r.take(r.number(8)), "utf-8", "surrogatepass")),
        b"C": push(lambda r: r.take(r.number(1))),
        b"B": push(lambda r: r.take(r.number(4))),
        b"\x8e": push(lambda r: r.take(r.number(8))),
        b"1": _Reader.popmark,
        b"2": push(lambda r: r.stack[-1]),
        b"g": push(_Reader.recall_line),
        b"p": _Reader.put_line,
        **dict.fromkeys((b"\x82", b"\x83", b"\x84", b"\x97", b"\x98"), _Reader.unsupported),
    }
    return {code[0]: handler for code, handler in table.items()}


_OTHERS = _others()
