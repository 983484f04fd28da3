"""The header of safetensors: every rule of the format, and files of the reference implementation."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.files.hostile_headers import BROKEN_HEADERS, write_safetensors
from tests.files.reading import rows, side
from wmtui.core.side import SideSpec
from wmtui.errors import FormatError, KeyMissingError, UnsafeError
from wmtui.files.open import open_side
from wmtui.files.safetensors_header import MAX_HEADER, MAX_TENSORS, read_header

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


@pytest.mark.parametrize("name", BROKEN_HEADERS)
def test_each_rule_of_the_format_is_an_error_of_its_own(tmp_path, name):
    header, message = BROKEN_HEADERS[name]
    path = write_safetensors(tmp_path / "w.safetensors", header)
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
        read_header(write_safetensors(tmp_path / "w.safetensors", raw))


def test_a_file_without_tensors_is_refused(tmp_path):
    with pytest.raises(FormatError, match="holds no tensors"):
        side(write_safetensors(tmp_path / "w.safetensors", {"__metadata__": {"a": "b"}}, b""))


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
