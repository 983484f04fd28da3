"""A corpus of hostile and broken files, made by code: `refused` must all be refused, `listed` can be read in part.

Each maker gets an empty folder, writes into it, and returns what is to be opened. None needs torch.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

Maker = Callable[[Path], Path]

CANARY = "canary"
"""A file of this name in the working folder would show that code of a file was run."""
SHELL = f"touch {CANARY}".encode()
MB = 1 << 20


# safetensors


def entry(dtype: str = "F32", shape: object = (2,), begin: object = 0, end: object = 8) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_safetensors(path: Path, header: object, data: bytes = bytes(8)) -> Path:
    """A file with this header (an object for JSON, or bytes as they are) and these data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


TWICE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
BROKEN_HEADERS: dict[str, tuple[object, str]] = {
    "no header": (b"", "does not begin with"),
    "not json": (b"{nonsense", "no JSON"),
    "not an object": (b"[1, 2]", "does not begin with"),
    "not utf-8": (b'{"\xff": 1}', "no JSON"),
    "field not utf-8": (
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"\xff":1,"data_offsets":[0,8]}}',
        "no JSON",
    ),
    "white space first": (b" {}", "does not begin with"),
    "text after it": (b"{} x", "no JSON"),
    "deep": (b'{"a":' + b"[" * 100_000, "no JSON|breaks the format"),
    "tensor is a list": ({"a": []}, "breaks the format"),
    "no type": ({"a": {"shape": [2], "data_offsets": [0, 8]}}, "unknown type"),
    "unknown type": ({"a": entry("F128")}, "unknown type 'F128'"),
    "type is a number": ({"a": {"dtype": 3, "shape": [2], "data_offsets": [0, 8]}}, "breaks the format"),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, "takes 4 bytes by its shape and 8"),
    "shape of text": ({"a": entry(shape=["2"])}, "breaks the format"),
    "negative length": ({"a": entry(shape=[-2, -1])}, "negative or too large"),
    "too large": ({"a": entry(shape=[1 << 40, 1 << 40])}, "negative or too large"),
    "very many dimensions": ({"a": entry(shape=[3] * 1_000_000)}, "negative or too large"),
    "fraction": ({"a": entry(shape=[2.5])}, "breaks the format"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, "no data_offsets"),
    "one offset": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, "breaks the format"),
    "three offsets": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 9]}}, "breaks the format"),
    "negative offset": ({"a": entry(begin=-8, end=0)}, "negative"),
    "huge offset": ({"a": entry(begin=1 << 70, end=1 << 71)}, "beyond the end"),
    "backwards": ({"a": entry(begin=8, end=0)}, "end before they begin"),
    "beyond the end": ({"a": entry(shape=[4], end=16)}, "beyond the end"),
    "wrong size": ({"a": entry(shape=[3])}, "takes 12 bytes by its shape and 8"),
    "half a byte": ({"a": entry("F4", shape=[3], end=2)}, "whole bytes"),
    "overlap": ({"a": entry(), "b": entry(shape=[1], begin=4, end=8)}, "overlap"),
    "gap": ({"a": entry(shape=[1], begin=4, end=8)}, "gap"),
    "bytes left over": ({"a": entry(shape=[1], end=4)}, "belong to no tensor"),
    "key twice": (TWICE, "stands twice"),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": entry()}, "breaks the format"),
    "metadata is text": ({"__metadata__": "x", "a": entry()}, "breaks the format"),
}
"""Each rule of the format broken once: the header, and what the error says."""


def _header(name: str, folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", BROKEN_HEADERS[name][0])


def _raw(name: str, data: bytes, folder: Path) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def _sized(length: int, folder: Path) -> Path:
    return _raw("w.safetensors", length.to_bytes(8, "little") + b"{}", folder)


def _many_entries(folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", b"{" + b'"a":{},' * (50 * MB // 7) + b'"b":{}}')


def _long_shape(folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", b'{"a":{"shape":[' + b"1," * (20 * MB) + b"1]}}")


# pickles


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


def _pickle(body: bytes | Callable[[], bytes], folder: Path) -> Path:
    return _raw("w.pt", program(body() if callable(body) else body), folder)


def _bare(data: bytes, folder: Path) -> Path:
    return _raw("w.pt", data, folder)


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
    "rebuild without arguments": table(w=b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
    "rebuild with a list": table(w=b"ctorch._utils\n_rebuild_tensor_v2\n]R"),
    "parameter of parameters": table(w=b"ctorch._utils\n_rebuild_parameter\n" * 5000 + b"N" + b"\x85R" * 5000),
    "module bomb": _module_bomb(),
    "module in itself": _module_cycle(),
    "module without tensors": _module(b"}"),
    "numbers for keys": b"}(K\x01" + tensor() + b"u",
}


def _of_protocol(protocol: int, folder: Path) -> Path:
    return _raw("w.pt", program(b"N", protocol), folder)


# zip archives


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(name), data, method)
    return held.getvalue()


