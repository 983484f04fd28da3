"""A corpus of hostile and broken files, made by code: `refused` must all be refused, `listed` can be read in part.

Each maker gets an empty folder, writes into it, and returns what is to be opened. None needs torch.
"""

from __future__ import annotations

import json
import os
import socket
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.files.hostile_archives import (
    CENTRAL,
    GOOD,
    LEGACY,
    TARS,
    ZIPS,
    archive,
    bomb,
    checkpoint,
    patched,
    zip64,
    zip_file,
)
from tests.files.hostile_headers import (
    BROKEN_HEADERS,
    header_file,
    long_shape,
    many_entries,
    raw_file,
    sized_header,
    write_safetensors,
)
from tests.files.hostile_pickles import (
    CALL,
    PICKLES,
    bare_file,
    number,
    numbers,
    of_protocol,
    pickle_file,
    program,
    storage,
    table,
    tensor,
    text,
)

Maker = Callable[[Path], Path]


def _index(shard: str, folder: Path) -> Path:
    (folder / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    return folder


def _shard_is(make: Callable[[Path], object], folder: Path) -> Path:
    make(folder / "shard.safetensors")
    return _index("shard.safetensors", folder)


def _deep_index(folder: Path) -> Path:
    return raw_file("model.safetensors.index.json", b'{"weight_map":' + b'{"a":' * 100_000, folder)


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
    "header longer than the file": partial(sized_header, 1000),
    "header longer than any": partial(sized_header, 1 << 62),
    "seven bytes": partial(raw_file, "w.safetensors", b"1234567"),
    "millions of tensors": many_entries,
    "millions of dimensions": long_shape,
    "no tensors": lambda folder: write_safetensors(folder / "w.safetensors", {}, b""),
    "protocol 6": partial(of_protocol, 6),
    "no stop": partial(bare_file, b"\x80\x02N"),
    "protocol alone": partial(bare_file, b"\x80\x02"),
    "zip bomb": partial(bomb, None),
    "zip bomb that says it is small": partial(bomb, 1000),
    "zip64 end beyond the file": partial(zip64, 1 << 40, 2, 100),
    "zip64 end elsewhere": partial(zip64, -20, 2, 100),
    "zip64 of many members": partial(zip64, 0, 1 << 40, 100),
    "zip64 directory of terabytes": partial(zip64, 0, 2, 1 << 40),
    "empty file": partial(raw_file, "w.pt", b""),
    "empty safetensors": partial(raw_file, "w.safetensors", b""),
    "empty json": partial(raw_file, "l.json", b""),
    "one byte": partial(raw_file, "w.pt", b"\x80"),
    "zeros": partial(raw_file, "w.pt", bytes(100_000)),
    "noise": partial(raw_file, "w.bin", zlib.compress(bytes(range(256)) * 100)[2:]),
    "plain text": partial(raw_file, "w.txt", b"hello\n"),
    "web page": partial(raw_file, "w.pth", b"<!DOCTYPE html>"),
    "git lfs": partial(raw_file, "w.pt", b"version https://git-lfs.github.com/spec/v1\n"),
    "git lfs safetensors": partial(raw_file, "w.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
    "gzip": partial(raw_file, "w.pt", b"\x1f\x8b\x08" + bytes(20)),
    "hdf5": partial(raw_file, "w.h5", b"\x89HDF\r\n\x1a\n" + bytes(20)),
    "gguf": partial(raw_file, "w.gguf", b"GGUF" + bytes(20)),
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
    "file for a folder": lambda folder: raw_file("w.pt", GOOD, folder) / "x.pt",
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
    **{f"safetensors: {name}": partial(header_file, name) for name in BROKEN_HEADERS},
    **{f"pickle: {name}": partial(pickle_file, body) for name, body in PICKLES.items()},
    **{f"zip: {name}": partial(zip_file, data) for name, data in ZIPS.items()},
    **{f"legacy: {name}": partial(bare_file, data) for name, data in LEGACY.items()},
    **{f"tar: {name}": partial(bare_file, data) for name, data in TARS.items()},
    **OTHERS,
}
"""What must be refused, by name."""

PARTLY: dict[str, bytes] = {
    "tensor beside os.system": archive(checkpoint(table(w=tensor(), x=b"cos\nsystem\n" + CALL))),
    "os.system before the tensor": archive(checkpoint(b"cos\nsystem\n" + CALL + b"0" + table(w=tensor()))),
    "tensor for a class": archive(checkpoint(table(w=tensor(), x=tensor() + b")R", y=b"cno_such.place\nThing\n)R"))),
    "classes that are not there": archive(checkpoint(table(w=tensor(), x=b"cno_such.place\nThing\n)\x81}b"))),
    "storage that is not there": archive({"archive/data.pkl": program(table(w=tensor()))}),
    "storage that is too short": archive(checkpoint() | {"archive/data/0": b"1"}),
    "storage of a name that is no text": archive(checkpoint(table(w=tensor(storage(key=text("\ud800")))))),
    "storage of a path upwards": archive(checkpoint(table(w=tensor(storage(key=text("../../x")))))),
    "tensor beyond its storage": archive(checkpoint(table(w=tensor(offset=number(1))))),
    "tensor of a terabyte": archive(checkpoint(table(w=tensor(size=numbers(1 << 38))))),
    "wrong checksum": patched(GOOD, CENTRAL, 16, b"abcd"),
}
"""What is listed all the same, with a note: one tensor ``w``."""
