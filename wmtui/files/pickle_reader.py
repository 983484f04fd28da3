"""The reader of pickles: opcodes in, a `wmtui.files.pickle_graph.Graph` out; see there for what is safe about it."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import repeat

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.folding import NOTABLE, Fold, Unfoldable
from wmtui.files.pickle_graph import Call, Global, Graph, Persistent, Table
from wmtui.files.pickle_machine import LONG_TEXT, MAX_STACK, NOT_TORCH, OTHERS, TOO_LARGE, Machine
from wmtui.files.quiet_gc import no_garbage_collection

MAX_STEPS = 16_000_000
_BETWEEN = 1000
"""Steps between two looks at the room that is left."""

_int32 = struct.Struct("<i").unpack_from
_uint32 = struct.Struct("<I").unpack_from
_uint16 = struct.Struct("<H").unpack_from


class Truncated(FormatError):
    """The data end before the pickle does."""


def read_pickle(data: bytes, where: str, start: int = 0, *, fold: Fold | None = None) -> Graph:
    """Read one pickle.

    Args:
        data: bytes that hold it.
        where: what messages call it: a file, or a member of a file.
        start: its first byte.
        fold: makes what is kept of plain tensors, such as `wmtui.files.folded.FoldedTensor` itself; ``None`` to keep
            their calls.

    Raises:
        Truncated: the data end before it does.
        UnsafeError: it would take more memory or time than any checkpoint needs.
        FormatError: it is no pickle.
    """
    machine = Machine(data, where, start, MAX_STEPS, fold)
    with suppress(Unfoldable):
        return _read(machine)
    machine = Machine(data, where, start, machine.steps, fold=None)  # the other one is gone
    return _read(machine)


def _read(machine: Machine) -> Graph:
    data, where = machine.data, machine.where
    with no_garbage_collection():
        try:
            return _run(machine)
        except (IndexError, struct.error) as e:
            if machine.pos >= len(data) or isinstance(e, struct.error):
                raise Truncated(f"{where}: the pickle ends too early", NOT_TORCH) from e
            raise machine.broken("takes more from its stack than there is") from e
        except (UnicodeDecodeError, ValueError, TypeError, OverflowError) as e:
            if isinstance(e, FormatError):
                raise
            raise machine.broken(f"holds a value that cannot be read ({type(e).__name__})") from e


def _run(machine: Machine) -> Graph:
    """The main loop: the opcodes of tensors in order of frequency, all others by table."""
    data, stack, marks, memo = machine.data, machine.stack, machine.marks, machine.memo
    size = len(data)
    pos = machine.pos
    push = stack.append
    remember = memo.append
    shared = machine.shared
    room = machine.room
    fold = machine.folder.fold if machine.folder is not None else None
    try:
        while machine.steps > 0:
            machine.steps -= _BETWEEN
            for _ in repeat(None, _BETWEEN):
                op = data[pos]
                pos += 1
                if op == 0x71:  # BINPUT
                    index = data[pos]
                    pos += 1
                    if index == len(memo):
                        remember(stack[-1])
                    else:
                        machine.put(index)
                elif op == 0x72:  # LONG_BINPUT
                    (index,) = _uint32(data, pos)
                    pos += 4
                    if index == len(memo):
                        remember(stack[-1])
                    else:
                        machine.put(index)
                        room -= 4
                elif op == 0x68:  # BINGET
                    index = data[pos]
                    pos += 1
                    push(memo[index] if index < len(memo) else machine.recall(index))
                    if type(stack[-1]) in NOTABLE:
                        machine.again(stack[-1])
                elif op == 0x6A:  # LONG_BINGET
                    (index,) = _uint32(data, pos)
                    pos += 4
                    push(memo[index] if index < len(memo) else machine.recall(index))
                    if type(stack[-1]) in NOTABLE:
                        machine.again(stack[-1])
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
                    push(shared(made) if made and type(made[0]) is int else made)
                    room -= 2 + (len(made) >> 2)
                elif op == 0x85 or op == 0x86 or op == 0x87:  # TUPLE1, TUPLE2, TUPLE3
                    made = tuple(stack[0x84 - op :])
                    if len(made) != op - 0x84:
                        raise IndexError
                    del stack[0x84 - op :]
                    push(shared(made) if type(made[0]) is int else made)
                    room -= 3
                elif op == 0x52:  # REDUCE
                    args = stack.pop()
                    func = stack[-1]
                    folded = fold(func, args) if fold and type(func) is Global else None
                    stack[-1] = Call("reduce", func, args) if folded is None else folded
                    room -= 4
                elif op == 0x58:  # BINUNICODE
                    (length,) = _uint32(data, pos)
                    pos += 4 + length
                    if pos > size:
                        raise struct.error
                    room -= 2 + (length >> 5)
                    if length > LONG_TEXT:
                        room -= machine.price(length, room)
                    push(str(data[pos - length : pos], "utf-8", "surrogatepass"))
                elif op == 0x51:  # BINPERSID
                    if type(stack[-1]) is Persistent:
                        raise machine.broken("names what lies outside by something outside")
                    stack[-1] = persistent = Persistent(stack[-1])
                    machine.persistents.append(persistent)
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
                    if machine.sparse:
                        machine.put(len(memo) + len(machine.sparse))
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
                    machine.pos = pos
                    named, persistents = tuple(machine.globals.values()), tuple(machine.persistents)
                    tensors = tuple(machine.folder.folded) if machine.folder is not None else ()
                    return Graph(stack.pop(), machine.protocol, pos, named, persistents, tensors)
                else:
                    handler = OTHERS.get(op)
                    if handler is None:
                        raise machine.broken(f"holds the unknown opcode 0x{op:02x}")
                    machine.pos = pos
                    machine.room = room
                    handler(machine)
                    pos = machine.pos
                    room = machine.room
            if room < 0 or len(stack) > MAX_STACK:
                raise machine.too_large()
    finally:
        machine.pos = pos
    raise UnsafeError(f"{machine.where}: the pickle takes more steps than any checkpoint needs", TOO_LARGE)
