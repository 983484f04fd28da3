"""load_checkpoint_as_dict and extract_state_dict: every format, and nothing that a file asks for."""

from __future__ import annotations

import argparse
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from wmtui import WeightRenamer, extract_state_dict, load_checkpoint_as_dict
from wmtui.errors import ChoiceError

from .networks import NewModel, OldModel, OldTransformer


def same(loaded: Any, state: dict[str, torch.Tensor]) -> bool:
    return list(loaded) == list(state) and all(
        loaded[key].dtype == value.dtype and torch.equal(loaded[key], value) for key, value in state.items()
    )


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module whose classes can be pickled now and are gone when ``forget`` was called."""
    module = types.ModuleType("somebodys_code")

    class Net(OldModel):
        pass

    class Config:
        def __init__(self) -> None:
            self.hidden = 128
            self.names = ["a", "b"]

    for cls in (Net, Config):
        cls.__module__, cls.__qualname__ = module.__name__, cls.__name__
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.forget = lambda: monkeypatch.delitem(sys.modules, module.__name__)  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_nested_checkpoint_of_either_torch_format(tmp_path, options):
    state = OldTransformer().state_dict()
    torch.save(
        {"state_dict": state, "epoch": 3, "lr": [0.1, None], "shape": torch.Size((1, 2))}, tmp_path / "a.pt", **options
    )
    loaded = load_checkpoint_as_dict(tmp_path / "a.pt")
    assert same(loaded["state_dict"], state)
    assert (loaded["epoch"], loaded["lr"], tuple(loaded["shape"])) == (3, [0.1, None], (1, 2))


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_whole_pickled_model_yields_its_state_dict_without_its_class(tmp_path, stranger, options):
    model = stranger.Net()
    torch.save(model, tmp_path / "whole.pt", **options)
    torch.save({"model": model, "epoch": 4}, tmp_path / "nested.pt", **options)
    stranger.forget()
    assert same(load_checkpoint_as_dict(tmp_path / "whole.pt"), model.state_dict())
    nested = load_checkpoint_as_dict(str(tmp_path / "nested.pt"))
    assert nested["epoch"] == 4
    assert same(nested["model"], model.state_dict())
    assert same(extract_state_dict(nested), model.state_dict())


def test_objects_of_unknown_classes_become_dictionaries_of_their_attributes(tmp_path, stranger):
    shared = [1, 2]
    content: dict[str, Any] = {
        "state_dict": OldModel().state_dict(),
        "config": stranger.Config(),
        "args": argparse.Namespace(lr=0.1),
        "kinds": {1, 2},
        "dtype": torch.float16,
        "twice": (shared, shared),
        "path": Path("a/b"),
    }
    torch.save(content, tmp_path / "a.pt")
    stranger.forget()
    loaded = load_checkpoint_as_dict(tmp_path / "a.pt")
    assert loaded["config"] == {"__class__": "somebodys_code.Config", "hidden": 128, "names": ["a", "b"]}
    assert loaded["args"] == {"__class__": "argparse.Namespace", "lr": 0.1}
    assert loaded["kinds"] == {1, 2}
    assert loaded["dtype"] is torch.float16
    assert loaded["twice"] == ([1, 2], [1, 2])
    assert loaded["twice"][0] is loaded["twice"][1]
    assert same(loaded["state_dict"], content["state_dict"])


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]
)
def test_views_ties_and_types_survive_the_reader_without_classes(tmp_path, stranger, dtype):
    base = torch.arange(24).reshape(4, 6).to(dtype)
    state = {
        "base": base,
        "tied": base,
        "view": base[1:3, ::2],
        "t": base.t(),
        "scalar": torch.tensor(1).to(dtype),
        "none": base[:0],
    }
    torch.save({"state": state, "config": stranger.Config()}, tmp_path / "a.pt")
    stranger.forget()
    loaded = load_checkpoint_as_dict(tmp_path / "a.pt")["state"]
    for key, value in state.items():
        assert loaded[key].dtype == dtype
        assert loaded[key].shape == value.shape
        assert loaded[key].stride() == value.stride()
        assert loaded[key].tolist() == value.tolist()
    assert loaded["tied"].untyped_storage()._cdata == loaded["base"].untyped_storage()._cdata
    assert loaded["view"].untyped_storage()._cdata == loaded["base"].untyped_storage()._cdata


def test_what_is_changed_in_memory_does_not_reach_the_file(tmp_path, stranger):
    path = tmp_path / "a.pt"
    torch.save({"state": OldModel().state_dict(), "config": stranger.Config()}, path)
    stranger.forget()
    before = path.read_bytes()
    load_checkpoint_as_dict(path)["state"]["backbone.0.weight"].zero_()
    assert path.read_bytes() == before


def test_packed_zip_members_are_unpacked(tmp_path, stranger):
    state = OldModel().state_dict()
    torch.save({"state": state, "config": stranger.Config()}, tmp_path / "a.pt")
    stranger.forget()
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert same(load_checkpoint_as_dict(tmp_path / "b.pt")["state"], state)


def test_safetensors_single_and_sharded(tmp_path):
    import json

    from safetensors.torch import save_file

    state = {key: value.clone() for key, value in OldTransformer().state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    assert same(dict(sorted(load_checkpoint_as_dict(tmp_path / "a.safetensors").items())), dict(sorted(state.items())))
    names = list(state)
    folder = tmp_path / "sharded"
    folder.mkdir()
    weight_map: dict[str, str] = {}
    for n, part in enumerate((names[:5], names[5:])):
        file = f"model-{n}.safetensors"
        save_file({key: state[key] for key in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    for path in (folder, folder / "model.safetensors.index.json"):
        assert same(dict(sorted(load_checkpoint_as_dict(path).items())), dict(sorted(state.items())))


def test_tensors_of_unusual_kinds_are_torchs_to_load_and_else_named(tmp_path):
    state = {"sparse": torch.eye(3).to_sparse(), "plain": torch.ones(2)}
    torch.save(state, tmp_path / "a.pt")
    assert torch.equal(load_checkpoint_as_dict(tmp_path / "a.pt")["sparse"].to_dense(), torch.eye(3))
    torch.save({"state": state, "args": argparse.Namespace()}, tmp_path / "b.pt")
    with pytest.warns(UserWarning, match="'sparse' is a SparseTensor, whose values cannot be loaded"):
        loaded = load_checkpoint_as_dict(tmp_path / "b.pt")["state"]
    assert loaded["sparse"] == {"__class__": "SparseTensor", "shape": (3, 3), "dtype": "float32"}
    assert loaded["plain"].tolist() == [1, 1]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_yields_its_state_dict(tmp_path):
    model = OldModel()
    torch.jit.save(torch.jit.trace(model, torch.randn(1, 3, 8, 8)), tmp_path / "a.pt")
    assert same(load_checkpoint_as_dict(tmp_path / "a.pt"), dict(model.state_dict()))


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_nothing_that_a_file_asks_for_is_run(tmp_path, options):
    torch.save({"state_dict": OldModel().state_dict(), "x": Evil(tmp_path / "ran")}, tmp_path / "a.pt", **options)
    loaded = load_checkpoint_as_dict(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
    assert "x" in loaded
    assert same(loaded["state_dict"], loaded["state_dict"])


def test_a_model_in_a_python_file_is_no_checkpoint(tmp_path):
    (tmp_path / "net.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nNet = None\n")
    with pytest.raises(FileNotFoundError):
        load_checkpoint_as_dict(f"{tmp_path}/net.py:Net")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("empty.pt", b"", ValueError),
        ("text.pt", b"hello", ValueError),
        ("zip.pt", b"PK\x05\x06" + b"\0" * 18, ValueError),
        ("pickle.pt", pickle.dumps({"epoch": 3}), ValueError),
        ("bomb.pt", b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b".", ValueError),
        ("a.safetensors", b"\xff" * 20, ValueError),
    ],
)
def test_damaged_files_are_errors_with_a_remedy(tmp_path, name, data, error):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error) as caught:
        load_checkpoint_as_dict(tmp_path / name)
    assert name in str(caught.value)
    assert caught.value.remedy


def test_a_cut_file_is_an_error(tmp_path):
    buffer = io.BytesIO()
    torch.save(OldModel().state_dict(), buffer)
    for cut in (10, 1000, len(buffer.getvalue()) - 30):
        (tmp_path / "cut.pt").write_bytes(buffer.getvalue()[:cut])
        with pytest.raises(ValueError, match=r"cut\.pt"):
            load_checkpoint_as_dict(tmp_path / "cut.pt")


# ---- extract_state_dict

STATE = OldModel().state_dict()


NESTED = pytest.mark.parametrize(
    "checkpoint",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {0: {"exp_avg": torch.zeros(9, 9)}}}},
        {"model_state_dict": STATE},
        {"module": STATE, "ema": NewModel().state_dict()},
        {"checkpoint": {"inner": {"state_dict": STATE}}},
        {"model": OldModel()},
        {"best": torch.tensor(3.0), "net": STATE},
        {"mean": torch.zeros(3), "net": STATE},
        {"optimizer_of_the_teacher": STATE},
    ],
)


@NESTED
def test_the_dictionary_is_found_wherever_it_is(checkpoint):
    assert list(extract_state_dict(checkpoint)) == list(STATE)


@NESTED
def test_the_same_one_is_found_in_a_file(tmp_path, checkpoint):
    torch.save(checkpoint, tmp_path / "a.pt")
    renamer = WeightRenamer(tmp_path / "a.pt")
    assert renamer.list_keys() == list(STATE)
    assert same(renamer.state_dict, extract_state_dict(checkpoint))


def test_it_is_the_dictionary_itself():
    checkpoint = {"state_dict": OrderedDict(STATE)}
    assert extract_state_dict(checkpoint) is checkpoint["state_dict"]


def test_a_module_gives_its_state_dict():
    assert same(extract_state_dict(NewModel().eval()), NewModel().state_dict()) is False
    model = NewModel()
    assert same(extract_state_dict(model), model.state_dict())


def test_several_dictionaries_are_a_choice():
    checkpoint = {"gen": STATE, "disc": NewModel().state_dict()}
    with pytest.raises(ChoiceError, match="gen, disc") as caught:
        extract_state_dict(checkpoint)
    assert caught.value.choices == ("gen", "disc")
    assert extract_state_dict(checkpoint, weights_key="disc") is checkpoint["disc"]
    with pytest.raises(KeyError, match="generator"):
        extract_state_dict(checkpoint, weights_key="generator")


@pytest.mark.parametrize("checkpoint", [{}, {"epoch": 3}, None, [1], nn.ReLU()])
def test_without_tensors_it_is_a_value_error(checkpoint):
    with pytest.raises(ValueError, match="no dictionary of tensors"):
        extract_state_dict(checkpoint)
