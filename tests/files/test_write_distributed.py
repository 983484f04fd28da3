"""Distributed checkpoints written again; `torch.distributed.checkpoint` itself reads the result."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from tests.files.writing import leftovers, opened, plan_of, rename, same_tensor
from wmtui.api.checkpoint import load_tensors
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import InputError, OutputExistsError
from wmtui.files.writing import check_write, write_checkpoint
from wmtui.files.writing.layout import Format

FORMATS: tuple[Format, ...] = ("torch", "safetensors")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def training_state() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 200))
    parameters = dict(model.named_parameters())
    states = {key: {"exp_avg": value.detach() * 2, "step": torch.tensor(3.0)} for key, value in parameters.items()}
    return {
        "model": model.state_dict(),
        "ema": {key: value + 1 for key, value in model.state_dict().items()},
        "optimizer": {
            "state": states,
            "param_groups": [{"lr": 0.1, "params": list(parameters)}],
        },
        "step": 5,
    }


def save(state: dict[str, Any], folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_saver.save(state, checkpoint_id=folder)
    return folder


def load(folder: Path) -> dict[str, Any]:
    """Everything in a folder, by torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp_to_torch_save(folder, folder.with_name("whole.pt"))
    made: dict[str, Any] = torch.load(folder.with_name("whole.pt"), weights_only=False)
    return made


def names(state: dict[str, Any]) -> dict[str, str]:
    return {key: key.replace("0.", "stem.", 1) if key.startswith("0.") else f"body.{key}" for key in state["model"]}


MODEL = {"weights_key": "model"}


def test_torch_reads_the_renamed_folder(tmp_path):
    state = training_state()
    new = names(state)
    source = save(state, tmp_path / "old")
    written = rename(source, tmp_path / "new", new, asked=MODEL, verify=True)
    made = load(tmp_path / "new")
    assert list(made["model"]) == list(new.values())
    assert all(same_tensor(made["model"][new[key]], value) for key, value in state["model"].items())
    assert all(same_tensor(made["ema"][key], value) for key, value in state["ema"].items())
    assert made["step"] == 5
    assert made["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
    assert list(made["optimizer"]["state"]) == list(state["optimizer"]["state"])
    assert written.nbytes == sum(path.stat().st_size for path in (tmp_path / "new").iterdir())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".metadata", "__0_0.distcp"]


