"""What is refused before anything is written, and what writing does not import."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.files.test_write_safetensors import shards
from tests.files.writing import opened, plan_of, prefixed, rename
from wmtui.core.plan import Plan
from wmtui.errors import InputError, MissingError, OutputExistsError, WmtuiError, WriteError
from wmtui.files.writing import check_write, output_size, write_checkpoint

STATE = {"a": torch.randn(30, 20), "b": torch.randn(50)}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file(STATE, path)
    return path


def refused(path: Path, output: Path, kind: type[WmtuiError], words: str, **how: Any) -> None:
    """Both the check and the writing say so, and the folder stays as it was."""
    side = opened(path)
    plan = plan_of(side, prefixed(side.side.listing.keys))
    before = {p: p.stat().st_mtime_ns for p in path.parent.rglob("*")}
    assert any(words in str(problem) for problem in check_write(side, plan, output, **how))
    with pytest.raises(kind, match=words) as caught:
        write_checkpoint(side, plan, output, **how)
    assert caught.value.remedy
    assert {p: p.stat().st_mtime_ns for p in path.parent.rglob("*")} == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("way", ["same", "symlink", "hardlink", "dots", "linked folder"])
def test_the_source_is_never_written_to(tmp_path, source, way, force):
    other = tmp_path / "other.safetensors"
    if way == "symlink":
        other.symlink_to(source)
    elif way == "hardlink":
        os.link(source, other)
    elif way == "dots":
        (tmp_path / "x").mkdir()
        other = tmp_path / "x" / ".." / source.name
    elif way == "linked folder":
        (tmp_path / "x").symlink_to(tmp_path)
        other = tmp_path / "x" / source.name
    else:
        other = source
    refused(source, other, InputError, "source itself", force=force)
    assert load_file(source).keys() == STATE.keys()


def test_a_set_is_never_written_over_itself(tmp_path):
    folder = shards(tmp_path / "old")
    refused(folder, folder, InputError, "source itself", force=True)
    refused(folder, folder / "model.safetensors.index.json", InputError, "source itself", force=True)
    refused(folder, folder / "other.index.json", InputError, "source itself", force=True)


def test_an_output_that_is_there_is_refused_without_force(tmp_path, source):
    output = tmp_path / "new.safetensors"
    output.write_bytes(b"precious")
    refused(source, output, OutputExistsError, "is there already")
    rename(source, output, {}, force=True)
    assert load_file(output).keys() == STATE.keys()


def test_a_broken_link_counts_as_there(tmp_path, source):
    output = tmp_path / "new.safetensors"
    output.symlink_to(tmp_path / "nowhere")
    side = opened(source)
    assert "is there already" in str(check_write(side, plan_of(side, {}), output)[0])


def test_a_folder_that_is_missing_or_none_is_refused(tmp_path, source):
    refused(source, tmp_path / "no" / "new.safetensors", MissingError, "does not exist")
    refused(source, source / "new.safetensors", InputError, "is no folder")
    refused(shards(tmp_path / "set"), tmp_path / "no" / "new", MissingError, "does not exist")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, source, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write everywhere
    refused(source, tmp_path / "new.safetensors", InputError, "may not be written to")


def test_a_disk_that_is_too_full_is_refused(tmp_path, source, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    refused(source, tmp_path / "new.safetensors", WriteError, "1 are free")


@pytest.mark.parametrize(("name", "form"), [("new.pt", "source"), ("new.bin", "source"), ("x.safetensors", "torch")])
def test_a_name_that_lies_about_the_format_is_refused(tmp_path, source, name, form):
    refused(source, tmp_path / name, InputError, "is named like", format=form)


def test_a_set_does_not_fit_into_one_file(tmp_path):
    refused(shards(tmp_path / "set"), tmp_path / "new.safetensors", InputError, "one file")


def test_nothing_to_write_is_refused(tmp_path, source):
    side = opened(source)
    with pytest.raises(InputError, match="nothing would be written"):
        write_checkpoint(side, Plan((), dropped=("a", "b")), tmp_path / "new.safetensors")
    assert output_size(side, Plan((), dropped=("a", "b"))) < 500


def test_sources_without_weights_are_refused(tmp_path):
    listing = tmp_path / "listing.json"
    listing.write_text('{"format": "wmtui-listing/1", "name": "x", "tensors": [{"key": "a", "shape": [2]}]}')
    side = opened(listing)
    with pytest.raises(InputError, match="holds no weights"):
        write_checkpoint(side, plan_of(side, {"a": "b"}), tmp_path / "new.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), tmp_path / "old.pt")
    side = opened(tmp_path / "old.pt")
    with pytest.raises(InputError, match="TorchScript"):
        write_checkpoint(side, plan_of(side, {}), tmp_path / "new.pt")


RENAMES = """
import sys
from pathlib import Path
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.core.side import SideSpec
from wmtui.files.journal import Journal
from wmtui.files.open import open_side
from wmtui.files.writing import check_write, write_checkpoint
for name in sys.argv[2:]:
    source = Path(sys.argv[1]) / name
    opened = open_side(SideSpec(str(source)))
    keys = opened.side.listing.keys
    plan = make_plan(opened.side.listing, [(key, "new." + key, Transform.NONE) for key in keys], unmapped="keep")
    output = source.with_name("new" + source.suffix)
    assert check_write(opened, plan, output) == ()
    write_checkpoint(opened, plan, output)
heavy = {"torch", "numpy", "scipy", "rapidfuzz", "safetensors", "textual", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_rename_imports_neither_torch_nor_numpy(tmp_path, source):
    torch.save(STATE, tmp_path / "old.pt")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    names = ["old.safetensors", "old.pt", "old.pth"]
    done = subprocess.run([sys.executable, "-c", RENAMES, str(tmp_path), *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_file(tmp_path / "new.safetensors").keys() == {"new.a", "new.b"}
