"""Directories of zip archives: where each member lies, read with caps and checked before anything else is.

The format: PKWARE's APPNOTE 6.3.9, sections 4.3 and 4.5.3 (zip64). Several times as fast as the standard library's
reader, which matters for checkpoints of 100,000 storages, and stricter: overlapping members, names that leave the
archive and names that stand twice are refused.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.regular_file import RegularFile

MAX_DIRECTORY = 256 << 20
MAX_MEMBERS = 1_000_000
_AGAIN = "copy or download the file again; whatever wrote it may have been stopped"

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s4x2H4x3L4H6xL")
_LOCAL = struct.Struct("<4s22x2H")
STORED, DEFLATED = 0, 8


class Member(NamedTuple):
    """One member: ``stored`` and ``size`` are its bytes in the archive and unpacked."""

    name: str
    crc: int
    stored: int
    size: int
    header: int
    method: int


class Members(Mapping[str, Member]):
    """Members by name, packed: the bytes of the directory, and where in them each record begins.

    Args:
        raw: the directory.
        places: of its records, in order; they were read before.
        where: the archive's name for messages.

    Raises:
        FormatError: two have one name.
    """

    def __init__(self, raw: bytes, places: array[int], where: str) -> None:
        self._raw = raw
        self._places = places
        self._mask = (1 << (len(places) * 3 // 2).bit_length()) - 1
        self._slots = array("I", bytes(4 * (self._mask + 1)))  # numbers of records from 1 on, by hashes of names
        for number, place in enumerate(places, 1):
            slot = self._find(_name(raw, place))
            if self._slots[slot]:
                raise FormatError(f"{where}: two members of the archive have one name", "do not trust this file")
            self._slots[slot] = number

    def _find(self, name: bytes) -> int:
        """The slot of a name, or a free one for it."""
        slot = hash(name) & self._mask
        while (number := self._slots[slot]) and _name(self._raw, self._places[number - 1]) != name:
            slot = (slot + 1) & self._mask
        return slot

    def __getitem__(self, name: str) -> Member:
        return self.at(self.number(name))

    def number(self, name: str) -> int:
        """The number of a member in the order of the directory.

        Raises:
            KeyError: there is none of that name.
        """
        try:
            slot = self._find(name.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise KeyError(name) from None
        number = self._slots[slot]
        if not number:
            raise KeyError(name)
        return number - 1

    def at(self, number: int) -> Member:
        """The member with a number."""
        return _record(self._raw, self._places[number])[0]

    def __iter__(self) -> Iterator[str]:
        return (_text(_name(self._raw, place)) for place in self._places)

    def __len__(self) -> int:
        return len(self._places)


class ZipDirectory(msgspec.Struct, frozen=True):
    """A checked directory.

    Attributes:
        path: the archive.
        members: name -> member, in the order of the directory.
        start: where the directory begins in the file.
        size: of the file, in bytes.
    """

    path: Path
    members: Members
    start: int
    size: int


def read_directory(file: RegularFile) -> ZipDirectory:
    """Read and check the directory at the end of an archive.

    Raises:
        FormatError: it is damaged.
        UnsafeError: it is larger than any checkpoint's, or its members overlap.
    """
    count, size, offset, end = _find(file)
    where = str(file.path)
    if size > MAX_DIRECTORY or count > MAX_MEMBERS:
        raise UnsafeError(f"{where}: its zip directory is larger than any checkpoint's", "do not trust this file")
    if offset + size > end:
        raise FormatError(f"{where}: the zip directory lies beyond the end of the file", _AGAIN)
    raw = file.read_at(offset, size)
    with no_garbage_collection():
        try:
            places = _checked(raw, count, offset, where)
        except (struct.error, UnicodeDecodeError) as e:
            raise FormatError(f"{where}: the zip directory is damaged", _AGAIN) from e
        return ZipDirectory(file.path, Members(raw, places, where), offset, file.size)


def _find(file: RegularFile) -> tuple[int, int, int, int]:
    """Number of members, size and offset of the directory, and the offset of what follows it."""
    tail_size = min(file.size, _END.size + 0xFFFF)
    tail = file.read_at(file.size - tail_size, tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise FormatError(f"{file.path}: the end of the zip archive is missing: the file is cut off", _AGAIN)
    _, disk, first_disk, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = file.size - tail_size + at
    locator_at = end - _END64_LOCATOR.size
    if locator_at >= 0:
        signature, _, end64, _ = _END64_LOCATOR.unpack(file.read_at(locator_at, _END64_LOCATOR.size))
        if signature == b"PK\x06\x07":
            if end64 + _END64.size > locator_at:
                raise FormatError(f"{file.path}: the end record of the zip archive is damaged", _AGAIN)
            fields = _END64.unpack(file.read_at(end64, _END64.size))
            if fields[0] != b"PK\x06\x06":
                raise FormatError(f"{file.path}: the end record of the zip archive is damaged", _AGAIN)
            disk, first_disk, count, size, offset, end = fields[4], fields[5], fields[7], fields[8], fields[9], end64
    if disk or first_disk:
        raise FormatError(f"{file.path}: the archive is split over several files", "join its parts first")
    return count, size, offset, end


def _checked(raw: bytes, count: int, end: int, where: str) -> array[int]:
    """Where each record of a directory begins, all of them checked; the data end at ``end``."""
    places, headers, ends = array("Q"), array("Q"), array("Q")
    pos = 0
    for _ in range(count):
        if raw[pos : pos + 4] != b"PK\x01\x02":
            raise FormatError(f"{where}: the zip directory is damaged", _AGAIN)
        places.append(pos)
        member, flags, disk, pos = _record(raw, pos)
        name = member.name
        if flags & 1:
            raise FormatError(f"{where}: the archive is encrypted", "decrypt it first")
        if disk not in (0, 0xFFFF):
            raise FormatError(f"{where}: the archive is split over several files", "join its parts first")
        if name.startswith("/") or "\0" in name or "\\" in name or (".." in name and ".." in name.split("/")):
            raise UnsafeError(
                f"{where}: the member {name!r} has a path outside of the archive", "do not trust this file"
            )
        if member.method == STORED and member.stored != member.size:
            raise FormatError(f"{where}: the zip member {name!r} has two sizes", _AGAIN)
        headers.append(member.header)
        ends.append(member.header + _LOCAL.size + member.stored)
    if pos > len(raw):
        raise FormatError(f"{where}: the zip directory is damaged", _AGAIN)
    order = sorted(range(len(places)), key=headers.__getitem__)
    for number, following in pairwise([*order, -1]):
        limit = headers[following] if following >= 0 else end
        if ends[number] <= limit:
            continue
        name = _record(raw, places[number])[0].name
        if following < 0:
            raise FormatError(f"{where}: the zip member {name!r} lies beyond the end of the data", _AGAIN)
        other = _record(raw, places[following])[0].name
        raise UnsafeError(f"{where}: the zip members {name!r} and {other!r} overlap", "do not trust this file")
    return places


def _record(raw: bytes, pos: int) -> tuple[Member, int, int, int]:
    """One record of a directory: the member, its flags, the number of its disk, and where the record ends."""
    _, flags, method, crc, stored, size, n, m, k, disk, header = _CENTRAL.unpack_from(raw, pos)
    end = pos + _CENTRAL.size + n
    name = _text(raw[end - n : end])
    if 0xFFFFFFFF in (stored, size, header):
        size, stored, header = _zip64(raw[end : end + m], size, stored, header)
    return Member(name, crc, stored, size, header, method), flags, disk, end + m + k


def _name(raw: bytes, pos: int) -> bytes:
    start = pos + _CENTRAL.size
    return raw[start : start + int.from_bytes(raw[pos + 28 : pos + 30], "little")]


def _text(name: bytes) -> str:
    """A name: without the flag for UTF-8, torch still writes UTF-8; names that are none come from other programs."""
    return name.decode("utf-8", "surrogateescape")


def _zip64(extra: bytes, size: int, stored: int, header: int) -> tuple[int, int, int]:
    """Size, stored size and header offset with those filled in that did not fit into 32 bits."""
    pos = 0
    while pos + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, pos)
        pos += 4
        if tag == 1:
            fields = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, pos))
            try:
                size = fields.pop(0) if size == 0xFFFFFFFF else size
                stored = fields.pop(0) if stored == 0xFFFFFFFF else stored
                header = fields.pop(0) if header == 0xFFFFFFFF else header
            except IndexError as e:
                raise struct.error("a zip64 field is missing") from e
            break
        pos += length
    return size, stored, header


def data_offset(file: RegularFile, member: Member) -> int:
    """The first byte of a member's data in the file.

    Raises:
        FormatError: its local header is damaged.
    """
    sign, n, m = _LOCAL.unpack(file.read_at(member.header, _LOCAL.size))
    start: int = member.header + _LOCAL.size + n + m
    if sign != b"PK\x03\x04" or start + member.stored > file.size:
        raise FormatError(f"{file.path}: the header of the zip member {member.name!r} is damaged", _AGAIN)
    return start


def read_member(file: RegularFile, member: Member, limit: int) -> bytes:
    """A member's unpacked bytes.

    Raises:
        UnsafeError: they are more than ``limit``.
        FormatError: the member is damaged, or packed in a way that torch does not know.
    """
    where = f"{file.path}: the zip member {member.name!r}"
    if member.size > limit or member.stored > limit:
        raise UnsafeError(
            f"{where} has {max(member.size, member.stored):,} bytes; {limit:,} are allowed",
            "save only the weights: torch.save(model.state_dict(), ...)",
        )
    raw = file.read_at(data_offset(file, member), member.stored)
    if member.method == STORED:
        return raw
    if member.method != DEFLATED:
        raise FormatError(f"{where} is packed by an unknown method ({member.method})", "unpack the archive first")
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(raw, member.size + 1)
    except zlib.error as e:
        raise FormatError(f"{where} cannot be unpacked: {e}", _AGAIN) from e
    if len(data) != member.size:
        raise FormatError(f"{where} unpacks to another size than it says", "do not trust this file")
    return data
