"""Hostile and broken safetensors files: every rule of the header broken once."""

from __future__ import annotations

import json
from pathlib import Path

MB = 1 << 20


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
    "skipped name not utf-8": (
        b'{"a":{"dtype":"F32","shape":[2],"data_ofsets":[0,8],"\xff":1,"data_offsets":[0,8]}}',
        "no JSON",
    ),
    "white space first": (b" {}", "does not begin with"),
    "text after it": (b"{} x", "no JSON"),
    "deep": (b'{"a":' + b"[" * 100_000, "no JSON|breaks the format"),
    "tensor is a list": ({"a": []}, "breaks the format"),
    "no type": ({"a": {"shape": [2], "data_offsets": [0, 8]}}, "unknown type"),
    "unknown type": ({"a": entry("F128")}, "unknown type 'F128'"),
    "type is a number": ({"a": {"dtype": 3, "shape": [2], "data_offsets": [0, 8]}}, "breaks the format"),
    "no shape": ({"a": {"dtype": "F64", "data_offsets": [0, 8]}}, "has no shape"),
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
    "key twice, once without offsets": (TWICE.replace(b"_offsets", b"_ofsets", 1), "stands twice"),
    "type twice": (b'{"a":{"dtype":"I64","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "stands twice"),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": entry()}, "breaks the format"),
    "metadata is text": ({"__metadata__": "x", "a": entry()}, "breaks the format"),
}
"""Each rule of the format broken once: the header, and what the error says."""


def header_file(name: str, folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", BROKEN_HEADERS[name][0])


def raw_file(name: str, data: bytes, folder: Path) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def sized_header(length: int, folder: Path) -> Path:
    return raw_file("w.safetensors", length.to_bytes(8, "little") + b"{}", folder)


def many_entries(folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", b"{" + b'"a":{},' * (50 * MB // 7) + b'"b":{}}')


def long_shape(folder: Path) -> Path:
    return write_safetensors(folder / "w.safetensors", b'{"a":{"shape":[' + b"1," * (20 * MB) + b"1]}}")