def checkpoint(body: bytes | None = None, **members: bytes) -> dict[str, bytes]:
    """The members of a checkpoint of one tensor of four numbers."""
    return {"archive/data.pkl": program(body or table(w=tensor())), "archive/data/0": bytes(16), **members}


GOOD = archive(checkpoint())


def _zip(data: bytes, folder: Path) -> Path:
    return _raw("w.pt", data, folder)


def _patched(data: bytes, signature: bytes, offset: int, new: bytes, which: int = 0) -> bytes:
    """An archive with a field of one of its records overwritten."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    return data[: at + offset] + new + data[at + offset + len(new) :]


CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"
PACKED_SMALL = archive(checkpoint(), zipfile.ZIP_DEFLATED)
ZIPS: dict[str, bytes] = {
    "first half only": GOOD[: len(GOOD) // 2],
    "last byte missing": GOOD[:-1],
    "first bytes only": GOOD[:30],
    "nothing but the end": GOOD[GOOD.index(END) :],
    "no members": archive({}),
    "no pickle": archive({"archive/data/0": bytes(16)}),
    "numpy arrays": archive({"w.npy": b"\x93NUMPY"}),
    "exported program": archive({"model/archive_format": b"pt2"}),
    "pickle of nothing": archive(checkpoint() | {"archive/data.pkl": b""}),
    "pickle that is cut off": archive(checkpoint() | {"archive/data.pkl": program(table(w=tensor()))[:40]}),
    "pickle that calls": archive(checkpoint(b"cos\nsystem\n" + CALL)),
    "path upwards": archive(checkpoint() | {"../../x": b"1"}),
    "path upwards inside": archive(checkpoint() | {"archive/../../x": b"1"}),
    "absolute path": archive(checkpoint() | {"/etc/x": b"1"}),
    "path of windows": _patched(archive(checkpoint() | {"archive/xxx/y": b"1"}), b"PK\x01\x02", 46 + 8, b"\\..\\", 2),
    "null in a name": _patched(GOOD, CENTRAL, 46, b"\0"),
    "one name twice": _patched(archive(checkpoint() | {"archive/data/1": b"1"}), CENTRAL, 46 + 13, b"0", 2),
    "members overlap": _patched(GOOD, CENTRAL, 42, b"\0\0\0\0", 1),
    "member beyond the end": _patched(GOOD, CENTRAL, 42, b"\xf0\xff\xff\x7f", 1),
    "member of two sizes": _patched(GOOD, CENTRAL, 24, b"\x01\0\0\0"),
    "encrypted": _patched(GOOD, CENTRAL, 8, b"\x01\0"),
    "unknown packing": _patched(PACKED_SMALL, CENTRAL, 10, b"\x63\0"),
    "damaged packing": PACKED_SMALL.replace(PACKED_SMALL[60:70], b"\xff" * 10, 1),
    "says less than it holds": _patched(PACKED_SMALL, CENTRAL, 24, struct.pack("<L", 10)),
    "says more than it holds": _patched(PACKED_SMALL, CENTRAL, 24, struct.pack("<L", 100_000)),
    "directory signature": _patched(GOOD, CENTRAL, 0, b"XXXX"),
    "local signature": _patched(GOOD, b"PK\x03\x04", 2, b"XX"),
    "directory beyond the end": _patched(GOOD, END, 16, b"\xf0\xff\xff\x7f"),
    "directory of many members": _patched(GOOD, END, 10, b"\xff\xff"),
    "directory that is too short": _patched(GOOD, END, 12, b"\x05\0\0\0"),
    "split": _patched(GOOD, END, 4, b"\x01\0"),
    "sizes in a field that is not there": _patched(GOOD, CENTRAL, 20, b"\xff" * 8),
}


def _bomb(said: int | None, folder: Path) -> Path:
    """A pickle of 130 MB of zeros, packed."""
    body = b"X" + (130 * MB).to_bytes(4, "little") + bytes(130 * MB)
    data = archive({"archive/data.pkl": program(body)}, zipfile.ZIP_DEFLATED)
    return _raw("w.pt", data if said is None else _patched(data, CENTRAL, 24, struct.pack("<L", said)), folder)


def _zip64(end_offset: int, count: int, size: int, folder: Path) -> Path:
    """An archive with the end records of zip64."""
    at = GOOD.index(END)
    offset = GOOD.index(CENTRAL)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + end_offset, 1)
    end = _patched(GOOD[at:], END, 8, b"\xff" * 12)
    return _raw("w.pt", GOOD[:at] + end64 + locator + end, folder)


# the old formats

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def legacy(
    body: bytes | None = None, protocol: int = 1001, keys: bytes = b"](" + text("0") + b"e", tail: bytes | None = None
) -> bytes:
    """An old file of one tensor of four numbers."""
    head = MAGIC + program(number(protocol)) + program(table(little_endian=b"\x88"))
    viewed = storage().replace(b"tQ", b"NtQ")
    data = (4).to_bytes(8, "little") + bytes(16) if tail is None else tail
    return head + program(body or table(w=tensor(viewed))) + program(keys) + data


LEGACY: dict[str, bytes] = {
    "unknown version": legacy(protocol=1002),
    "magic number alone": MAGIC,
    "cut off in the pickle": legacy()[:120],
    "cut off in a storage": legacy()[:-3],
    "negative storage": legacy(tail=b"\xff" * 8 + bytes(16)),
    "huge storage": legacy(tail=b"\xff" * 7 + b"\x7f" + bytes(16)),
    "unknown storage": legacy(keys=b"](" + text("7") + b"e"),
    "storage twice": legacy(keys=b"](" + text("0") * 2 + b"e", tail=((4).to_bytes(8, "little") + bytes(16)) * 2),
    "keys are no list": legacy(keys=number(3)),
    "keys are numbers": legacy(keys=b"](K\x01e"),
    "os.system": legacy(b"cos\nsystem\n" + CALL),
    "pickle without end": MAGIC + b"\x80\x02" + b"N0" * MB,
}


def tar(**members: bytes) -> bytes:
    made = b""
    for name, data in members.items():
        head = name.encode().ljust(100, b"\0") + b"0000644\0" * 3 + b"%011o\0" % len(data) + b"0" * 12 + b" " * 8 + b"0"
        made += (head.ljust(257, b"\0") + b"ustar\0").ljust(512, b"\0")
        made += data.ljust((len(data) + 511) // 512 * 512, b"\0")
    return made + bytes(1024)


STORAGES = program(number(1)) + program(b"(" + number(1) + text("cpu") + b"ctorch\nFloatStorage\nt")
TENSORS = program(number(1)) + program(b"(" + number(2) + number(1) + b"ctorch\nFloatTensor\nt")
ONE = STORAGES + bytes(8) + program(b"]")
NONE = program(number(0))
TARS: dict[str, bytes] = {
    "of something else": tar(readme=b"hello"),
    "without a pickle": tar(storages=b"", tensors=b""),
    "cut off": tar(storages=STORAGES)[:600],
    "size that is no number": tar(storages=b"x").replace(b"00000000001\0", b"zzzzzzzzzzz\0", 1),
    "many storages": tar(storages=program(number(1 << 40)), tensors=b"", pickle=b""),
    "negative storages": tar(storages=program(number(-1)), tensors=b"", pickle=b""),
    "storage of a negative size": tar(storages=STORAGES + b"\xff" * 8, tensors=b"", pickle=b""),
    "storage of a huge size": tar(storages=STORAGES + b"\xff" * 7 + b"\x7f", tensors=b"", pickle=b""),
    "tensor of many dimensions": tar(storages=ONE, tensors=TENSORS + b"\xff\xff\xff\x7f" + bytes(4), pickle=b""),
    "tensor of a negative size": tar(
        storages=ONE, tensors=TENSORS + b"\1\0\0\0" + bytes(4) + b"\xff" * 8 + bytes(16), pickle=b""
    ),
    "os.system": tar(storages=NONE + program(b"]"), tensors=NONE, pickle=program(b"cos\nsystem\n" + CALL)),
}


# folders, indices, things that are no files


def _index(shard: str, folder: Path) -> Path:
    (folder / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    return folder


def _shard_is(make: Callable[[Path], object], folder: Path) -> Path:
    make(folder / "shard.safetensors")
    return _index("shard.safetensors", folder)


def _deep_index(folder: Path) -> Path:
    return _raw("model.safetensors.index.json", b'{"weight_map":' + b'{"a":' * 100_000, folder)


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "w.pt")
    return folder / "w.pt"


def _fifo_inside(name: str, folder: Path) -> Path:
    os.mkfifo(folder / name)
    return folder


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket is limited to some hundred bytes
        try:
            made.bind("w.pt")
        finally:
            os.chdir(before)
    return folder / "w.pt"


def _loop(folder: Path) -> Path:
    (folder / "a.pt").symlink_to(folder / "b.pt")
    (folder / "b.pt").symlink_to(folder / "a.pt")
    return folder / "a.pt"


def _dangling(folder: Path) -> Path:
    (folder / "a.pt").symlink_to(folder / "gone.pt")
    return folder / "a.pt"


def _folder_loop(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to(folder)
    return folder


def _same(path: str, folder: Path) -> Path:
    return folder / path


def _metadata(data: bytes, folder: Path) -> Path:
    (folder / ".metadata").write_bytes(data)
    return folder


def distributed(file: str, offset: bytes = number(0), size: bytes = numbers(4)) -> bytes:
    """The metadata of a distributed checkpoint of one tensor."""
    module = "torch.distributed.checkpoint."
    sized = b"ctorch\nSize\n(" + size + b"tR"
    origin = b"ctorch\nSize\n(" + numbers(0) + b"tR"

    def made(name: str, **state: bytes) -> bytes:
        return b"c" + f"{module}metadata\n{name}\n".encode() + b")\x81" + table(**state) + b"b"

    properties = f"c{module}metadata\nTensorProperties\n".encode() + b")\x81(ctorch\nfloat32\nNNNNtb"
    chunk = made("ChunkStorageMetadata", offsets=origin, sizes=sized)
    entries = table(w=made("TensorStorageMetadata", properties=properties, size=sized, chunks=b"](" + chunk + b"e"))
    index = made("MetadataIndex", fqn=text("w"), offset=origin, index=number(0))
    info = made("_StorageInfo", relative_path=text(file), offset=offset, length=number(10))
    return program(made("Metadata", state_dict_metadata=entries, storage_data=b"}(" + index + info + b"u"))


def _listing(content: str, folder: Path) -> Path:
    (folder / "l.json").write_text(content)
    return folder / "l.json"


SAME = '{"key": "a", "shape": [1]}'
OTHERS: dict[str, Maker] = {
    "header longer than the file": partial(_sized, 1000),
    "header longer than any": partial(_sized, 1 << 62),
    "seven bytes": partial(_raw, "w.safetensors", b"1234567"),
    "millions of tensors": _many_entries,
    "millions of dimensions": _long_shape,
    "no tensors": lambda folder: write_safetensors(folder / "w.safetensors", {}, b""),
    "protocol 6": partial(_of_protocol, 6),
    "no stop": partial(_bare, b"\x80\x02N"),
    "protocol alone": partial(_bare, b"\x80\x02"),
    "zip bomb": partial(_bomb, None),
    "zip bomb that says it is small": partial(_bomb, 1000),
    "zip64 end beyond the file": partial(_zip64, 1 << 40, 2, 100),
    "zip64 end elsewhere": partial(_zip64, -20, 2, 100),
    "zip64 of many members": partial(_zip64, 0, 1 << 40, 100),
    "zip64 directory of terabytes": partial(_zip64, 0, 2, 1 << 40),
    "empty file": partial(_raw, "w.pt", b""),
    "empty safetensors": partial(_raw, "w.safetensors", b""),
    "empty json": partial(_raw, "l.json", b""),
    "one byte": partial(_raw, "w.pt", b"\x80"),
    "zeros": partial(_raw, "w.pt", bytes(100_000)),
    "noise": partial(_raw, "w.bin", zlib.compress(bytes(range(256)) * 100)[2:]),
    "plain text": partial(_raw, "w.txt", b"hello\n"),
    "web page": partial(_raw, "w.pth", b"<!DOCTYPE html>"),
    "git lfs": partial(_raw, "w.pt", b"version https://git-lfs.github.com/spec/v1\n"),
    "git lfs safetensors": partial(_raw, "w.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
    "gzip": partial(_raw, "w.pt", b"\x1f\x8b\x08" + bytes(20)),
    "hdf5": partial(_raw, "w.h5", b"\x89HDF\r\n\x1a\n" + bytes(20)),
    "gguf": partial(_raw, "w.gguf", b"GGUF" + bytes(20)),
    "index with an absolute path": partial(_index, "/etc/passwd"),
    "index with a path upwards": partial(_index, "../../x.safetensors"),
    "index without its shard": partial(_index, "gone.safetensors"),
    "index of itself": partial(_index, "m.safetensors.index.json"),
    "deep index": _deep_index,
    "shard is a pipe": partial(_shard_is, os.mkfifo),
    "shard is a folder": partial(_shard_is, Path.mkdir),
    "shard is empty": partial(_shard_is, Path.touch),
    "pipe": _fifo,
    "pipe for metadata": partial(_fifo_inside, ".metadata"),
    "pipe in a folder": partial(_fifo_inside, "model.safetensors"),
    "socket": _socket,
    "device": lambda folder: Path("/dev/zero"),
    "terminal": lambda folder: Path("/dev/null"),
    "links in a circle": _loop,
    "link to nothing": _dangling,
    "folder in itself": _folder_loop,
    "nothing there": partial(_same, "gone.pt"),
    "file for a folder": lambda folder: _raw("w.pt", GOOD, folder) / "x.pt",
    "null in a path": partial(_same, "a\0b.pt"),
    "path of 5,000 characters": partial(_same, "x" * 5000),
    "empty folder": lambda folder: folder,
    "metadata of noise": partial(_metadata, b"noise"),
    "metadata that call": partial(_metadata, program(b"cos\nsystem\n" + CALL)),
    "metadata of an absolute path": partial(_metadata, distributed("/etc/passwd")),
    "metadata of a path upwards": partial(_metadata, distributed("../x")),
    "metadata without the data": partial(_metadata, distributed("gone.distcp")),
    "metadata of a negative offset": partial(_metadata, distributed("x", number(-1))),
    "metadata of another offset": partial(_metadata, distributed("x", number(0), numbers(-4))),
    "listing with a key twice": partial(_listing, f'{{"format": "wmtui-listing/1", "tensors": [{SAME}, {SAME}]}}'),
    "listing of another format": partial(_listing, '{"format": "x", "tensors": []}'),
    "deep listing": partial(_listing, '{"format":' + "[" * 100_000),
    "mapping for a listing": partial(_listing, '{"a": "b"}'),
}

REFUSED: dict[str, Maker] = {
    **{f"safetensors: {name}": partial(_header, name) for name in BROKEN_HEADERS},
    **{f"pickle: {name}": partial(_pickle, body) for name, body in PICKLES.items()},
    **{f"zip: {name}": partial(_zip, data) for name, data in ZIPS.items()},
    **{f"legacy: {name}": partial(_bare, data) for name, data in LEGACY.items()},
    **{f"tar: {name}": partial(_bare, data) for name, data in TARS.items()},
    **OTHERS,
}
"""What must be refused, by name."""

PARTLY: dict[str, bytes] = {
    "tensor beside os.system": archive(checkpoint(table(w=tensor(), x=b"cos\nsystem\n" + CALL))),
    "os.system before the tensor": archive(checkpoint(b"cos\nsystem\n" + CALL + b"0" + table(w=tensor()))),
    "classes that are not there": archive(checkpoint(table(w=tensor(), x=b"cno_such.place\nThing\n)\x81}b"))),
    "storage that is not there": archive({"archive/data.pkl": program(table(w=tensor()))}),
    "storage that is too short": archive(checkpoint() | {"archive/data/0": b"1"}),
    "tensor beyond its storage": archive(checkpoint(table(w=tensor(offset=number(1))))),
    "tensor of a terabyte": archive(checkpoint(table(w=tensor(size=numbers(1 << 38))))),
    "wrong checksum": _patched(GOOD, CENTRAL, 16, b"abcd"),
}
"""What is listed all the same, with a note: one tensor ``w``."""
