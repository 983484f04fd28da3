"""The point of it all: a renamed checkpoint of a real architecture loads strictly and computes the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from tests.files.old_and_new import NewGpt, NewResNet, OldGpt, OldResNet, gpt_names, resnet_names
from tests.files.writing import opened
from wmtui.core.forecast import forecast
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan, transform_between
from wmtui.core.proposal import Transform
from wmtui.files.writing import check_write, write_checkpoint

PAIRS: dict[str, tuple[type[nn.Module], type[nn.Module], Callable[[], dict[str, str]], torch.Tensor]] = {
    "resnet": (OldResNet, NewResNet, resnet_names, torch.randn(2, 3, 32, 32)),
    "gpt": (OldGpt, NewGpt, gpt_names, torch.arange(20).reshape(2, 10)),
}


def trained(kind: type[nn.Module]) -> nn.Module:
    """A model whose every tensor, running statistics included, is unlike a new one's."""
    torch.manual_seed(0)
    model = kind()
    with torch.no_grad():
        for tensor in {id(t): t for t in model.state_dict().values()}.values():
            tensor.copy_(torch.rand_like(tensor) + 0.5) if tensor.is_floating_point() else tensor.add_(3)
    return model.eval()


def listing_of(model: nn.Module) -> Listing:
    first: dict[int, str] = {}
    specs = []
    for key, value in model.state_dict().items():
        name = first.setdefault(value.data_ptr(), key) if value.numel() else key
        specs.append(TensorSpec(key, tuple(value.shape), shares=None if name == key else name))
    return Listing("new", specs)


def save_source(model: nn.Module, path: Path) -> None:
    if path.suffix == ".safetensors":
        save_model(model, str(path))
    elif path.suffix == ".ckpt":
        torch.save({"state_dict": model.state_dict(), "epoch": 3}, path)
    else:
        torch.save(model.state_dict(), path)


def load(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    made = torch.load(path, weights_only=True, mmap=True)
    state: dict[str, torch.Tensor] = made.get("state_dict", made)
    return state


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    ("source", "output", "form"),
    [
        ("old.safetensors", "new.safetensors", "source"),
        ("old.pt", "new.pt", "source"),
        ("old.ckpt", "new.ckpt", "source"),
        ("old.pt", "new.safetensors", "safetensors"),
        ("old.safetensors", "new.pt", "torch"),
    ],
)
def test_the_renamed_checkpoint_loads_strictly_and_computes_the_same(tmp_path, kind, source, output, form):
    old_class, new_class, names, example = PAIRS[kind]
    old, new = trained(old_class), new_class().eval()
    save_source(old, tmp_path / source)
    side = opened(tmp_path / source)
    target = listing_of(new)
    pairs = []
    for a, b in names().items():
        a = "lm_head.weight" if a not in side.side.listing else a  # safetensors keeps one of two tied names
        transform = transform_between(side.side.listing[a].shape, target[b].shape)
        assert transform is not None
        pairs.append((a, b, transform))
    plan = make_plan(side.side.listing, pairs, unmapped="drop", target=target)
    assert forecast(plan, side.side.listing, target).loads
    path = tmp_path / output
    assert check_write(side, plan, path, format=form) == ()
    write_checkpoint(side, plan, path, format=form, verify=True)
    state = load(path)
    new.load_state_dict(state, strict=True)
    with torch.no_grad():
        assert torch.equal(old(example), new(example)) or torch.allclose(old(example), new(example), atol=1e-5)
    if kind == "gpt" and output != "new.safetensors":
        assert state["tokens.weight"].data_ptr() == state["output.weight"].data_ptr()


def test_the_two_architectures_differ_without_the_renamed_weights():
    """What makes the test above able to fail."""
    for old_class, new_class, _, example in PAIRS.values():
        with torch.no_grad():
            assert not torch.allclose(trained(old_class)(example), new_class().eval()(example), atol=1e-2)


def test_a_swap_of_two_names_moves_the_data_with_the_names(tmp_path):
    state = {"a": torch.zeros(2), "b": torch.ones(2), "c": torch.full((2,), 2.0)}
    torch.save(state, tmp_path / "old.pt")
    save_file(state, tmp_path / "old.safetensors")
    for name in ("old.pt", "old.safetensors"):
        side = opened(tmp_path / name)
        pairs = [("a", "b", Transform.NONE), ("b", "c", Transform.NONE), ("c", "a", Transform.NONE)]
        path = tmp_path / name.replace("old", "new")
        write_checkpoint(side, make_plan(side.side.listing, pairs, unmapped="keep"), path)
        made = load(path)
        assert {key: int(value[0]) for key, value in made.items()} == {"a": 2, "b": 0, "c": 1}
