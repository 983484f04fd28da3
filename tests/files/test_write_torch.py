"""Torch files written again: everything but the names stays, whatever form the file had."""

import collections
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.files.writing import opened, plan_of, prefixed, rename, same, same_tensor
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import FormatError, InputError, KeyMissingError, PlanError
from wmtui.files.regular_file import RegularFile
from wmtui.files.writing import write_checkpoint
from wmtui.files.zip_directory import read_directory

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu, torch.complex32, torch.complex64,
    torch.complex128, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32,
    torch.uint64, torch.bool, torch.float4_e2m1fn_x2,
]  # fmt: skip


def numbers(dtype: torch.dtype) -> torch.Tensor:
    size = torch.empty((), dtype=dtype).element_size()
    made = torch.arange(6 * size, dtype=torch.uint8) % 2 if dtype is torch.bool else torch.arange(6 * size).byte()
    return made.view(dtype).reshape(2, 3)


def load(path: Path, **how: Any) -> Any:
    return torch.load(path, **{"weights_only": True, **how})


def assert_sound(path: Path) -> None:
    """What unpackers and torch's own readers ask of an archive."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        data = path.read_bytes()
        for info in archive.infolist():
            name, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
            start = info.header_offset + 30 + name + extra
            assert start % 64 == 0
            assert zlib.crc32(data[start : start + info.file_size]) == info.CRC
            assert info.compress_type == zipfile.ZIP_STORED
    with RegularFile(path) as file:
        read_directory(file)


def training_checkpoint(model: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": 0.25,
        "big": 1 << 80,
        "negative": [-1, -70_000, -(1 << 40)],
        "none": None,
        "flags": (True, False),
        "text": "0.weight",
        "hyper_parameters": {"names": ["0.weight", "0.bias"], "nested": {"lr": 1e-3, "betas": (0.9, 0.999)}},
        "bytes": b"\x00\xff",
        "rng": torch.get_rng_state(),
    }


def test_everything_beside_the_weights_stays(tmp_path):
    checkpoint = training_checkpoint(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    torch.save(checkpoint, tmp_path / "old.ckpt")
    rename(tmp_path / "old.ckpt", tmp_path / "new.ckpt", {"0.weight": "stem.w", "0.bias": "stem.b"})
    made = load(tmp_path / "new.ckpt", weights_only=False)
    assert list(made) == list(checkpoint)
    for key in checkpoint.keys() - {"state_dict", "optimizer", "rng"}:
        assert made[key] == checkpoint[key]
        assert type(made[key]) is type(checkpoint[key])
    assert same_tensor(made["rng"], checkpoint["rng"])
    assert made["optimizer"]["param_groups"] == checkpoint["optimizer"]["param_groups"]
    for index, state in checkpoint["optimizer"]["state"].items():
        assert same(made["optimizer"]["state"][index], state)
    old = checkpoint["state_dict"]
    assert list(made["state_dict"])[:3] == ["stem.w", "stem.b", "1.weight"]
    assert all(same_tensor(a, b) for a, b in zip(old.values(), made["state_dict"].values(), strict=True))
    assert isinstance(made["state_dict"], collections.OrderedDict)
    assert_sound(tmp_path / "new.ckpt")


def test_the_same_names_give_the_same_archive_but_for_the_pickle(tmp_path):
    torch.save({"state_dict": nn.Linear(30, 40).state_dict(), "epoch": 3}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {})
    rename(tmp_path / "new.pt", tmp_path / "again.pt", {})
    assert (tmp_path / "new.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "old.pt") as old, zipfile.ZipFile(tmp_path / "new.pt") as new:
        assert [i.filename.split("/", 1)[1] for i in old.infolist()] == [
            i.filename.split("/", 1)[1] for i in new.infolist()
        ]
        for info in old.infolist():
            if not info.filename.endswith(".pkl"):
                assert new.read(info.filename) == old.read(info.filename)


def test_all_of_torchs_ways_to_load_agree(tmp_path):
    state = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 500)).state_dict()
    torch.save(state, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", prefixed(state))
    new = {f"new.{key}": value for key, value in state.items()}
    path = tmp_path / "new.pt"
    assert same(load(path), new)
    assert same(load(path, mmap=True), new)
    assert same(load(path, weights_only=False), new)
    assert same(load(path, map_location="cpu"), new)
    with torch.serialization.safe_globals([]), torch.serialization.set_default_mmap_options(1):
        assert same(load(path, mmap=True), new)
    before = torch.utils.serialization.config.load.calculate_storage_offsets
    torch.utils.serialization.config.load.calculate_storage_offsets = True
    try:
        assert same(load(path, mmap=True), new)
    finally:
        torch.utils.serialization.config.load.calculate_storage_offsets = before


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_of_elements_survives(tmp_path, dtype):
    state = {"a": numbers(dtype), "b": numbers(torch.float32)}
    torch.save(state, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a": "c"}, verify=True)
    made = load(tmp_path / "new.pt")
    assert list(made) == ["c", "b"]
    assert same_tensor(made["c"], state["a"])


def test_ties_views_and_parameters_stay_what_they_are(tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    state = {
        "whole": whole, "tied": whole, "rows": whole[1:3], "columns": whole[:, 2], "turned": whole.t(),
        "one": whole[0, 0], "none": whole[:0], "parameter": nn.Parameter(torch.ones(2), requires_grad=False),
        "expanded": torch.ones(1).expand(5),
    }  # fmt: skip
    torch.save(state, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", prefixed(state, ""), verify=True)
    rename(tmp_path / "old.pt", tmp_path / "new2.pt", prefixed(state), verify=True)
    made = load(tmp_path / "new2.pt")
    assert same(made, {f"new.{key}": value for key, value in state.items()})
    pointers = {
        made[f"new.{key}"].untyped_storage().data_ptr() for key in ("whole", "tied", "rows", "columns", "turned")
    }
    assert len(pointers) == 1
    assert made["new.turned"].stride() == (1, 6)
    assert isinstance(made["new.parameter"], nn.Parameter)
    assert not made["new.parameter"].requires_grad
    assert (tmp_path / "new2.pt").stat().st_size < (tmp_path / "old.pt").stat().st_size + 500


def test_names_are_changed_by_their_place_not_by_their_text(tmp_path):
    """One string object is a key, another entry's value and a key elsewhere."""
    name = "encoder.weight"
    checkpoint = {"model": {name: torch.ones(2, 2), "other": torch.zeros(2, 2)}, "best": name, "scores": {name: 0.5}}
    torch.save(checkpoint, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {name: "x"}, asked={"weights_key": "model"})
    made = load(tmp_path / "new.pt")
    assert list(made["model"]) == ["x", "other"]
    assert made["best"] == name
    assert made["scores"] == {name: 0.5}


