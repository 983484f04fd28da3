"""WeightRenamer: names, prefixes, backups, and what a saved file holds."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import torch

from wmtui import WeightRenamer, load_checkpoint_as_dict, rename_checkpoint_keys

from .networks import OldModel, OldTransformer


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    torch.save({"a.w": torch.zeros(2), "a.b": torch.ones(3), "c.w": torch.full((2, 2), 2.0)}, tmp_path / "flat.pt")
    return tmp_path / "flat.pt"


def values(path: Path) -> dict[str, float]:
    return {key: value.flatten()[0].item() for key, value in torch.load(path).items()}


@pytest.mark.parametrize("loader", [True, False])
def test_names_change_and_values_stay(flat, tmp_path, loader):
    renamer = WeightRenamer(str(flat), loader)
    renamer.rename_keys({"a.w": "x.w"})
    assert renamer.list_keys() == ["x.w", "a.b", "c.w"]
    renamer.save(tmp_path / "deep" / "er" / "out.pt")
    assert values(tmp_path / "deep" / "er" / "out.pt") == {"x.w": 0, "a.b": 1, "c.w": 2}
    assert values(flat) == {"a.w": 0, "a.b": 1, "c.w": 2}


def test_chains_and_swaps(flat, tmp_path):
    renamer = WeightRenamer(flat)
    renamer.rename_keys({"a.w": "a.b", "a.b": "c.w", "c.w": "a.w"})
    renamer.save(tmp_path / "out.pt")
    assert values(tmp_path / "out.pt") == {"a.b": 0, "c.w": 1, "a.w": 2}


def test_unmapped_keys_can_be_left_out(flat, tmp_path):
    renamer = WeightRenamer(flat)
    renamer.rename_keys({"a.w": "x"}, preserve_unmapped=False)
    renamer.save(tmp_path / "out.pt")
    assert values(tmp_path / "out.pt") == {"x": 0}


@pytest.mark.parametrize(
    ("mapping", "error", "words"),
    [
        ({"a.w": "x", "a.b": "x"}, ValueError, "'a.w' and 'a.b' would both become 'x'"),
        ({"a.w": "c.w"}, ValueError, "'a.w' would become 'c.w', which stays"),
        ({"nowhere": "x"}, KeyError, "no key 'nowhere'"),
    ],
)
def test_contradictions_change_nothing(flat, mapping, error, words):
    renamer = WeightRenamer(flat)
    with pytest.raises(error, match=words):
        renamer.rename_keys(mapping)
    assert renamer.list_keys() == ["a.w", "a.b", "c.w"]
    with pytest.raises(ValueError, match="No backup available"):
        renamer.restore_backup()


def test_prefixes(flat):
    renamer = WeightRenamer(flat)
    renamer.add_prefix("module.")
    assert renamer.list_keys() == ["module.a.w", "module.a.b", "module.c.w"]
    renamer.rename_with_prefix("module.a.", "net.")
    assert renamer.list_keys() == ["net.w", "net.b", "module.c.w"]
    renamer.remove_prefix("module.")
    assert renamer.list_keys() == ["net.w", "net.b", "c.w"]
    renamer.remove_prefix("c")
    assert renamer.list_keys() == ["net.w", "net.b", "w"]
    with pytest.warns(UserWarning, match="no key begins with 'nothing'"):
        renamer.remove_prefix("nothing")
    with pytest.raises(ValueError, match="nothing of 'w' would remain"):
        renamer.remove_prefix("w")
    with pytest.raises(ValueError, match="would become 'w'"):
        renamer.remove_prefix("net.")
    assert renamer.list_keys() == ["net.w", "net.b", "w"]


def test_the_backup_is_the_state_before_the_first_change(flat, tmp_path):
    renamer = WeightRenamer(flat)
    with pytest.raises(ValueError, match="No backup available"):
        renamer.restore_backup()
    renamer.rename_keys({"a.w": "x"}, backup=False)
    with pytest.raises(ValueError, match="No backup available"):
        renamer.restore_backup()
    renamer.rename_keys({"x": "y"})
    renamer.add_prefix("p.")
    renamer.restore_backup()
    assert renamer.list_keys() == ["x", "a.b", "c.w"]
    renamer.state_dict["c.w"] = torch.zeros(1)
    renamer.restore_backup()
    renamer.save(tmp_path / "out.pt")
    assert values(tmp_path / "out.pt") == {"x": 0, "a.b": 1, "c.w": 2}


def test_search(flat):
    renamer = WeightRenamer(flat)
    assert renamer.search_keys("A.") == ["a.w", "a.b"]
    assert renamer.search_keys("w") == ["a.w", "c.w"]
    assert renamer.search_keys(".*") == []
    assert renamer.search_keys(re.compile(r"^[ac]\.w$")) == ["a.w", "c.w"]


def test_summary(flat, capsys):
    WeightRenamer(flat).print_summary()
    out = capsys.readouterr().out
    assert f"Weight file: {flat}" in out
    assert "Total parameters: 3" in out
    assert "Total elements: 9" in out
    assert "  c.w: [2, 2]" in out


def test_the_summary_of_hostile_names_is_harmless(tmp_path, capsys):
    torch.save({"a\x1b[31m\n": torch.zeros(1)} | {f"k{n}": torch.zeros(1) for n in range(12)}, tmp_path / "a.pt")
    WeightRenamer(tmp_path / "a.pt").print_summary()
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "  ... and 3 more" in out


# ---- what is saved


@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize("name", ["state_dict", "model", "weights"])
def test_the_nesting_and_everything_else_are_kept(tmp_path, name, touch):
    model = OldTransformer()
    optimizer = torch.optim.AdamW(model.parameters())
    content = {name: model.state_dict(), "epoch": 3, "optimizer": optimizer.state_dict(), "names": ["a", None]}
    torch.save(content, tmp_path / "in.ckpt")
    renamer = WeightRenamer(tmp_path / "in.ckpt")
    renamer.add_prefix("net.")
    if touch:
        assert isinstance(renamer.state_dict, dict)
    renamer.save(tmp_path / "out.ckpt")
    saved = torch.load(tmp_path / "out.ckpt", mmap=True)
    assert list(saved) == list(content)
    assert saved["epoch"] == 3
    assert saved["names"] == ["a", None]
    assert saved["optimizer"] == content["optimizer"]
    weights = saved[name]
    assert list(weights) == [f"net.{key}" for key in model.state_dict()]
    assert weights["net.lm_head.weight"].untyped_storage()._cdata == weights["net.wte.weight"].untyped_storage()._cdata
    assert weights._metadata["net.bn"] == {"version": 2}
    assert weights._metadata["net.layers.0.fc1"] == {"version": 1}
    model.load_state_dict({key.removeprefix("net."): value for key, value in weights.items()})


@pytest.mark.parametrize("touch", [False, True])
def test_objects_of_unknown_classes(tmp_path, touch):
    """Kept as they are where only names changed; as dictionaries where the values may have."""
    torch.save({"state_dict": OldModel().state_dict(), "args": argparse.Namespace(lr=0.1)}, tmp_path / "in.pt")
    renamer = WeightRenamer(tmp_path / "in.pt")
    renamer.add_prefix("net.")
    if touch:
        renamer.state_dict["extra"] = torch.ones(1)
    renamer.save(tmp_path / "out.pt")
    saved = torch.load(tmp_path / "out.pt", weights_only=False)
    if touch:
        assert saved["args"] == {"__class__": "argparse.Namespace", "lr": 0.1}
    else:
        assert saved["args"] == argparse.Namespace(lr=0.1)
    assert ("extra" in saved["state_dict"]) is touch


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_changed_values_are_honoured(tmp_path, suffix):
    model = OldModel()
    torch.save(model.state_dict(), tmp_path / "in.pt")
    renamer = WeightRenamer(tmp_path / "in.pt")
    renamer.state_dict["backbone.0.bias"] = torch.full((16,), 7.0)
    renamer.state_dict["classifier.0.bias"].fill_(8.0)
    renamer.state_dict["classifier.2.bias"].numpy()[:] = 9.0
    del renamer.state_dict["backbone.2.bias"]
    renamer.rename_keys({"backbone.0.bias": "x"})
    renamer.save(tmp_path / f"out{suffix}")
    saved = load_checkpoint_as_dict(tmp_path / f"out{suffix}")
    assert saved["x"].tolist() == [7.0] * 16
    assert saved["classifier.0.bias"].tolist() == [8.0] * 24
    assert saved["classifier.2.bias"].tolist() == [9.0] * 10
    assert "backbone.2.bias" not in saved
    assert torch.equal(
        load_checkpoint_as_dict(tmp_path / "in.pt")["backbone.0.bias"], model.state_dict()["backbone.0.bias"]
    )


def test_a_whole_pickled_model_is_saved_as_a_plain_state_dict(tmp_path):
    model = OldModel()
    torch.save(model, tmp_path / "in.pt")
    for touch in (False, True):
        renamer = WeightRenamer(tmp_path / "in.pt")
        renamer.rename_with_prefix("backbone.", "body.")
        if touch:
            assert renamer.state_dict
        renamer.save(tmp_path / "out.pt")
        saved = torch.load(tmp_path / "out.pt")
        assert list(saved) == [key.replace("backbone.", "body.") for key in model.state_dict()]
        assert torch.equal(saved["body.0.weight"], model.state_dict()["backbone.0.weight"])


@pytest.mark.parametrize(
    ("before", "after"), [(".safetensors", ".safetensors"), (".safetensors", ".pth"), (".pth", ".safetensors")]
)
@pytest.mark.parametrize("touch", [False, True])
def test_formats_follow_the_name(tmp_path, before, after, touch):
    from safetensors.torch import load_file, save_file

    state = OldModel().state_dict()
    source, out = tmp_path / f"in{before}", tmp_path / f"out{after}"
    if before == ".pth":
        torch.save(state, source)
    else:
        save_file(state, source, metadata={"license": "mit"})
    renamer = WeightRenamer(source)
    renamer.add_prefix("net.")
    if touch:
        assert renamer.state_dict
    renamer.save(out)
    saved = torch.load(out) if after == ".pth" else load_file(out)
    assert saved.keys() == {f"net.{key}" for key in state}
    assert all(torch.equal(saved[f"net.{key}"], value) for key, value in state.items())
    if before == after:
        from safetensors import safe_open

        with safe_open(out, "pt") as file:
            assert file.metadata()["license"] == "mit"


def test_tied_tensors_get_a_copy_each_in_safetensors(tmp_path):
    model = OldTransformer()
    torch.save(model.state_dict(), tmp_path / "in.pt")
    renamer = WeightRenamer(tmp_path / "in.pt")
    assert renamer.state_dict
    renamer.save(tmp_path / "out.safetensors")
    saved = load_checkpoint_as_dict(tmp_path / "out.safetensors")
    assert torch.equal(saved["wte.weight"], saved["lm_head.weight"])
    model.load_state_dict(saved)


def test_what_safetensors_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    torch.save({"a": torch.zeros(1), "steps": 3}, tmp_path / "in.pt")
    renamer = WeightRenamer(tmp_path / "in.pt")
    assert renamer.state_dict
    with pytest.raises(ValueError, match="'steps' is no tensor"):
        renamer.save(tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("touch", [False, True])
def test_an_output_is_replaced_and_the_input_never(flat, tmp_path, touch):
    before = flat.read_bytes()
    (tmp_path / "out.pt").write_bytes(b"old")
    (tmp_path / "link.pt").symlink_to(flat)
    renamer = WeightRenamer(flat)
    renamer.add_prefix("x.")
    if touch:
        assert renamer.state_dict
    for path in (flat, tmp_path / "link.pt", tmp_path / "." / "flat.pt"):
        with pytest.raises(ValueError, match="the input"):
            renamer.save(path)
    renamer.save(tmp_path / "out.pt")
    assert values(tmp_path / "out.pt") == {"x.a.w": 0, "x.a.b": 1, "x.c.w": 2}
    assert flat.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.pt", "link.pt", "out.pt"]


@pytest.mark.parametrize("touch", [False, True])
def test_a_failed_save_leaves_what_was_there(flat, tmp_path, monkeypatch, touch):
    (tmp_path / "out.pt").write_bytes(b"old")
    renamer = WeightRenamer(flat)
    if touch:
        renamer.state_dict["f"] = lambda: None
    from wmtui.files import disk

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.disk, "sync", full)
    with pytest.raises((OSError, ValueError)):
        renamer.save(tmp_path / "out.pt")
    assert (tmp_path / "out.pt").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.pt", "out.pt"]


def test_a_folder_that_cannot_be_made_is_a_write_error(flat, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="cannot be made") as caught:
        WeightRenamer(flat).save(tmp_path / "file" / "folder" / "out.pt")
    assert caught.value.remedy  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_saved_as_a_plain_state_dict(tmp_path):
    model = OldModel()
    torch.jit.save(torch.jit.trace(model, torch.randn(1, 3, 8, 8)), tmp_path / "in.pt")
    renamer = WeightRenamer(tmp_path / "in.pt")
    renamer.add_prefix("net.")
    renamer.save(tmp_path / "out.pt")
    saved = torch.load(tmp_path / "out.pt")
    assert list(saved) == [f"net.{key}" for key in model.state_dict()]


def test_rename_checkpoint_keys(flat, tmp_path):
    out = tmp_path / "out.pt"
    rename_checkpoint_keys(flat, out, key_mapping={"a.w": "z.w"}, old_prefix="a.", new_prefix="b.")
    assert values(out) == {"z.w": 0, "b.b": 1, "c.w": 2}
    rename_checkpoint_keys(flat, out, old_prefix="c.", use_checkpoint_loader=False)
    assert values(out) == {"a.w": 0, "a.b": 1, "w": 2}
    rename_checkpoint_keys(str(flat), str(out), new_prefix="m.")
    assert list(values(out)) == ["m.a.w", "m.a.b", "m.c.w"]
    rename_checkpoint_keys(flat, out)
    assert values(out) == values(flat)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda p: WeightRenamer(p / "none.pt"), FileNotFoundError),
        (lambda p: WeightRenamer(p / "none.pt", False), FileNotFoundError),
        (lambda p: WeightRenamer(p / "broken.pt"), ValueError),
        (lambda p: WeightRenamer(p / "broken.pt", False), ValueError),
        (lambda p: WeightRenamer(p / "whole.pt", False), ValueError),
        (lambda p: WeightRenamer(p / "numbers.pt"), ValueError),
        (lambda p: WeightRenamer(p / "numbers.pt", False), ValueError),
        (lambda p: WeightRenamer(p / "two.pt"), ValueError),
        (lambda p: WeightRenamer(p / "two.pt", weights_key="c"), KeyError),
    ],
)
def test_bad_files(tmp_path, make, error):
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 no archive")
    torch.save(OldModel(), tmp_path / "whole.pt")
    torch.save({"epoch": 3}, tmp_path / "numbers.pt")
    torch.save({"a": {"w": torch.zeros(2)}, "b": {"w": torch.zeros(2)}}, tmp_path / "two.pt")
    with pytest.raises(error) as caught:
        make(tmp_path)
    assert caught.value.remedy
    assert "\n" not in caught.value.message


def test_one_of_several_dictionaries(tmp_path):
    torch.save({"a": {"w": torch.zeros(2)}, "b": {"w": torch.ones(2)}}, tmp_path / "two.pt")
    renamer = WeightRenamer(tmp_path / "two.pt", weights_key="b")
    renamer.rename_keys({"w": "x"})
    renamer.save(tmp_path / "out.pt")
    assert {key: list(inner) for key, inner in torch.load(tmp_path / "out.pt").items()} == {"a": ["w"], "b": ["x"]}


def test_the_state_dict_stays_one_object(flat):
    renamer = WeightRenamer(flat)
    state = renamer.state_dict
    renamer.add_prefix("x.")
    assert renamer.state_dict is state
    assert list(state) == ["x.a.w", "x.a.b", "x.c.w"]
