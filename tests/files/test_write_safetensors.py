"""Safetensors files written again, alone and in shards, and the ways between the formats."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.files.writing import leftovers, opened, plan_of, prefixed, rename, same
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import InputError, OutputExistsError, PlanError
from wmtui.files.safetensors_header import read_header
from wmtui.files.writing import check_write, output_size, representable, write_checkpoint

STATE = {
    "h.0.w": torch.randn(4, 6), "h.0.b": torch.randn(4), "h.1.w": torch.randn(4, 6).half(),
    "h.1.b": torch.randn(4).bfloat16(), "ids": torch.arange(5), "on": torch.tensor([True, False, True]),
    "f8": torch.randn(8).to(torch.float8_e4m3fn), "none": torch.zeros(0, 3), "one": torch.tensor(2.5),
    "z": torch.randn(3, dtype=torch.complex64), "u": torch.tensor([1, 2], dtype=torch.uint16),
}  # fmt: skip


@pytest.fixture
def single(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file(STATE, path, metadata={"format": "pt", "by": "me"})
    return path


def shards(folder: Path, form: str = "safetensors") -> Path:
    """A set of two shards with an index, as the Hugging Face hub has them."""
    folder.mkdir()
    weight_map: dict[str, str] = {}
    stem, suffix = ("model", "safetensors") if form == "safetensors" else ("pytorch_model", "bin")
    for number, keys in enumerate((list(STATE)[:4], list(STATE)[4:])):
        name = f"{stem}-{number + 1:05d}-of-00002.{suffix}"
        part = {key: STATE[key] for key in keys}
        if form == "safetensors":
            save_file(part, folder / name, metadata={"format": "pt", "part": str(number)})
        else:
            torch.save(part, folder / name)
        weight_map |= dict.fromkeys(keys, name)
    index = {"metadata": {"total_size": 1, "made": "here"}, "weight_map": weight_map}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    return folder


def load_set(folder: Path) -> dict[str, torch.Tensor]:
    """What the index of a folder leads to."""
    (index,) = folder.glob("*.index.json")
    made = {}
    for key, name in json.loads(index.read_text())["weight_map"].items():
        whole = load_file(folder / name) if name.endswith("safetensors") else torch.load(folder / name)
        made[key] = whole[key]
    return made


def renamed(state: dict[str, torch.Tensor] = STATE, prefix: str = "new.") -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state.items()}


def test_names_change_and_nothing_else(tmp_path, single):
    new = tmp_path / "new.safetensors"
    written = rename(single, new, prefixed(STATE), verify=True)
    assert same(dict(sorted(load_file(new).items())), dict(sorted(renamed().items())))
    before, after = read_header(single), read_header(new)
    assert after.metadata == before.metadata == {"format": "pt", "by": "me"}
    assert list(after.entries) == [f"new.{key}" for key in before.entries]
    assert list(after.entries.values()) == list(before.entries.values())
    assert single.read_bytes()[before.data_start :] == new.read_bytes()[after.data_start :]
    assert written.nbytes == new.stat().st_size
    assert written.path == new
    with safe_open(new, "pt") as file:
        assert set(file.keys()) == set(renamed())


def test_the_same_names_give_the_same_file(tmp_path, single):
    new = tmp_path / "new.safetensors"
    rename(single, new, {})
    again = tmp_path / "again.safetensors"
    rename(new, again, {})
    assert again.read_bytes() == new.read_bytes()
    assert read_header(new).entries == read_header(single).entries


def test_dropped_weights_leave_no_gap(tmp_path, single):
    new = tmp_path / "new.safetensors"
    names = {"h.1.w": "a", "ids": "b", "on": "c"}
    rename(single, new, names, "drop", verify=True)
    assert same(dict(sorted(load_file(new).items())), {new: STATE[old] for old, new in names.items()})


def test_a_tied_target_gets_its_data_under_each_name(tmp_path, single):
    target = Listing("t", [TensorSpec("wte", (4, 6)), TensorSpec("head", (4, 6), shares="wte")])
    side = opened(single)
    plan = make_plan(side.side.listing, [("h.0.w", "wte", Transform.NONE)], unmapped="drop", target=target)
    written = write_checkpoint(side, plan, tmp_path / "new.safetensors", verify=True)
    made = load_file(tmp_path / "new.safetensors")
    assert torch.equal(made["wte"], STATE["h.0.w"])
    assert torch.equal(made["head"], STATE["h.0.w"])
    assert read_header(tmp_path / "new.safetensors").metadata["head"] == "wte"
    assert any("under each name" in note for note in written.notes)
    assert output_size(side, plan) >= 2 * 96


def test_a_set_stays_a_set(tmp_path):
    old = shards(tmp_path / "old")
    written = rename(old, tmp_path / "new", prefixed(STATE), verify=True)
    new = tmp_path / "new"
    assert same(load_set(new), renamed())
    assert sorted(path.name for path in new.iterdir()) == sorted(
        path.name for path in old.iterdir() if path.name != "config.json"
    )
    index = json.loads((new / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": sum(v.nbytes for v in STATE.values()), "made": "here"}
    assert read_header(new / "model-00002-of-00002.safetensors").metadata["part"] == "1"
    assert written.path == new / "model.safetensors.index.json"
    assert same(load_set(old), STATE)
    again = rename(new / "model.safetensors.index.json", tmp_path / "again" / "x.index.json", {})
    assert again.path == tmp_path / "again" / "x.index.json"
    assert same(load_set(tmp_path / "again"), renamed())


def test_a_set_of_torch_files_stays_one(tmp_path):
    old = shards(tmp_path / "old", "torch")
    rename(old, tmp_path / "new", prefixed(STATE), verify=True)
    assert same(load_set(tmp_path / "new"), renamed())
    assert (tmp_path / "new" / "pytorch_model-00001-of-00002.bin").exists()


def test_a_shard_that_loses_all_its_weights_vanishes(tmp_path):
    rename(shards(tmp_path / "old"), tmp_path / "new", {"h.0.w": "x"}, "drop")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "model-00001-of-00002.safetensors", "model.safetensors.index.json",
    ]  # fmt: skip
    assert same(load_set(tmp_path / "new"), {"x": STATE["h.0.w"]})


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_the_ways_between_the_formats(tmp_path, form):
    old = shards(tmp_path / "old", "torch" if form == "safetensors" else "safetensors")
    rename(old, tmp_path / "new", prefixed(STATE), format=form, verify=True)
    assert same(load_set(tmp_path / "new"), renamed())
    one = tmp_path / ("one.safetensors" if form == "safetensors" else "one.pt")
    rename(old, one, {}, format=form, shard_size=1 << 30, verify=True)
    made = load_file(one) if form == "safetensors" else torch.load(one)
    assert same({key: made[key] for key in STATE}, STATE)


@pytest.mark.parametrize("form", ["safetensors", "torch"])
@pytest.mark.parametrize("size", [1, 60, 100, 10_000])
def test_a_shard_holds_no_more_than_was_asked_for(tmp_path, single, form, size):
    out = tmp_path / "new"
    out.mkdir()
    written = rename(single, out, prefixed(STATE), format=form, shard_size=size, verify=True)
    if size == 10_000:
        assert written.path.suffix in (".safetensors", ".bin")
        return
    assert same(dict(sorted(load_set(out).items())), dict(sorted(renamed().items())))
    index = json.loads(written.path.read_text())
    held: dict[str, list[int]] = {}
    for key, name in index["weight_map"].items():
        held.setdefault(name, []).append(STATE[key.removeprefix("new.")].nbytes)
    assert all(sum(sizes) <= size or sum(1 for n in sizes if n) == 1 for sizes in held.values())


def test_payload_from_torch_is_aligned_to_its_type(tmp_path):
    torch.save(STATE, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.safetensors", {}, format="safetensors", verify=True)
    header = read_header(tmp_path / "new.safetensors")
    for key, entry in header.entries.items():
        assert (header.data_start + entry.data_offsets[0]) % STATE[key].element_size() == 0
    assert same({key: load_file(tmp_path / "new.safetensors")[key] for key in STATE}, STATE)


def test_tied_weights_and_views_are_written_in_full(tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    state = {"a": whole, "b": whole, "c": whole.t(), "d": whole[:, 1:3], "e": whole[2], "f": torch.ones(1).expand(3, 3)}
    torch.save(state, tmp_path / "old.pt")
    written = rename(tmp_path / "old.pt", tmp_path / "new.safetensors", {}, format="safetensors", verify=True)
    made = load_file(tmp_path / "new.safetensors")
    assert same({key: made[key] for key in state}, state)
    assert read_header(tmp_path / "new.safetensors").metadata == {"format": "pt", "b": "a"}
    assert any("tied" in note for note in written.notes)


def test_a_checkpoint_that_holds_more_says_what_stays_behind(tmp_path):
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "old.ckpt")
    written = rename(tmp_path / "old.ckpt", tmp_path / "new.safetensors", {}, format="safetensors")
    assert any("only the weights" in note for note in written.notes)
    with pytest.raises(InputError, match="torch files only"):
        rename(tmp_path / "old.ckpt", tmp_path / "x.safetensors", {}, format="safetensors", also=("ema",))


def test_types_that_safetensors_lacks_are_refused_by_name(tmp_path):
    torch.save({"w": torch.ones(2, 2), "z": torch.ones(2, 2, dtype=torch.complex128)}, tmp_path / "old.pt")
    with pytest.raises(InputError, match="'z' is of type complex128"):
        rename(tmp_path / "old.pt", tmp_path / "new.safetensors", {}, format="safetensors")
    rename(tmp_path / "old.pt", tmp_path / "new.safetensors", {"w": "x"}, "drop", format="safetensors")


def test_names_that_safetensors_cannot_hold_are_refused(single):
    side = opened(single)
    cannot = representable(side)
    assert cannot("__metadata__") is not None
    assert cannot("a\udc80") is not None
    assert cannot('a"\\\n\x00ü') is None
    assert representable(side, "torch")("__metadata__") is None
    with pytest.raises(PlanError, match="__metadata__"):
        make_plan(side.side.listing, [("ids", "__metadata__", Transform.NONE)], unmapped="drop", representable=cannot)
    plan = plan_of(side, {"ids": "__metadata__"})
    assert "__metadata__" in str(check_write(side, plan, single.with_name("new.safetensors"))[0])


def test_odd_names_survive(tmp_path, single):
    names = {"ids": 'a"\\\n\x00\x1b[31mü\u202e', "on": "", "u": "x" * 5000}
    for form, out in (("safetensors", tmp_path / "new.safetensors"), ("torch", tmp_path / "new.pt")):
        rename(single, out, names, "drop", format=form, verify=True)
        made = load_file(out) if form == "safetensors" else torch.load(out)
        assert set(made) == set(names.values())
        assert torch.equal(made[names["ids"]], STATE["ids"])


def test_a_set_goes_into_a_folder_beside_other_files(tmp_path):
    old, new = shards(tmp_path / "old"), tmp_path / "new"
    new.mkdir()
    (new / "config.json").write_text("mine")
    rename(old, new, prefixed(STATE))
    assert same(load_set(new), renamed())
    assert (new / "config.json").read_text() == "mine"
    assert leftovers(new) == []


def test_a_set_over_another_one_needs_force_and_takes_its_place(tmp_path):
    old, new = shards(tmp_path / "old"), shards(tmp_path / "new")
    side = opened(old)
    plan = plan_of(side, prefixed(STATE))
    problems = check_write(side, plan, new)
    assert len(problems) == 3
    assert all("is there already" in problem.message for problem in problems)
    with pytest.raises(OutputExistsError):
        write_checkpoint(side, plan, new)
    assert same(load_set(new), STATE)
    written = write_checkpoint(side, plan, new, force=True)
    assert same(load_set(new), renamed())
    assert any("new names" in note for note in written.notes)
    assert len(list(new.glob("*.safetensors"))) == 2
    assert leftovers(new) == []


def test_a_folder_with_one_file_gives_a_folder_with_one_file(tmp_path, single):
    folder = tmp_path / "old"
    folder.mkdir()
    single.rename(folder / "model.safetensors")
    (tmp_path / "new").mkdir()
    written = rename(folder, tmp_path / "new", prefixed(STATE))
    assert written.path == tmp_path / "new" / "model.safetensors"


def test_what_a_checkpoint_takes_is_about_what_it_takes(tmp_path, single):
    side = opened(single)
    plan = plan_of(side, {"h.0.w": "x"}, "drop")
    written = write_checkpoint(side, plan, tmp_path / "new.safetensors")
    assert abs(output_size(side, plan) - written.nbytes) < 2000
    assert output_size(side, plan_of(side, prefixed(STATE))) == single.stat().st_size
