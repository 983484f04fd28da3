"""Hostile and broken zip archives and files of old formats."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from tests.files.hostile_headers import MB, raw_file
from tests.files.hostile_pickles import CALL, number, program, storage, table, tensor, text


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


def zip_file(data: bytes, folder: Path) -> Path:
    return raw_file("w.pt", data, folder)


def patched(data: bytes, signature: bytes, offset: int, new: bytes, which: int = 0) -> bytes:
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
    "path of windows": patched(archive(checkpoint() | {"archive/xxx/y": b"1"}), b"PK\x01\x02", 46 + 8, b"\\..\\", 2),
    "null in a name": patched(GOOD, CENTRAL, 46, b"\0"),
    "one name twice": patched(archive(checkpoint() | {"archive/data/1": b"1"}), CENTRAL, 46 + 13, b"0", 2),
    "members overlap": patched(GOOD, CENTRAL, 42, b"\0\0\0\0", 1),
    "member beyond the end": patched(GOOD, CENTRAL, 42, b"\xf0\xff\xff\x7f", 1),
    "member of two sizes": patched(GOOD, CENTRAL, 24, b"\x01\0\0\0"),
    "encrypted": patched(GOOD, CENTRAL, 8, b"\x01\0"),
    "unknown packing": patched(PACKED_SMALL, CENTRAL, 10, b"\x63\0"),
    "damaged packing": PACKED_SMALL.replace(PACKED_SMALL[60:70], b"\xff" * 10, 1),
    "says less than it holds": patched(PACKED_SMALL, CENTRAL, 24, struct.pack("<L", 10)),
    "says more than it holds": patched(PACKED_SMALL, CENTRAL, 24, struct.pack("<L", 100_000)),
    "directory signature": patched(GOOD, CENTRAL, 0, b"XXXX"),
    "local signature": patched(GOOD, b"PK\x03\x04", 2, b"XX"),
    "directory beyond the end": patched(GOOD, END, 16, b"\xf0\xff\xff\x7f"),
    "directory of many members": patched(GOOD, END, 10, b"\xff\xff"),
    "directory that is too short": patched(GOOD, END, 12, b"\x05\0\0\0"),
    "split": patched(GOOD, END, 4, b"\x01\0"),
    "sizes in a field that is not there": patched(GOOD, CENTRAL, 20, b"\xff" * 8),
}


def bomb(said: int | None, folder: Path) -> Path:
    """A pickle of 130 MB of zeros, packed."""
    body = b"X" + (130 * MB).to_bytes(4, "little") + bytes(130 * MB)
    data = archive({"archive/data.pkl": program(body)}, zipfile.ZIP_DEFLATED)
    return raw_file("w.pt", data if said is None else patched(data, CENTRAL, 24, struct.pack("<L", said)), folder)


def zip64(end_offset: int, count: int, size: int, folder: Path) -> Path:
    """An archive with the end records of zip64."""
    at = GOOD.index(END)
    offset = GOOD.index(CENTRAL)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + end_offset, 1)
    end = patched(GOOD[at:], END, 8, b"\xff" * 12)
    return raw_file("w.pt", GOOD[:at] + end64 + locator + end, folder)


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
