"""Elements gathered tile by tile are those that numpy gathers at once."""

from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from tests.files.writing import opened
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import PERMUTATIONS, make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import InputError
from wmtui.files.regular_file import RegularFile
from wmtui.files.writing import elements as module
from wmtui.files.writing import write_checkpoint
from wmtui.files.writing.elements import Elements, is_row_major, pieces, row_major, tiles

shapes = st.lists(st.integers(0, 7), max_size=5).map(tuple)


@st.composite
def views(draw):
    """A shape with strides of any kind: permuted, with gaps, expanded."""
    shape = draw(shapes)
    order = draw(st.permutations(range(len(shape))))
    strides, step = [0] * len(shape), 1
    for d in order:
        gap = draw(st.sampled_from([0, 1, 1, 1, 3]))
        strides[d] = step * gap
        step *= max(1, shape[d] * max(gap, 1))
    return shape, tuple(strides)


@given(views(), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_tiles_cover_a_shape_once_within_their_limit(view, limit):
    shape, strides = view
    seen = np.zeros(shape, int)
    for box in tiles(shape, strides, limit):
        sizes = [stop - begin for begin, stop in box]
        assert prod(sizes) <= limit
        assert 1 + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True)) <= limit
        seen[tuple(slice(*cut) for cut in box)] += 1
    assert (seen == 1).all()


@given(views(), st.sampled_from([1, 2, 4, 8, 16]), st.booleans(), st.integers(16, 200), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_any_view_is_gathered_as_numpy_does(tmp_path_factory, view, itemsize, swap, tile, start):
    shape, strides = view
    count = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if n)
    path = tmp_path_factory.getbasetemp() / "elements"
    data = np.random.default_rng(1).bytes(start + count * itemsize)
    path.write_bytes(data)
    source = np.frombuffer(data, f"V{itemsize}", offset=start)
    wanted = np.lib.stride_tricks.as_strided(source, shape, [s * itemsize for s in strides]).tobytes()
    swapped = itemsize if swap and itemsize in (2, 4, 8) else 1
    if swapped > 1:
        wanted = np.frombuffer(wanted, f"u{itemsize}").byteswap().tobytes()
    before = module.TILE
    module.TILE = tile
    try:
        made = bytearray(prod(shape) * itemsize)
        filled = 0
        with RegularFile(path) as file:
            for offset, piece in pieces(file, Elements(start, itemsize, shape, strides, swapped)):
                made[offset : offset + piece.nbytes] = piece
                filled += piece.nbytes
    finally:
        module.TILE = before
    assert filled == len(made)
    assert bytes(made) == wanted


@given(shapes)
def test_row_major_strides_are_torchs(shape):
    assert is_row_major(shape, row_major(shape))
    if 0 not in shape:
        assert row_major(shape) == torch.empty(shape).stride()


@pytest.mark.parametrize("form", ["source", "safetensors", "torch"])
@pytest.mark.parametrize("permutation", PERMUTATIONS, ids=str)
def test_every_transposition_gives_what_torch_gives(tmp_path, monkeypatch, form, permutation):
    monkeypatch.setattr(module, "TILE", 64)
    lengths = [2, 3, 4, 5, 6][: len(permutation)]
    whole, wide = torch.randn(lengths), torch.randn([*lengths[:-1], lengths[-1] + 3])
    state = {"w": whole, "half": whole.half(), "view": wide[..., 3:], "b": torch.ones(2)}
    wanted = {key: value.permute(permutation) if value.ndim > 1 else value for key, value in state.items()}
    torch.save({"state_dict": state, "epoch": 1} if form == "source" else state, tmp_path / "old.pt")
    side = opened(tmp_path / "old.pt")
    target = Listing("t", [TensorSpec(f"new.{key}", tuple(value.shape)) for key, value in wanted.items()])
    pairs = [(key, f"new.{key}", Transform.TRANSPOSE if key != "b" else Transform.NONE) for key in state]
    plan = make_plan(side.side.listing, pairs, unmapped="drop", target=target)
    path = tmp_path / ("new.safetensors" if form == "safetensors" else "new.pt")
    write_checkpoint(side, plan, path, format=form, verify=True)
    made = load(path)
    assert set(made) == {f"new.{key}" for key in state}
    for key, value in wanted.items():
        assert torch.equal(made[f"new.{key}"], value)
        assert made[f"new.{key}"].is_contiguous()