def test_dropped_weights_are_gone_with_their_bytes_but_what_else_uses_them_stays(tmp_path):
    big, kept = torch.zeros(5000), torch.ones(5000)
    torch.save({"state_dict": {"a": torch.ones(1, 1), "b": big, "c": kept}, "mean": kept[:3]}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a": "x"}, "drop", asked={"weights_key": "state_dict"})
    made = load(tmp_path / "new.pt")
    assert list(made["state_dict"]) == ["x"]
    assert torch.equal(made["mean"], kept[:3])
    assert 20_000 < (tmp_path / "new.pt").stat().st_size < 25_000


def test_the_first_use_of_a_class_may_be_dropped(tmp_path):
    """The memo's entries are made by the first tensor; the others only recall them."""
    torch.save({"a": torch.ones(2), "b": torch.zeros(3), "c": torch.ones(4)}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {"c": "x"}, "drop")
    assert same(load(tmp_path / "new.pt"), {"x": torch.ones(4)})


def test_metadata_follow_their_modules(tmp_path):
    model = nn.Sequential(
        collections.OrderedDict(stem=nn.Linear(2, 3), norm=nn.BatchNorm1d(3), act=nn.ReLU(), gone=nn.Linear(3, 3))
    )
    torch.save(model.state_dict(), tmp_path / "old.pt")
    names = {key: f"body.{key.replace('norm', 'bn')}" for key in model.state_dict() if not key.startswith("gone")}
    rename(tmp_path / "old.pt", tmp_path / "new.pt", names, "drop")
    metadata = load(tmp_path / "new.pt")._metadata
    assert metadata["body.bn"] == {"version": 2}
    assert metadata["body.stem"] == metadata["body"] == metadata[""] == {"version": 1}
    assert not any("norm" in key or "gone" in key for key in metadata)


def test_aliases_share_their_storage(tmp_path):
    torch.save({"wte": torch.ones(2, 3)}, tmp_path / "old.pt")
    side = opened(tmp_path / "old.pt")
    plan = make_plan(side.side.listing, [("wte", "a", Transform.NONE)], unmapped="drop")
    alias = plan.operations[0].__class__("alias", "wte", "b")
    write_checkpoint(side, plan.__class__((*plan.operations, alias)), tmp_path / "new.pt")
    made = load(tmp_path / "new.pt")
    assert made["a"].data_ptr() == made["b"].data_ptr()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.register_buffer("hidden", torch.ones(2), persistent=False)


@pytest.mark.parametrize("nested", [False, True])
def test_a_whole_pickled_model_becomes_a_plain_state_dict(tmp_path, nested):
    model = Net()
    torch.save({"model": model, "epoch": 4} if nested else model, tmp_path / "old.pt")
    written = rename(tmp_path / "old.pt", tmp_path / "new.pt", {"conv.weight": "x"}, verify=True)
    made = load(tmp_path / "new.pt")
    if nested:
        assert made["epoch"] == 4
        made = made["model"]
    state = model.state_dict()
    assert list(made) == ["x", *list(state)[1:]]
    assert all(same_tensor(a, b) for a, b in zip(made.values(), state.values(), strict=True))
    assert not any(isinstance(value, nn.Parameter) for value in made.values())
    assert any("plain state dict" in note for note in written.notes)


@pytest.mark.parametrize("kind", ["state", "model", "training"])
def test_files_of_the_old_format_become_archives(tmp_path, kind):
    model = Net() if kind == "model" else nn.Sequential(nn.Linear(3, 4))
    thing = {"state": model.state_dict(), "model": model}.get(kind) or training_checkpoint(model)
    torch.save(thing, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    state = model.state_dict()
    first = next(iter(state))
    written = rename(tmp_path / "old.pth", tmp_path / "new.pth", {first: "x"}, verify=True)
    assert any("zip archive" in note for note in written.notes)
    made = load(tmp_path / "new.pth", weights_only=kind != "training")
    made = made["state_dict"] if kind == "training" else made
    assert list(made) == ["x", *list(state)[1:]]
    assert all(same_tensor(a, b) for a, b in zip(made.values(), state.values(), strict=True))
    assert_sound(tmp_path / "new.pth")


def test_packed_archives_are_unpacked(tmp_path):
    state = {"a": torch.zeros(100_000), "b": torch.randn(64, 32), "c": torch.arange(10)}
    torch.save(state, tmp_path / "old.pt")
    with (
        zipfile.ZipFile(tmp_path / "old.pt") as old,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in old.infolist():
            packed.writestr(info.filename, old.read(info.filename))
    assert (tmp_path / "packed.pt").stat().st_size < 30_000
    rename(tmp_path / "packed.pt", tmp_path / "new.pt", prefixed(state), verify=True)
    assert same(load(tmp_path / "new.pt", mmap=True), {f"new.{key}": value for key, value in state.items()})
    assert_sound(tmp_path / "new.pt")
    side = opened(tmp_path / "packed.pt")
    plan = make_plan(
        side.side.listing, [("b", "t", Transform.TRANSPOSE)], unmapped="keep", target=listing_like("t", (32, 64))
    )
    write_checkpoint(side, plan, tmp_path / "turned.pt", verify=True)
    assert torch.equal(load(tmp_path / "turned.pt")["t"], state["b"].t())


def listing_like(key: str, shape: tuple[int, ...]) -> Any:
    from wmtui.core.listing import Listing, TensorSpec

    return Listing("target", [TensorSpec(key, shape)])


def test_further_dictionaries_are_renamed_alike(tmp_path):
    state = {"a.w": torch.ones(2, 2), "b.w": torch.zeros(2, 2)}
    ema = {key: value + 5 for key, value in state.items()}
    torch.save({"model": state, "ema": ema, "step": 7}, tmp_path / "old.pt")
    rename(
        tmp_path / "old.pt", tmp_path / "new.pt", {"a.w": "x"}, "drop", asked={"weights_key": "model"}, also=("ema",)
    )
    made = load(tmp_path / "new.pt")
    assert list(made["model"]) == list(made["ema"]) == ["x"]
    assert torch.equal(made["ema"]["x"], ema["a.w"])
    assert made["step"] == 7
    with pytest.raises(KeyMissingError, match="nothing_here"):
        rename(tmp_path / "old.pt", tmp_path / "no.pt", {}, asked={"weights_key": "model"}, also=("nothing_here",))
    assert not (tmp_path / "no.pt").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantized_and_sparse_tensors_keep_their_kind(tmp_path):
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([0, 0])
    state = {
        "q": torch.quantize_per_tensor(torch.arange(6.0).reshape(2, 3), 0.5, 1, torch.qint8),
        "c": torch.quantize_per_channel(torch.ones(2, 3), scales, zeros, 0, torch.quint8),
        "s": torch.eye(3).to_sparse(),
        "w": torch.ones(2, 2),
    }
    torch.save(state, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", prefixed(state))
    made = load(tmp_path / "new.pt", weights_only=False)
    assert torch.equal(made["new.q"].dequantize(), state["q"].dequantize())
    assert torch.equal(made["new.c"].int_repr(), state["c"].int_repr())
    assert torch.equal(made["new.s"].to_dense(), torch.eye(3))
    with pytest.raises(InputError, match=r"'q'|'s'|'c'"):
        rename(tmp_path / "old.pt", tmp_path / "x.safetensors", prefixed(state), format="safetensors")


def test_a_name_that_something_else_has_is_refused(tmp_path):
    torch.save({"a": torch.ones(2, 2), "epoch": 3}, tmp_path / "old.pt")
    with pytest.raises(PlanError, match="'epoch'"):
        rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a": "epoch"})
    assert [path.name for path in tmp_path.iterdir()] == ["old.pt"]


def test_weights_outside_of_the_prefix_are_kept_or_dropped_as_asked(tmp_path):
    state = {"enc.w": torch.ones(2, 2), "dec.w": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "old.pt")
    asked = {"prefix": "enc"}
    rename(tmp_path / "old.pt", tmp_path / "drop.pt", {"enc.w": "w"}, asked=asked)
    rename(tmp_path / "old.pt", tmp_path / "keep.pt", {"enc.w": "w"}, asked=asked, others="keep")
    assert list(load(tmp_path / "drop.pt")) == ["w"]
    assert list(load(tmp_path / "keep.pt")) == ["w", "dec.w"]
    with pytest.raises(PlanError, match="both become"):
        rename(tmp_path / "old.pt", tmp_path / "no.pt", {"enc.w": "dec.w"}, asked=asked, others="keep")


def test_a_file_that_lacks_a_storage_is_refused(tmp_path):
    torch.save({"a": torch.ones(2, 2), "b": torch.zeros(2, 2)}, tmp_path / "old.pt")
    with zipfile.ZipFile(tmp_path / "old.pt") as old, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for info in old.infolist():
            if not info.filename.endswith("data/1"):
                cut.writestr(info.filename, old.read(info.filename))
    with pytest.raises(FormatError, match="does not hold all"):
        rename(tmp_path / "cut.pt", tmp_path / "new.pt", {"a": "x"})
    rename(tmp_path / "cut.pt", tmp_path / "new.pt", {"a": "x"}, "drop")
    assert same(load(tmp_path / "new.pt"), {"x": torch.ones(2, 2)})


def test_nothing_in_the_pickle_is_run(tmp_path):
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": {"a": torch.ones(2, 2)}, "evil": Evil()}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a": "b"}, asked={"weights_key": "model"})
    assert not (tmp_path / "ran").exists()
    with pytest.raises(pickle.UnpicklingError):
        load(tmp_path / "new.pt")
    plan_of(opened(tmp_path / "new.pt", weights_key="model"), {"b": "c"})
    assert not (tmp_path / "ran").exists()


def test_a_tensor_takes_little_memory_however_many_there_are(tmp_path):
    """All that is kept at once of 94,000 tensors must stay under 150 MB."""
    keys = [f"model.layers.0.experts.{i}.gate_proj.weight" for i in range(1_000)]
    torch.save({key: torch.ones(4, 8) for key in keys}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "warm.pt", {})  # what is imported does not count
    tracemalloc.start()
    try:
        rename(tmp_path / "old.pt", tmp_path / "new.pt", prefixed(keys))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / len(keys) < 1_500


def test_what_cannot_be_compared_by_its_elements_is_written_nonetheless(tmp_path):
    state = {"a": torch.randn(3, dtype=torch.complex64).conj(), "b": torch.eye(2).to_sparse(), "c": torch.ones(2)}
    state["d"] = torch.randn(3).expand(1 << 40, 3)
    torch.save(state, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", prefixed(state), verify=True)
    made = torch.load(tmp_path / "new.pt")
    assert made["new.a"].is_conj()
    assert torch.equal(made["new.a"], state["a"])
    assert torch.equal(made["new.b"].to_dense(), state["b"].to_dense())
    assert made["new.d"].shape == (1 << 40, 3)
    assert torch.equal(made["new.d"][7], state["d"][0])
