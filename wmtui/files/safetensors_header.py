"""Headers of safetensors files: parsed with caps, every rule of the format checked and named.

The format: https://github.com/huggingface/safetensors#format. Eight bytes of length (little endian), so many bytes of
JSON, then the elements of all tensors without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
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


class Header(msgspec.Struct, frozen=True):
    """A checked header.

    Attributes:
        path: the file.
        entries: key -> entry, in the order of the header.
        metadata: its ``__metadata__``; empty where there is none.
        data_start: the byte of the file at which offsets begin to count.
        size: of the file, in bytes.
    """

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    data_start: int
    size: int


class _Metadata(msgspec.Struct):
    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


_entries = msgspec.json.Decoder(dict[str, Entry])
_raw_entries = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entry = msgspec.json.Decoder(Entry)
_metadata = msgspec.json.Decoder(_Metadata)


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
        entries, metadata = parse(raw, str(path))
        check(entries, file.size - 8 - length, str(path))
    return Header(path, entries, metadata, 8 + length, file.size)


def parse(raw: bytes, where: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """The entries and the metadata of a header's JSON; see `read_header` for the errors."""
    if not raw.startswith(b"{"):
        raise FormatError(f"{where}: the header does not begin with '{{'", "make sure that this is a safetensors file")
    if raw.count(b"{") > MAX_TENSORS or raw.count(b",") > MAX_COMMAS:
        raise UnsafeError(f"{where}: the header has more entries than any real file", "do not trust this file")
    try:
        if not raw.isascii():
            str(raw, "utf-8")  # names that are skipped are not decoded below
        metadata = _metadata.decode(raw).metadata
        entries = _decode_entries(raw)
    except msgspec.ValidationError as e:
        raise FormatError(f"{where}: the header breaks the format: {e}", _WRITER) from e
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"{where}: the header is no JSON: {e}", _AGAIN) from e
    objects = 1 + len(entries)
    entries.pop("__metadata__", None)
    fields = [raw.count(name) for name in (b'"dtype"', b'"shape"', b'"data_offsets"')]
    if b"\\" in raw or raw.count(b"{") != objects or fields != [len(entries)] * 3:
        _refuse_duplicates(raw, where)
    return entries, metadata


def _decode_entries(raw: bytes) -> dict[str, Entry]:
    try:
        return _entries.decode(raw)
    except msgspec.ValidationError:  # metadata may itself have keys such as "shape", with text as the value
        parts = _raw_entries.decode(raw)
        return {key: _entry.decode(part) for key, part in parts.items() if key != "__metadata__"}


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


def check(entries: Mapping[str, Entry], data_size: int, where: str) -> None:
    """Every rule about types, shapes and byte ranges.

    Raises:
        FormatError: one is broken; the message names the tensor.
    """
    spans = []
    for key, entry in entries.items():
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
        spans.append((begin, end, key))
    spans.sort()
    done = 0
    for begin, end, key in spans:
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


def numel_of(entry: Entry) -> int:
    """Number of elements in safetensors' own count."""
    return prod(entry.shape)