@pytest.mark.parametrize("form", ["source", "safetensors", "torch"])
def test_reshapes_keep_the_elements_in_order(tmp_path, form):
    whole = torch.arange(24.0).reshape(4, 6)
    state = {"a": whole, "turned": whole.t(), "p": torch.nn.Parameter(torch.arange(4.0))}
    torch.save(state, tmp_path / "old.pt")
    side = opened(tmp_path / "old.pt")
    shapes_ = {"a": (2, 12), "turned": (1, 24), "p": (2, 1, 2)}
    target = Listing("t", [TensorSpec(key, shape) for key, shape in shapes_.items()])
    plan = make_plan(
        side.side.listing, [(key, key, Transform.RESHAPE) for key in state], unmapped="drop", target=target
    )
    path = tmp_path / ("new.safetensors" if form == "safetensors" else "new.pt")
    write_checkpoint(side, plan, path, format=form, verify=True)
    made = load(path)
    for key, shape in shapes_.items():
        assert torch.equal(made[key], state[key].reshape(shape))


def test_a_transposed_parameter_stays_one_and_the_tie_of_two_is_kept(tmp_path):
    weight = torch.nn.Parameter(torch.randn(3, 5))
    torch.save({"a": weight, "b": weight}, tmp_path / "old.pt")
    side = opened(tmp_path / "old.pt")
    target = Listing("t", [TensorSpec("a", (5, 3)), TensorSpec("b", (5, 3))])
    plan = make_plan(side.side.listing, [(k, k, Transform.TRANSPOSE) for k in "ab"], unmapped="drop", target=target)
    write_checkpoint(side, plan, tmp_path / "new.pt")
    made = torch.load(tmp_path / "new.pt", weights_only=True)
    assert isinstance(made["a"], torch.nn.Parameter)
    assert torch.equal(made["a"], weight.t())
    assert made["a"].data_ptr() == made["b"].data_ptr()


def test_elements_that_share_bytes_are_not_rearranged(tmp_path):
    raw = save({"w": torch.zeros(4, 4, dtype=torch.uint8)}).replace(b'"U8","shape":[4,4]', b'"F4","shape":[4,8]')
    (tmp_path / "old.safetensors").write_bytes(raw)
    side = opened(tmp_path / "old.safetensors")
    assert side.side.listing["w"].dtype == "float4_e2m1fn_x2"
    plan = make_plan(side.side.listing, [("w", "x", Transform.NONE)], unmapped="drop")
    write_checkpoint(side, plan, tmp_path / "new.safetensors")
    assert b'"F4","shape":[4,8]' in (tmp_path / "new.safetensors").read_bytes()
    target = Listing("t", [TensorSpec("x", (2, 8))])
    turned = make_plan(side.side.listing, [("w", "x", Transform.RESHAPE)], unmapped="drop", target=target)
    write_checkpoint(side, turned, tmp_path / "turned.safetensors")
    assert b'"F4","shape":[2,16]' in (tmp_path / "turned.safetensors").read_bytes()
    target = Listing("t", [TensorSpec("x", (4, 4))])
    packed = make_plan(side.side.listing, [("w", "x", Transform.TRANSPOSE)], unmapped="drop", target=target)
    with pytest.raises(InputError, match="share bytes"):
        write_checkpoint(side, packed, tmp_path / "no.safetensors")


def load(path: Path) -> dict[str, torch.Tensor]:
    made: dict[str, torch.Tensor] = load_file(path) if path.suffix == ".safetensors" else torch.load(path)
    return made.get("state_dict", made)  # type: ignore[return-value]
