"""Hostile and broken pickles, as programs of opcodes, and the parts of torch's that they are made of."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.files.hostile_headers import MB, raw_file

CANARY = "canary"
"""A file of this name in the working folder would show that code of a file was run."""
SHELL = f"touch {CANARY}".encode()


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + len(raw).to_bytes(4, "little") + raw


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: bytes = text("0"), numel: bytes = number(4), kind: bytes = b"ctorch\nFloatStorage\n") -> bytes:
    return b"(" + text("storage") + kind + key + text("cpu") + numel + b"tQ"


def tensor(
    held: bytes | None = None, offset: bytes = number(0), size: bytes = numbers(4), stride: bytes = numbers(1)
) -> bytes:
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + (held or storage()) + offset + size + stride + b"\x89" + hooks + b"tR"
    )


def table(**values: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def program(body: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def pickle_file(body: bytes | Callable[[], bytes], folder: Path) -> Path:
    return raw_file("w.pt", program(body() if callable(body) else body), folder)


def bare_file(data: bytes, folder: Path) -> Path:
    return raw_file("w.pt", data, folder)


def _module(children: bytes, extra: bytes = b"") -> bytes:
    """A pickled module, all of whose state but its children is empty."""
    state = table(_parameters=b"}", _buffers=b"}", _modules=children) + extra
    return b"c__main__\nNet\n)\x81" + state + b"b"


def _module_bomb() -> bytes:
    """A module that holds the one before it twice, sixty levels deep: 2 ** 60 keys."""
    body = b"c__main__\nNet\n)\x81" + table(_parameters=table(w=tensor()), _buffers=b"}", _modules=b"}") + b"bq\x01"
    for level in range(2, 60):
        state = table(
            _parameters=b"}", _buffers=b"}", _modules=table(a=b"h" + bytes([level - 1]), b=b"h" + bytes([level - 1]))
        )
        body += b"0c__main__\nNet\n)\x81" + state + b"bq" + bytes([level])
    return body


def _module_cycle() -> bytes:
    state = (
        b"}(" + text("_parameters") + b"}" + text("_buffers") + b"}" + text("_modules") + b"}" + text("me") + b"h\x01su"
    )
    return b"c__main__\nNet\n)\x81q\x01" + state + b"b"


CALL = b"(S'" + SHELL + b"'\ntR"
PICKLES: dict[str, bytes | Callable[[], bytes]] = {
    "os.system": b"cos\nsystem\n" + CALL,
    "posix.system": b"cposix\nsystem\n" + CALL,
    "builtins.eval": b"cbuiltins\neval\n(" + text("__import__('os').system('touch canary')") + b"tR",
    "builtins.exec": b"c__builtin__\nexec\n(" + text("open('canary', 'w')") + b"tR",
    "subprocess": b"csubprocess\nPopen\n((" + text("touch") + text(CANARY) + b"ltR",
    "stack global": text("os") + text("system") + b"\x93" + CALL,
    "inst": b"(S'" + SHELL + b"'\nios\nsystem\n",
    "obj": b"(cos\nsystem\nS'" + SHELL + b"'\no",
    "newobj": b"csubprocess\nPopen\n(" + text(CANARY) + b"t\x81",
    "chain": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(" + text("os") + b"tR" + text("system") + b"tR" + CALL,
    "build": b"ccollections\nOrderedDict\n)R}" + text("__setstate__") + b"cos\nsystem\nsb(S'" + SHELL + b"'\ntR",
    "torch.load": b"ctorch\nload\n(" + text("other.pt") + b"tR",
    "in a dict": table(a=b"cos\nsystem\n" + CALL, b=number(3)),
    "extension code": b"\x82\x01",
    "out of band buffer": b"\x97",
    "huge memo index": b"Nr\xff\xff\xff\xff",
    "many memo indices": lambda: b"N" + b"".join(b"r" + struct.pack("<I", 4099 * i) for i in range(1, 1_040_000)),
    "memo of everything": lambda: b"N" + b"\x94" * 17_000_000,
    "10 million nested lists": lambda: b"]" * 10_000_000 + b"a" * 9_999_999,
    "nested tuples": lambda: b")" + b"\x85" * 10_000_000,
    "nested dicts": lambda: b"}" + b"K\x01}" * 300_000,
    "nested calls": lambda: b"c__main__\nf\n" + b")R" * 300_000,
    "a million lists, each in the next": lambda: b"]q\x01" + b"]h\x01aq\x01" * 1_000_000,
    "marks": lambda: b"(" * 5_000_000 + b"t",
    "numbers": lambda: b"](" + b"K\x01" * 4_100_000 + b"e",
    "short strings in lists": lambda: b"](" + (b"(" + b"X\x02\0\0\0ab" * 1000 + b"l") * 6_000 + b"e",
    "steps": lambda: b"N0" * 8_500_000 + b"N",
    "doubling": b")" + b"2\x86" * 64,
    "list in itself": b"]q\x01h\x01a",
    "dict in itself": b"}q\x01" + text("me") + b"h\x01s",
    "text of wide characters": lambda: text("a" * (126 * MB) + "\U0001f600"),
    "long text": b"X\xff\xff\xff\xff" + b"a" * 100,
    "very long text": b"\x8d" + b"\xff" * 8 + b"a",
    "very long bytes": b"\x8e" + b"\xff" * 7 + b"\x7fa",
    "very long bytearray": b"\x96" + b"\x00" * 6 + b"\xff\x00",
    "long number": b"\x8b\x80\x96\x98\x00" + b"\x7f" * 10_000_000,
    "negative length": b"\x8b\xff\xff\xff\xff",
    "number of many digits": b"L" + b"9" * 1_000_000 + b"L\n",
    "bad number": b"Ixyz\n",
    "bad float": b"Fxyz\n",
    "bad text": b"X\x02\x00\x00\x00\xff\xfe",
    "bad quotes": b"Sxyz\n",
    "unknown opcode": b"\xf0",
    "empty stack": b"0",
    "no mark": b"t",
    "no memo": b"h\x07",
    "no memo, long": b"j\x07\x00\x00\x01",
    "append to a number": b"K\x01K\x02a",
    "set items of a list": b"]K\x01K\x02s",
    "odd items": b"}(K\x01u",
    "build a list": b"]}b",
    "class of numbers": b"K\x01K\x02\x93",
    "storage alone": storage(),
    "tensor alone": tensor(),
    "tensor of text": table(w=tensor(size=text("big"))),
    "tensor of a negative size": table(w=tensor(size=numbers(-4))),
    "tensor of a huge size": table(w=tensor(size=numbers(1 << 62))),
    "tensor of 65 dimensions": table(w=tensor(size=numbers(*[1] * 65), stride=numbers(*[1] * 65))),
    "more strides than sizes": table(w=tensor(stride=numbers(1, 1))),
    "negative storage": table(w=tensor(storage(numel=number(-1)))),
    "storage of a list": table(w=tensor(storage(key=b"]"))),
    "storage of an unknown class": table(w=tensor(storage(kind=b"cos\nsystem\n"))),
    "persistent id of text": table(w=tensor(text("0") + b"Q")),
    "persistent id of persistent ids": table(w=b"N" + b"Q" * 1000),
    "rebuild without arguments": table(w=b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
    "rebuild with a list": table(w=b"ctorch._utils\n_rebuild_tensor_v2\n]R"),
    "parameter of parameters": table(w=b"ctorch._utils\n_rebuild_parameter\n" * 5000 + b"N" + b"\x85R" * 5000),
    "module bomb": _module_bomb(),
    "module in itself": _module_cycle(),
    "module without tensors": _module(b"}"),
    "numbers for keys": b"}(K\x01" + tensor() + b"u",
}


def of_protocol(protocol: int, folder: Path) -> Path:
    return raw_file("w.pt", program(b"N", protocol), folder)
