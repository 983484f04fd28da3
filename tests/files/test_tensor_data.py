"""Tensor data read without torch, compared with torch's own."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from wmtui.core.ports import Progress
from wmtui.core.side import SideSpec
from wmtui.errors import Cancelled, InputError
from wmtui.files.decode import decode, table
from wmtui.files.open import open_side
from wmtui.files.source import OpenedSide
from wmtui.files.tensors import describe, equal_values, read_tensor, scan

SMALL = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


def opened(path: Path) -> OpenedSide:
    return open_side(SideSpec(str(path)))


def never() -> bool:
    return False


@pytest.mark.parametrize("name", SMALL)
def test_every_pattern_of_a_small_float_is_what_torch_makes_of_it(name):
    patterns = torch.arange(256, dtype=torch.uint8)
    expected = patterns.view(getattr(torch, name)).float().numpy()
    np.testing.assert_array_equal(decode(patterns.numpy().tobytes(), name), expected)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_bfloat16_and_half_and_bool_and_complex_are_what_torch_makes_of_them():
    values = torch.tensor([1.5, -2.25, float("inf"), float("nan"), 3e38, 0.0])
    raw = values.bfloat16().view(torch.int16).numpy().tobytes()
    np.testing.assert_array_equal(decode(raw, "bfloat16"), values.bfloat16().float().numpy())
    swapped = values.bfloat16().view(torch.int16).numpy().byteswap().tobytes()
    np.testing.assert_array_equal(decode(swapped, "bfloat16", "big"), values.bfloat16().float().numpy())
    half = torch.tensor([1 + 2j, -3j]).to(torch.complex32)
    np.testing.assert_array_equal(decode(torch.view_as_real(half).numpy().tobytes(), "complex32"), [1 + 2j, -3j])
    assert decode(b"\x00\x01\x02", "bool").tolist() == [False, True, True]


def test_four_and_six_bit_floats_follow_the_microscaling_formats():
    assert table("float4_e2m1fn")[:8].tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert table("float6_e2m3fn")[[1, 8, 31]].tolist() == [0.125, 1.0, 7.5]
    assert table("float6_e3m2fn")[[1, 12, 31, 63]].tolist() == [0.0625, 1.0, 28.0, -28.0]
    assert decode(b"\x21\xf7", "float4_e2m1fn_x2").tolist() == [0.5, 1.0, 6.0, -6.0]
    assert decode(bytes([0b01_000001, 0b0000_0000, 0b000000_00]), "float6_e2m3fn")[0] == 0.125


def views() -> dict[str, torch.Tensor]:
    base = torch.randn(6, 8)
    return {
        "plain": base.clone(),
        "transposed": base.t(),
        "slice": base[1:4, 2:7],
        "expanded": base[:, :1].expand(6, 3),
        "row": base[2],
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "bf16": base.bfloat16(),
        "f8": base.to(torch.float8_e4m3fn),
        "ints": torch.arange(-5, 5),
        "flags": torch.tensor([True, False, True]),
        "complex": torch.randn(3, dtype=torch.complex64),
    }


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    wide = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn) else tensor
    return wide.contiguous().numpy()


@pytest.mark.parametrize("legacy", [False, True])
def test_every_view_of_a_torch_file_is_read_in_its_own_order(tmp_path, legacy):
    kept = views()
    torch.save(kept, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    source = opened(tmp_path / "w.pt").source
    for key, tensor in kept.items():
        np.testing.assert_array_equal(read_tensor(source, key), as_numpy(tensor), err_msg=key)


def test_statistics_are_those_of_torch(tmp_path):
    kept = views()
    torch.save(kept, tmp_path / "w.pt")
    side, source = opened(tmp_path / "w.pt")
    for key in ("plain", "transposed", "slice", "expanded", "bf16", "f8", "ints"):
        stats = describe(source, side.listing[key])
        values = kept[key].double()
        assert stats.numel == values.numel()
        assert stats.minimum == pytest.approx(values.min().item())
        assert stats.maximum == pytest.approx(values.max().item())
        assert stats.mean == pytest.approx(values.mean().item())
        assert stats.std == pytest.approx(values.std(correction=0).item())
        assert sum(stats.histogram) == values.numel()
        assert [float(text) for text in stats.first] == pytest.approx(values.reshape(-1)[:8].tolist(), rel=1e-5)


def test_not_a_number_and_infinity_are_counted_and_left_out(tmp_path):
    inf = math.inf
    save_file(
        {"w": torch.tensor([1.0, inf, -inf, math.nan, 3.0, 0.0]), "n": torch.tensor([math.nan])},
        tmp_path / "w.safetensors",
    )
    side, source = opened(tmp_path / "w.safetensors")
    stats = describe(source, side.listing["w"])
    assert (stats.nan, stats.inf, stats.zeros) == (1, 2, 1)
    assert (stats.minimum, stats.maximum) == (0.0, 3.0)
    only = describe(source, side.listing["n"])
    assert (only.minimum, only.mean, only.histogram) == (None, None, ())


@pytest.mark.parametrize("values", [[1e300, 1e300], [0.0, 5e-324], [-1.7e308, 1.7e308], [1.0, 1.0 + 2**-52], [3.0]])
def test_a_histogram_of_any_range_counts_all_elements(tmp_path, values):
    save_file({"w": torch.tensor(values, dtype=torch.float64)}, tmp_path / "w.safetensors")
    side, source = opened(tmp_path / "w.safetensors")
    stats = describe(source, side.listing["w"])
    assert (stats.minimum, stats.maximum) == (min(values), max(values))
    assert sum(stats.histogram) == len(values)


def test_scalars_and_empty_tensors_have_statistics_too(tmp_path):
    torch.save(views(), tmp_path / "w.pt")
    side, source = opened(tmp_path / "w.pt")
    assert describe(source, side.listing["scalar"]).first == ("2.5",)
    assert describe(source, side.listing["empty"]).numel == 0
    assert describe(source, side.listing["flags"]).first == ("True", "False", "True")


def test_four_bit_floats_in_safetensors_are_unpacked(tmp_path):
    packed = torch.tensor([[0x21, 0xF7]], dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    save_file({"w": packed}, tmp_path / "w.safetensors")
    side, source = opened(tmp_path / "w.safetensors")
    assert side.listing["w"].shape == (1, 2)
    assert read_tensor(source, "w").tolist() == [[0.5, 1.0, 6.0, -6.0]]
    assert describe(source, side.listing["w"]).first == ("0.5", "1", "6", "-6")


def test_values_are_compared_across_formats_and_layouts(tmp_path):
    kept = views()
    torch.save(kept, tmp_path / "a.pt")
    save_file({key: tensor.contiguous() for key, tensor in kept.items()}, tmp_path / "b.safetensors")
    a, b = opened(tmp_path / "a.pt").source, opened(tmp_path / "b.safetensors").source
    for key in kept:
        assert equal_values(a, key, b, key), key
    assert not equal_values(a, "plain", b, "bf16")
    assert not equal_values(a, "plain", b, "transposed")
    assert not equal_values(a, "slice", b, "row")


def test_a_scan_names_the_bad_tensors_and_the_unreadable_ones(tmp_path):
    bad = torch.ones(4)
    bad[2] = math.nan
    kept = {"good": torch.ones(3), "bad": bad, "tied": bad, "sparse": torch.eye(3).to_sparse(), "n": torch.arange(3)}
    torch.save(kept, tmp_path / "w.pt")
    side, source = opened(tmp_path / "w.pt")
    told: list[Progress] = []
    result = scan(source, side.listing, told.append, never)
    assert result.bad == {"bad": (1, 0)}
    assert result.checked == 2
    assert list(result.skipped) == ["sparse"]
    assert told[-1].done == told[-1].total


def test_a_scan_can_be_stopped(tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "w.pt")
    side, source = opened(tmp_path / "w.pt")
    with pytest.raises(Cancelled):
        scan(source, side.listing, lambda told: None, lambda: True)


def repack(old_path: Path, new_path: Path) -> None:
    """Write an archive again, compressed."""
    with zipfile.ZipFile(old_path) as old, zipfile.ZipFile(new_path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def test_an_archive_that_was_packed_again_is_unpacked_while_reading(tmp_path):
    kept = {"w": torch.arange(100_000.0), "v": torch.arange(100_000.0)[50_000:50_010]}
    torch.save(kept, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as old,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    side, packed = opened(tmp_path / "z.pt")
    for key, tensor in kept.items():
        np.testing.assert_array_equal(read_tensor(packed, key), tensor.numpy())
        assert describe(packed, side.listing[key]).first[1] == f"{tensor[1].item():.6g}"


def test_what_a_listing_has_no_data_for_is_said_so(tmp_path):
    (tmp_path / "l.json").write_text(
        '{"format": "wmtui-listing/1", "name": "x", "tensors": [{"key": "a", "shape": []}]}'
    )
    side, source = opened(tmp_path / "l.json")
    with pytest.raises(InputError, match="holds no weights"):
        describe(source, side.listing["a"])