def test_the_result_loads_into_a_model_in_place(tmp_path):
    state = training_state()
    rename(save(state, tmp_path / "old"), tmp_path / "new", names(state), asked=MODEL)
    target = {"model": {new: torch.zeros_like(state["model"][old]) for old, new in names(state).items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load(target, checkpoint_id=tmp_path / "new")
    for old, new in names(state).items():
        assert same_tensor(target["model"][new], state["model"][old])


def test_optimizer_and_further_dictionaries_are_renamed_along_when_asked(tmp_path):
    state = training_state()
    new = names(state)
    source = save(state, tmp_path / "old")
    rename(source, tmp_path / "new", new, asked=MODEL, optimizer=True, also=("ema",), verify=True)
    made = load(tmp_path / "new")
    assert list(made["ema"]) == list(new.values())
    parameters = list(state["optimizer"]["state"])
    assert list(made["optimizer"]["state"]) == [new[key] for key in parameters]
    assert made["optimizer"]["param_groups"] == [{"lr": 0.1, "params": [new[key] for key in parameters]}]
    for key in parameters:
        assert same_tensor(made["optimizer"]["state"][new[key]]["exp_avg"], state["optimizer"]["state"][key]["exp_avg"])


def test_the_flat_optimizer_of_torchtitan_is_renamed(tmp_path):
    model = nn.Linear(3, 4).state_dict()
    state = {
        "model": {f"layers.0.{key}": value for key, value in model.items()},
        "optimizer": {f"state.layers.0.{key}.exp_avg": value * 2 for key, value in model.items()}
        | {"param_groups.layers.0.weight.lr": 0.5},
    }
    source = save(state, tmp_path / "old")
    new = {f"layers.0.{key}": f"blocks.0.{key}" for key in model}
    rename(source, tmp_path / "new", new, asked=MODEL, optimizer=True)
    assert list(load(tmp_path / "new")["optimizer"]) == [
        "state.blocks.0.weight.exp_avg", "state.blocks.0.bias.exp_avg", "param_groups.blocks.0.weight.lr",
    ]  # fmt: skip


def test_dropped_weights_leave_the_data_files(tmp_path):
    state = {"model": {"a": torch.randn(100, 100), "b": torch.randn(10, 10)}}
    source = save(state, tmp_path / "old")
    rename(source, tmp_path / "new", {"b": "x"}, "drop", verify=True)
    made = load(tmp_path / "new")
    assert list(made["model"]) == ["x"]
    assert same_tensor(made["model"]["x"], state["model"]["b"])
    assert (tmp_path / "new" / "__0_0.distcp").stat().st_size < 5000


def test_flat_checkpoints_and_aliases(tmp_path):
    source = save({"wte.weight": torch.randn(4, 3)}, tmp_path / "old")
    side = opened(source)
    target = Listing("t", [TensorSpec("tok", (4, 3)), TensorSpec("head", (4, 3), shares="tok")])
    plan = make_plan(side.side.listing, [("wte.weight", "tok", Transform.NONE)], unmapped="drop", target=target)
    write_checkpoint(side, plan, tmp_path / "new", verify=True)
    made = load(tmp_path / "new")
    assert torch.equal(made["tok"], made["head"])
    assert set(made) == {"tok", "head"}


def test_what_is_transposed_or_reshaped_is_written_anew_and_the_rest_copied(tmp_path):
    weight, other = torch.randn(30, 40), torch.randn(2, 6, dtype=torch.bfloat16)
    state = {"model": {"linear": weight, "flat": other, "same": torch.randn(3)}, "ema": {"linear": weight + 1}}
    side = opened(save(state, tmp_path / "old"), weights_key="model")
    target = Listing("t", [TensorSpec("w", (40, 30)), TensorSpec("tied", (40, 30), shares="w"), TensorSpec("f", (12,))])
    pairs = [("linear", "w", Transform.TRANSPOSE), ("flat", "f", Transform.RESHAPE)]
    plan = make_plan(side.side.listing, pairs, unmapped="keep", target=target)
    written = write_checkpoint(side, plan, tmp_path / "new", also=("ema",), verify=True)
    made = load(tmp_path / "new")
    assert made["model"].keys() == {"w", "tied", "f", "same"}
    assert torch.equal(made["model"]["w"], weight.t())
    assert torch.equal(made["model"]["tied"], weight.t())
    assert torch.equal(made["model"]["f"], other.reshape(12))
    assert torch.equal(made["model"]["same"], state["model"]["same"])
    assert torch.equal(made["ema"]["w"], weight.t() + 1)
    into = {"model": {"w": torch.zeros(40, 30)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_loader.load(into, checkpoint_id=tmp_path / "new")
    assert torch.equal(into["model"]["w"], weight.t())
    assert written.nbytes == sum(path.stat().st_size for path in (tmp_path / "new").iterdir())
    assert (tmp_path / "new" / "__0_0.distcp").stat().st_size < weight.nbytes


def test_a_distributed_checkpoint_becomes_one_file(tmp_path):
    state = training_state()
    source = save(state, tmp_path / "old")
    rename(source, tmp_path / "new.safetensors", names(state), asked=MODEL, format="safetensors", verify=True)
    made = load_file(tmp_path / "new.safetensors")
    rename(source, tmp_path / "new.pt", names(state), asked=MODEL, format="torch", verify=True)
    whole = torch.load(tmp_path / "new.pt")
    for old, new in names(state).items():
        assert same_tensor(made[new], state["model"][old])
        assert same_tensor(whole[new], state["model"][old])


RANKS = """
import os, sys, time, warnings, torch, torch.distributed as dist
from pathlib import Path
warnings.simplefilter("ignore")
from torch.distributed.checkpoint import state_dict_saver
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, Replicate, distribute_tensor
folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(0)
state = {}
for key, shape, how in [("rows", (5, 6), Shard(0)), ("columns", (4, 7, 3), Shard(1)), ("last", (3, 8), Shard(1)),
                        ("whole", (3, 2), Replicate()), ("bias", (9,), Shard(0))]:
    state[key] = distribute_tensor(torch.randn(shape), mesh, [how])
state_dict_saver.save({"model": state}, checkpoint_id=f"{folder}/old")
# Taking the group down can abort while threads of it still wait for the other rank: both are left as they are instead.
Path(folder, f"done{rank}").touch()
until = time.monotonic() + 60
while not Path(folder, f"done{1 - rank}").exists() and time.monotonic() < until:
    time.sleep(0.01)
os._exit(0)
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_tensors_of_one_data_file_are_not_taken_for_each_other(tmp_path, kind):
    """In a data file each tensor is an archive of its own, with a storage of the same name at the same place."""
    state = {key: torch.randn(3, 5) for key in "abcd"}
    side = opened(save(state, tmp_path / "old"))
    target = Listing("t", [TensorSpec(key, (5, 3) if key < "c" else (3, 5)) for key in state])
    pairs = [(key, key, Transform.TRANSPOSE if key < "c" else Transform.NONE) for key in state]
    plan = make_plan(side.side.listing, pairs, unmapped="drop", target=target)
    output = tmp_path / ("new.pt" if kind == "torch" else "new.safetensors")
    written = write_checkpoint(side, plan, output, format=kind, verify=True)
    made = torch.load(output) if kind == "torch" else load_file(output)
    assert all(torch.equal(made[key], state[key].t() if key < "c" else state[key]) for key in state)
    assert not any("tied" in note for note in written.notes)


def test_what_several_ranks_wrote_is_renamed_and_put_together(tmp_path):
    ranks = [subprocess.Popen([sys.executable, "-c", RANKS, str(tmp_path), str(rank)]) for rank in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    torch.manual_seed(0)
    shapes = {"rows": (5, 6), "columns": (4, 7, 3), "last": (3, 8), "whole": (3, 2), "bias": (9,)}
    state = {key: torch.randn(shape) for key, shape in shapes.items()}
    source = tmp_path / "old"
    assert len(list(source.glob("*.distcp"))) == 2
    names = {key: f"new.{key}" for key in state}
    rename(source, tmp_path / "new", names, asked=MODEL, verify=True)
    made = load(tmp_path / "new")["model"]
    rename(source, tmp_path / "new.safetensors", names, asked=MODEL, format="safetensors", verify=True)
    joined = load_file(tmp_path / "new.safetensors")
    rename(source, tmp_path / "new.pt", names, asked=MODEL, format="torch", verify=True)
    whole = torch.load(tmp_path / "new.pt")
    side = opened(source, weights_key="model")
    assert all(same_tensor(value, state[key]) for key, value in load_tensors(side.side.listing, side.source).items())
    target = Listing("t", [TensorSpec("turned", (8, 3))])
    plan = make_plan(side.side.listing, [("last", "turned", Transform.TRANSPOSE)], unmapped="keep", target=target)
    write_checkpoint(side, plan, tmp_path / "turned.safetensors", format="safetensors", verify=True)
    write_checkpoint(side, plan, tmp_path / "turned", verify=True)
    turned = load(tmp_path / "turned")["model"]
    assert torch.equal(turned.pop("turned"), state["last"].t())
    assert set(turned) == state.keys() - {"last"}
    assert all(same_tensor(value, state[key]) for key, value in turned.items())
    for key, value in state.items():
        assert same_tensor(made[f"new.{key}"], value)
        assert same_tensor(joined[f"new.{key}"], value)
        assert same_tensor(whole[f"new.{key}"], value)
    assert torch.equal(load_file(tmp_path / "turned.safetensors")["turned"], state["last"].t())


def test_what_cannot_be_is_refused_and_nothing_is_left(tmp_path):
    state = {"model": {"a": torch.randn(4, 3), "b": torch.randn(2)}, "model.c": torch.ones(2)}
    source = save(state, tmp_path / "old")
    side = opened(source, weights_key="model")
    with pytest.raises(InputError, match=r"two entries .* 'model\.c'"):
        write_checkpoint(side, plan_of(side, {"a": "c"}), tmp_path / "new")
    plan = plan_of(side, {"a": "x"})
    assert "source itself" in str(check_write(side, plan, source)[0])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    assert "is there already" in str(check_write(side, plan, tmp_path / "full")[0])
    with pytest.raises(OutputExistsError):
        write_checkpoint(side, plan, tmp_path / "full", force=True)
    assert check_write(side, plan, tmp_path / "new") == ()
    assert not (tmp_path / "new").exists()
    assert leftovers(tmp_path) == []
