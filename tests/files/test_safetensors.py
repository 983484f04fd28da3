"""The header of safetensors: every rule of the format, and files of the reference implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.files.reading import rows, side
from wmtui.core.side import SideSpec
from wmtui.errors import FormatError, KeyMissingError, UnsafeError
from wmtui.files.open import open_side
from wmtui.files.safetensors_header import MAX_HEADER, MAX_TENSORS, read_header


def entry(dtype: str = "F32", shape: object = (2,), begin: object = 0, end: object = 8) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(path: Path, header: object, data: bytes = bytes(8)) -> Path:
    """A file with this header (an object for JSON, or bytes as they are) and these data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.float8_e8m0fnu, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
]  # fmt: skip


def test_files_of_the_reference_implementation_are_listed_as_it_reads_them(tmp_path):
    kept = {f"layer.{i}": torch.zeros(i % 3, 2, dtype=dtype) for i, dtype in enumerate(DTYPES)}
    save_file(kept, tmp_path / "w.safetensors", metadata={"format": "pt", "shape": "a name that is a field too"})
    found = side(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as theirs:
        expected = {key: theirs.get_tensor(key) for key in theirs.keys()}  # noqa: SIM118
        metadata = theirs.metadata()
    assert {key: (shape, dtype) for key, shape, dtype in rows(found.listing)} == {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in expected.items()
    }
    assert dict(found.metadata) == metadata
    assert found.nbytes == (tmp_path / "w.safetensors").stat().st_size


def test_places_are_the_bytes_of_the_tensors(tmp_path):
    save_file({"a": torch.arange(4.0), "b": torch.arange(3)}, tmp_path / "w.safetensors")
    source = open_side(SideSpec(str(tmp_path / "w.safetensors"))).source
    place = source.place("b")
    raw = place.path.read_bytes()[place.offset : place.offset + place.nbytes]
    assert torch.frombuffer(bytearray(raw), dtype=torch.int64).tolist() == [0, 1, 2]
    with pytest.raises(KeyMissingError, match="no tensor 'c'"):
        source.place("c")


BROKEN = {
    "no header": (b"", "does not begin with"),
    "not json": (b"{nonsense", "no JSON"),
    "not an object": (b"[1, 2]", "does not begin with"),
    "not utf-8": (b'{"\xff": 1}', "no JSON"),
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
    "fraction": ({"a": entry(shape=[2.5])}, "breaks the format"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, "no data_offsets"),
    "one offset": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, "breaks the format"),
    "three offsets": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 9]}}, "breaks the format"),
    "negative offset": ({"a": entry(begin=-8, end=0)}, "negative"),
    "backwards": ({"a": entry(begin=8, end=0)}, "end before they begin"),
    "beyond the end": ({"a": entry(shape=[4], end=16)}, "beyond the end"),
    "wrong size": ({"a": entry(shape=[3])}, "takes 12 bytes by its shape and 8"),
    "half a byte": ({"a": entry("F4", shape=[3], end=2)}, "whole bytes"),
    "overlap": ({"a": entry(), "b": entry(shape=[1], begin=4, end=8)}, "overlap"),
    "gap": ({"a": entry(shape=[1], begin=4, end=8)}, "gap"),
    "bytes left over": ({"a": entry(shape=[1], end=4)}, "belong to no tensor"),
    "key twice": (
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        "stands twice",
    ),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": entry()}, "breaks the format"),
    "metadata is text": ({"__metadata__": "x", "a": entry()}, "breaks the format"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_of_the_format_is_an_error_of_its_own(tmp_path, name):
    header, message = BROKEN[name]
    path = write(tmp_path / "w.safetensors", header)
    with pytest.raises(FormatError, match=message) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_a_header_longer_than_the_file_or_than_any_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes((1000).to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError, match="longer than the file"):
        read_header(path)
    path.write_bytes((MAX_HEADER + 1).to_bytes(8, "little") + b"{}")
    with pytest.raises(UnsafeError, match="header has 100,000,001 bytes"):
        read_header(path)
    path.write_bytes(b"1234567")
    with pytest.raises(FormatError, match="7 bytes are too few"):
        read_header(path)


def test_more_tensors_than_any_model_has_are_refused(tmp_path):
    raw = b"{" + b",".join(b'"%d":{}' % i for i in range(MAX_TENSORS + 1)) + b"}"
    with pytest.raises(UnsafeError, match="more entries"):
        read_header(write(tmp_path / "w.safetensors", raw))


def test_a_file_without_tensors_is_refused(tmp_path):
    with pytest.raises(FormatError, match="holds no tensors"):
        side(write(tmp_path / "w.safetensors", {"__metadata__": {"a": "b"}}, b""))


def test_odd_names_scalars_and_empty_tensors_are_listed_as_they_are(tmp_path):
    names = ["a[/b].w", "[red]", "\x1b[31m", "\u202eright to left", "x" * 5000, "", "data_offsets", "\ud7ff\n\0"]
    save_file({name: torch.zeros(0, 3) for name in names} | {"scalar": torch.tensor(1.0)}, tmp_path / "w.safetensors")
    found = side(tmp_path / "w.safetensors")
    assert set(found.listing.keys) == {*names, "scalar"}
    assert found.listing["scalar"].shape == ()
    assert found.listing[""].shape == (0, 3)


def test_four_bit_floats_are_shown_as_torch_shows_them(tmp_path):
    packed = torch.zeros(4, 8, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    save_file({"w": packed}, tmp_path / "w.safetensors")
    assert rows(side(tmp_path / "w.safetensors").listing) == [("w", (4, 8), "float4_e2m1fn_x2")]


def test_a_safetensors_file_is_known_without_its_ending(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "w.weights")
    assert side(tmp_path / "w.weights").format == "safetensors"


def test_a_weights_key_makes_no_sense_there(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(KeyMissingError, match="no dictionary of weights 'model'"):
        side(tmp_path / "w.safetensors", weights_key="model")
