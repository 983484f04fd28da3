"""Headers of safetensors files: parsed with caps, every rule of the format checked and named.

The format: https://github.com/huggingface/safetensors#format. Eight bytes of length (little endian), so many bytes of
JSON, then the elements of all tensors without gaps.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.dtypes import BITS, SAFETENSORS
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.regular_file import RegularFile

MAX_HEADER = 100_000_000
"""Largest header in bytes, as in the reference implementation."""
MAX_TENSORS = 800_000
MAX_COMMAS = 8_000_000
_AGAIN = "copy or download the file again; whatever wrote it may have been stopped"
_WRITER = "write the file again with a current safetensors"


_NO_SHAPE = (-1,)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One tensor as the header has it: type and shape in safetensors' terms, first and last byte after the header."""

    dtype: str = ""
    shape: tuple[int, ...] = _NO_SHAPE
    data_offsets: tuple[int, int] = (-1, -1)


class Entries(Mapping[str, Entry]):
    """Entries by key, packed: of 100,000 tensors there are few types and shapes."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._kinds: list[tuple[str, tuple[int, ...]]] = []
        self._known: dict[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]] = {}
        self._offsets = array("Q")

    def add(self, key: str, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> None:
        """Put one more at the end."""
        self._places[key] = len(self._places)
        kind = dtype, shape
        self._kinds.append(self._known.setdefault(kind, kind))
        self._offsets.append(begin)
        self._offsets.append(end)

    def spans(self) -> Iterator[tuple[int, int, str]]:
        """(first byte, byte after the last, key) in the order of the data."""
        begins, ends, keys = self._offsets[::2], self._offsets[1::2], list(self._places)
        order: Iterable[int] = range(len(keys))
        if any(begins[i] < ends[i - 1] for i in range(1, len(keys))):
            order = sorted(order, key=lambda i: (begins[i], ends[i]))
        return ((begins[i], ends[i], keys[i]) for i in order)

    def __getitem__(self, key: str) -> Entry:
        place = self._places[key]
        return Entry(*self._kinds[place], (self._offsets[2 * place], self._offsets[2 * place + 1]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Header(msgspec.Struct, frozen=True):
    """A checked header.

    Attributes:
        path: the file.
        entries: key -> entry, in the order of the header.
        metadata: its ``__metadata__``; empty where there is none.
        data_start: the byte of the file at which offsets begin to count.
        size: of the file, in bytes.
        digest: of its JSON, as `digest` makes it.
    """

    path: Path
    entries: Entries
    metadata: Mapping[str, str]
    data_start: int
    size: int
    digest: bytes

    def unchanged(self) -> bool:
        """Whether the file still has this header and size.

        Raises:
            FormatError: it has none any more.
            InputError: the file cannot be read.
        """
        with RegularFile(self.path) as file:
            if file.size != self.size or int.from_bytes(file.read_at(0, 8), "little") + 8 != self.data_start:
                return False
            return digest(file.read_at(8, self.data_start - 8)).digest() == self.digest


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entry = msgspec.json.Decoder(Entry)
_metadata = msgspec.json.Decoder(dict[str, str])


def read_header(path: Path) -> Header:
    """Read and check a safetensors file's header; nothing of its data is read.

    Raises:
        FormatError: a rule of the format is broken; the message says which.
        UnsafeError: the header is larger than any real one.
        InputError: the file cannot be read.
    """
    with RegularFile(path) as file:
        if file.size < 8:
            raise FormatError(f"{path}: {file.size} bytes are too few for a safetensors file", _AGAIN)
        length = int.from_bytes(file.read_at(0, 8), "little")
        if length > MAX_HEADER:
            raise UnsafeError(
                f"{path}: says that its header has {length:,} bytes; safetensors allows {MAX_HEADER:,}",
                "make sure that this is a safetensors file",
            )
        if 8 + length > file.size:
            raise FormatError(f"{path}: the header ({length:,} bytes) is longer than the file ({file.size:,})", _AGAIN)
        raw = file.read_at(8, length)
    with no_garbage_collection():
        entries, metadata = parse(raw, file.size - 8 - length, str(path))
    return Header(path, entries, metadata, 8 + length, file.size, digest(raw).digest())


def digest(raw: bytes = b"") -> blake2b:
    """What digests the JSON of a header, begun with these bytes."""
    return blake2b(raw, digest_size=16)


def parse(raw: bytes, data_size: int, where: str) -> tuple[Entries, dict[str, str]]:
    """The entries and the metadata of a header's JSON; see `read_header` for the errors.

    Args:
        data_size: bytes that follow the header.
    """
    if not raw.startswith(b"{"):
        raise FormatError(f"{where}: the header does not begin with '{{'", "make sure that this is a safetensors file")
    if raw.count(b"{") > MAX_TENSORS or raw.count(b",") > MAX_COMMAS:
        raise UnsafeError(f"{where}: the header has more entries than any real file", "do not trust this file")
    metadata: dict[str, str] = {}
    entries = Entries()
    key = ""
    try:
        if not raw.isascii():
            str(raw, "utf-8")  # names that are skipped are not decoded below
        parts = _parts.decode(raw)
        objects = 1 + len(parts)
        for key, part in parts.items():
            if key == "__metadata__":
                metadata = _metadata.decode(part)
            else:
                entry = _entry.decode(part)
                _check_entry(key, entry, data_size, where)
                entries.add(key, entry.dtype, entry.shape, *entry.data_offsets)
    except msgspec.ValidationError as e:
        raise FormatError(f"{where}: the header breaks the format: {e}{f' of {key!r}' if key else ''}", _WRITER) from e
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"{where}: the header is no JSON: {e}", _AGAIN) from e
    fields = [raw.count(name) for name in (b'"dtype"', b'"shape"', b'"data_offsets"')]
    if b"\\" in raw or raw.count(b"{") != objects or fields != [len(entries)] * 3:
        _refuse_duplicates(raw, where)
    _check_spans(entries, data_size, where)
    return entries, metadata


def _refuse_duplicates(raw: bytes, where: str) -> None:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise FormatError(f"{where}: {key!r} stands twice in the header", _WRITER)
                seen.add(key)
        return found

    try:
        json.loads(raw, object_pairs_hook=unique)
    except (json.JSONDecodeError, RecursionError) as e:
        raise FormatError(f"{where}: the header is no JSON: {e}", _AGAIN) from e


def _check_entry(key: str, entry: Entry, data_size: int, where: str) -> None:
    """Every rule about the type, the shape and the bytes of one tensor."""
    begin, end = entry.data_offsets
    name = SAFETENSORS.get(entry.dtype)
    if name is None:
        raise FormatError(f"{where}: {key!r} has the unknown type {entry.dtype!r}", "try a newer wmtui")
    if begin < 0 or end < 0:
        raise FormatError(f"{where}: {key!r} has no data_offsets, or negative ones", _WRITER)
    if end < begin:
        raise FormatError(f"{where}: the data of {key!r} end before they begin", _WRITER)
    if end > data_size:
        raise FormatError(f"{where}: the data of {key!r} lie beyond the end of the file", _AGAIN)
    bits = BITS[name]
    for length in entry.shape:
        bits *= length
        if length < 0 or bits >= 1 << 66:
            if entry.shape is _NO_SHAPE:
                raise FormatError(f"{where}: {key!r} has no shape", _WRITER)
            raise FormatError(f"{where}: {key!r} has a length in its shape that is negative or too large", _WRITER)
    if bits % 8:
        raise FormatError(f"{where}: the elements of {key!r} do not fill whole bytes", _WRITER)
    if bits != (end - begin) * 8:
        raise FormatError(
            f"{where}: {key!r} takes {bits // 8:,} bytes by its shape and {end - begin:,} by its offsets", _WRITER
        )


def _check_spans(entries: Entries, data_size: int, where: str) -> None:
    """Every byte belongs to one tensor."""
    done = 0
    for begin, end, key in entries.spans():
        if begin < done:
            raise FormatError(f"{where}: the data of {key!r} overlap those of another tensor", _WRITER)
        if begin > done:
            raise FormatError(f"{where}: there is a gap in the data before {key!r}", _WRITER)
        done = end
    if done != data_size:
        raise FormatError(f"{where}: {data_size - done:,} bytes at the end belong to no tensor", _AGAIN)


def torch_view(entry: Entry) -> tuple[str, tuple[int, ...]]:
    """Type and shape as torch shows them: 4-bit floats in bytes of two where the last dimension is even."""
    name = SAFETENSORS[entry.dtype]
    if name == "float4_e2m1fn" and entry.shape and entry.shape[-1] % 2 == 0:
        return "float4_e2m1fn_x2", (*entry.shape[:-1], entry.shape[-1] // 2)
    return name, entry.shape
