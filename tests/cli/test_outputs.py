"""Outputs never replace what a run reads, and say what they cannot show."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wmtui.cli.loading import _largest_difference

MODEL = "new_model.py:NewModel"
NETS = """
from torch import nn

class Old(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.mix, self.down = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)

class New(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    weights = {"up": (8, 4), "mix": (8, 8), "down": (3, 8)}
    state = {f"{name}.weight": torch.randn(shape) for name, shape in weights.items()}
    state |= {f"{name}.bias": torch.randn(shape[0]) for name, shape in weights.items()}
    torch.save(state, "old.pth")
    return state


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--mapping", "--report"])
@pytest.mark.parametrize("name", ["a-00001-of-00002.safetensors", "model.safetensors.index.json", "target.pth"])
def test_no_force_replaces_a_shard_or_the_target(nets, wmtui, option, name):
    folder = Path("shards")
    folder.mkdir()
    half = len(nets) // 2
    index: dict[str, str] = {}
    for number, keys in enumerate((list(nets)[:half], list(nets)[half:]), 1):
        file = f"a-0000{number}-of-00002.safetensors"
        save_file({key: nets[key] for key in keys}, folder / file)
        index |= dict.fromkeys(keys, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    shutil.copyfile("old.pth", folder / "target.pth")
    before = bytes_of(folder)
    said = wmtui(
        "map", folder / "model.safetensors.index.json", folder / "target.pth", option, folder / name, "--force"
    )
    assert said.status == 2
    assert "input" in said.err
    assert bytes_of(folder) == before


@pytest.mark.parametrize("output", ["nets.py", "target.pth", "mapping.json"])
def test_no_force_replaces_an_input_with_a_checkpoint(nets, wmtui, output):
    shutil.copyfile("old.pth", "target.pth")
    Path("mapping.json").write_text(json.dumps({key: key for key in nets}))
    target = "nets.py:Old" if output == "nets.py" else "target.pth"
    before = Path(output).read_bytes()
    for words in (
        ("map", "old.pth", target, "--mapping-in", "mapping.json", "--output", output, "--force"),
        ("apply", "mapping.json", "old.pth", "--target", target, "-o", output, "--force"),
    ):
        assert wmtui(*words).status == 2
        assert Path(output).read_bytes() == before


def test_a_mapping_between_models_can_be_replaced(nets, wmtui):
    Path("m.json").write_text("{}")
    said = wmtui("map", "nets.py:Old", "nets.py:New", "--mapping", "m.json", "--force")
    assert said.status == 0, said.err
    assert len(json.loads(Path("m.json").read_text())) == 6


def test_a_mapping_may_replace_the_one_it_started_from(nets, wmtui):
    Path("m.json").write_text('{"up.weight": "first.weight"}')
    said = wmtui("map", "old.pth", "nets.py:New", "--mapping-in", "m.json", "--mapping", "m.json", "--force")
    assert said.status == 0, said.err


def test_square_tensors_that_are_transposed_like_their_siblings_are_said(nets, wmtui):
    turned = {key: value.T.contiguous() if value.ndim == 2 else value for key, value in nets.items()}
    torch.save(turned, "turned.pth")
    said = wmtui("map", "turned.pth", "nets.py:New", "--output", "new.pth", "--report", "r.json")
    assert said.status == 0, said.err
    assert "1 square tensor is transposed" in said.out
    assert "mix.weight" in said.out
    assert "square" in json.loads(Path("r.json").read_text())["warnings"][0]
    assert "square" not in wmtui("map", "old.pth", "nets.py:New", "--output", "straight.pth").out


def test_a_strict_load_finds_the_only_dictionary_of_another_format(nets, wmtui):
    torch.save({"state_dict": nets, "ema": {key: value + 1 for key, value in nets.items()}}, "two.pth")
    words = "--weights-key", "ema", "--format", "safetensors", "--strict-load"
    said = wmtui("map", "two.pth", "nets.py:New", "--output", "new.safetensors", "--mapping", "m.json", *words)
    assert said.status == 0, said.err
    said = wmtui("apply", "m.json", "two.pth", "-o", "again.safetensors", "--target", "nets.py:New", *words)
    assert said.status == 0, said.err
    assert "strict=True" in said.out


@pytest.mark.parametrize(
    ("outputs", "same"),
    [
        (((0.0, float("nan")), (0.0, 1.0)), False),
        (((float("inf"), 1.0), (float("-inf"), 1.0)), False),
        (((float("inf"), 1.0), (float("inf"), 9.0)), False),
        (((float("nan"), float("inf")), (float("nan"), float("inf"))), True),
    ],
)
def test_outputs_with_nan_or_infinity_are_not_taken_for_equal(outputs, same):
    class Model(torch.nn.Module):
        def __init__(self, values):
            super().__init__()
            self.values = values

        def forward(self, _):
            return [torch.tensor([value]) for value in self.values]

    difference, largest = _largest_difference(Model(outputs[0]), Model(outputs[1]), ["1"])
    assert (difference <= 1e-4 * max(1.0, largest)) == same
