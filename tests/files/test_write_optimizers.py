"""Optimizer states in torch files: renamed where they are kept by name, warned of where they are kept by index."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.files.writing import opened, plan_of, rename
from wmtui.core.plan import Unmapped
from wmtui.core.side import Side
from wmtui.files.models import module_listing
from wmtui.files.writing import warnings_of, write_checkpoint


def test_optimizer_states_by_name_are_renamed_when_asked(tmp_path):
    state = {"a.w": torch.ones(2, 2), "b.w": torch.zeros(2, 2)}
    by_name = {
        "state": {key: {"step": torch.tensor(1.0), "exp_avg": value} for key, value in state.items()},
        "param_groups": [{"lr": 0.1, "params": ["a.w", "b.w"]}],
    }
    torch.save({"model": state, "optimizer": by_name}, tmp_path / "old.pt")
    asked = {"weights_key": "model"}
    written = rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a.w": "x"}, asked=asked, optimizer=True)
    made = torch.load(tmp_path / "new.pt")["optimizer"]
    assert list(made["state"]) == ["x", "b.w"]
    assert made["param_groups"] == [{"lr": 0.1, "params": ["x", "b.w"]}]
    assert "renamed 1 of 2 parameters in the optimizer's state" in written.notes
    rename(tmp_path / "old.pt", tmp_path / "left.pt", {"a.w": "x"}, asked=asked)
    assert list(torch.load(tmp_path / "left.pt")["optimizer"]["state"]) == ["a.w", "b.w"]
    side = opened(tmp_path / "old.pt", weights_key="model")
    assert warnings_of(side, plan_of(side, {"a.w": "x"}), None) == ()


def trained(model: nn.Module, path: Path) -> Path:
    """A checkpoint with an optimizer that has made a step."""
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return path


def test_optimizer_states_by_index_are_warned_of_where_parameters_change_places(tmp_path):
    """Tied parameters and buffers have no number of their own."""
    layers = {"emb": nn.Linear(3, 4, bias=False), "norm": nn.BatchNorm1d(4), "head": nn.Linear(3, 4)}
    layers["head"].weight = layers["emb"].weight
    old = opened(trained(nn.ModuleDict(layers), tmp_path / "old.pt"), weights_key="model")

    def warned(names: dict[str, str], target: nn.Module, unmapped: Unmapped = "drop") -> str:
        found = Side(old.side.spec, module_listing(target), "model")
        plan = plan_of(old, {key: names[key.partition(".")[0]] + "." + key.partition(".")[2] for key in keys}, unmapped)
        return " ".join(warnings_of(old, plan, found))

    keys = [key for key in old.side.listing.keys if key != "head.weight"]
    names = {"emb": "a", "norm": "b", "head": "c"}
    same = nn.ModuleDict({names[key]: layer for key, layer in layers.items()})
    assert warned(names, same) == ""
    moved = nn.ModuleDict({"b": layers["norm"], "a": layers["emb"], "c": layers["head"]})
    assert "number 0 is 'emb.weight' here, 'b.weight' in the target" in warned(names, moved)
    more = nn.ModuleDict({**same, "d": nn.Linear(1, 1)})
    assert "there is no number 4 here, 'd.weight' in the target" in warned(names, more)
    keys.remove("norm.bias")
    assert "number 2 is 'norm.bias' here, 'b.bias' in the target" in warned(names, same)
    plan = plan_of(old, {})
    assert "fits only if" in warnings_of(old, plan, None)[0]
    assert warnings_of(old, plan, None, format="safetensors") == ()
    assert any("no names" in note for note in write_checkpoint(old, plan, tmp_path / "n.pt", optimizer=True).notes)
