"""Files of ``torch.save``: keys, shapes, types, order and ties are what ``torch.load`` itself finds."""

from __future__ import annotations

import collections
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.files.reading import rows, side, ties, torch_rows, torch_ties
from tests.files.zoo import models, parametrized
from wmtui.core.side import SideSpec
from wmtui.errors import ChoiceError, FormatError, InputError, KeyMissingError
from wmtui.files.open import open_side

MODELS = models()


def save(kept: object, path: Path, *, legacy: bool = False, protocol: int = 2) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(kept, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return path


def assert_as_torch_says(path: Path) -> None:
    loaded = torch.load(path, weights_only=False)
    found = side(path)
    assert rows(found.listing) == torch_rows(loaded)
    assert ties(found.listing) == torch_ties(loaded)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_is_listed_as_torch_loads_it(tmp_path, name, legacy):
    assert_as_torch_says(save(MODELS[name].state_dict(), tmp_path / "w.pt", legacy=legacy))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read(tmp_path, protocol):
    for legacy in (False, True):
        assert_as_torch_says(save(MODELS["deep"].state_dict(), tmp_path / "w.pt", legacy=legacy, protocol=protocol))


def test_parametrizations_and_old_weight_norm_have_their_own_keys(tmp_path):
    assert_as_torch_says(save(parametrized().state_dict(), tmp_path / "w.pt"))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_pickled_model_has_exactly_the_keys_of_its_state_dict(tmp_path, name, legacy):
    model = MODELS[name]
    found = side(save(model, tmp_path / "m.pt", legacy=legacy))
    assert rows(found.listing) == torch_rows(model.state_dict())
    assert ties(found.listing) == torch_ties(model.state_dict())
    parameters = {key for key, _ in model.named_parameters(remove_duplicate=False)}
    assert {spec.key for spec in found.listing if spec.kind == "parameter"} == parameters


def test_a_model_under_a_key_has_no_name_of_a_wrapper_before_its_keys(tmp_path):
    found = side(save({"model": MODELS["buffers"], "epoch": 4}, tmp_path / "m.pt"))
    assert found.listing.keys == tuple(MODELS["buffers"].state_dict())
    assert found.weights_key == "model"
    assert any("tests.files.zoo.Buffers" in note for note in found.notes)


class Wrapper(nn.Module):
    """What ``torch.compile`` and FSDP do to names; the compiler itself takes fifteen seconds to import."""

    def __init__(self, name: str, inner: nn.Module) -> None:
        super().__init__()
        self.add_module(name, inner)


def test_wrappers_stand_in_the_keys_as_they_do_in_the_state_dict(tmp_path):
    inner = Wrapper("_fsdp_wrapped_module", nn.Sequential(nn.Linear(2, 3)))
    wrapped = Wrapper("_orig_mod", Wrapper("_checkpoint_wrapped_module", inner))
    key = "_orig_mod._checkpoint_wrapped_module._fsdp_wrapped_module.0.weight"
    assert side(save(wrapped, tmp_path / "m.pt")).listing.keys[0] == key
    assert_as_torch_says(save(wrapped.state_dict(), tmp_path / "w.pt"))


def test_a_traced_graph_module_is_read_from_its_attributes(tmp_path):
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    found = side(save(traced, tmp_path / "m.pt"))
    assert rows(found.listing) == torch_rows(traced.state_dict())


@pytest.mark.parametrize(
    ("wrap", "key"),
    [
        (lambda w: {"state_dict": w, "epoch": 3}, "state_dict"),
        (lambda w: {"model": w}, "model"),
        (lambda w: {"module": w, "mp_world_size": 1}, "module"),
        (lambda w: {"epoch": 1, "model_state_dict": w, "loss": torch.tensor(0.5)}, "model_state_dict"),
        (lambda w: {"ema": w, "updates": 17}, "ema"),
        (lambda w: {"checkpoint": {"net": {"params": w}}}, "checkpoint.net.params"),
        (lambda w: [w, {"note": "second"}], "0"),
        (lambda w: {"model": w, "best": {"loss": torch.tensor(0.25), "acc": torch.tensor([0.5])}}, "model"),
    ],
)
def test_nested_weights_are_found(tmp_path, wrap, key):
    weights = MODELS["tied"].state_dict()
    found = side(save(wrap(weights), tmp_path / "c.ckpt"))
    assert found.weights_key == key
    assert rows(found.listing) == torch_rows(weights)


def lightning(weights: dict[str, torch.Tensor]) -> dict[str, object]:
    optimizer = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]}
    return {
        "epoch": 2,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": collections.OrderedDict((f"net.{key}", value) for key, value in weights.items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": torch.tensor([1, 2])}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9), "weights": {"w": torch.zeros(9)}}},
        "optimizer_states": [optimizer],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"hidden": 8, "class_weights": torch.ones(4)},
    }


def test_a_lightning_checkpoint_is_its_state_dict(tmp_path):
    weights = MODELS["tied"].state_dict()
    found = side(save(lightning(weights), tmp_path / "c.ckpt"))
    assert (found.weights_key, dict(found.weights_keys)) == ("state_dict", {"state_dict": len(weights)})
    assert found.listing.keys == tuple(f"net.{key}" for key in weights)
    shown = dict(found.contents.items)
    assert shown["epoch"].text == "2"
    assert dict(shown["hyper_parameters"].items)["class_weights"].text == "float32 [4]"


def test_of_several_dictionaries_one_must_be_chosen(tmp_path):
    weights = MODELS["tied"].state_dict()
    smaller = {"w": torch.zeros(3)}
    path = save({"model": weights, "ema": smaller, "optimizer": {"state": {"w": torch.zeros(3)}}}, tmp_path / "c.pt")
    with pytest.raises(ChoiceError) as caught:
        side(path)
    assert caught.value.choices == ("model", "ema")
    assert side(path, weights_key="ema").listing.keys == ("w",)
    assert dict(side(path, weights_key="ema").weights_keys) == {"model": 4, "ema": 1}
    assert side(path, weights_key="optimizer.state").listing.keys == ("w",)
    with pytest.raises(KeyMissingError, match="nothing"):
        side(path, weights_key="nothing")


def test_keys_with_dots_lead_to_a_dictionary_too(tmp_path):
    path = save({"a.b": {"c": {"w": torch.zeros(3)}}, "a": {"b.d": {"v": torch.zeros(2)}}}, tmp_path / "c.pt")
    assert side(path, weights_key="a.b.c").listing.keys == ("w",)
    assert side(path, weights_key="a.b.d").listing.keys == ("v",)


def test_prefixes_choose_keys_and_never_shorten_them(tmp_path):
    path = save(MODELS["deep"].state_dict(), tmp_path / "w.pt")
    found = side(path, prefix="blocks.1")
    assert found.prefix == "blocks.1."
    assert found.listing.keys == tuple(key for key in MODELS["deep"].state_dict() if key.startswith("blocks.1."))
    assert side(path, prefix="rnn.weight_ih").prefix == "rnn.weight_ih"
    with pytest.raises(KeyMissingError, match="begins with 'head'"):
        side(path, prefix="head")


def test_what_is_tied_to_a_key_outside_of_the_prefix_is_not_tied_any_more(tmp_path):
    shared = torch.zeros(3)
    path = save({"a.w": shared, "b.w": shared, "b.v": shared}, tmp_path / "w.pt")
    assert ties(side(path).listing) == {"b.w": "a.w", "b.v": "a.w"}
    assert ties(side(path, prefix="b").listing) == {"b.v": "b.w"}


def test_buffers_can_be_left_out(tmp_path):
    weights = MODELS["batch norm"].state_dict()
    named = tuple(key for key, _ in MODELS["batch norm"].named_parameters())
    assert side(save(weights, tmp_path / "w.pt"), buffers="exclude").listing.keys == named
    assert side(save(MODELS["batch norm"], tmp_path / "m.pt"), buffers="exclude").listing.keys == named


UNUSUAL = {
    "quantized": (lambda: torch.quantize_per_tensor(torch.randn(3, 4), 0.1, 0, torch.qint8), "QuantizedTensor"),
    "per channel": (
        lambda: torch.quantize_per_channel(torch.randn(2, 4), torch.ones(2), torch.zeros(2), 0, torch.quint8),
        "QuantizedTensor",
    ),
    "sparse": (lambda: torch.eye(3).to_sparse(), "SparseTensor"),
    "sparse rows": (lambda: torch.eye(3).to_sparse_csr(), "SparseTensor"),
    "meta": (lambda: torch.empty(5, 2, device="meta"), "meta tensor"),
    "subclass": (lambda: torch.zeros(2, 2).as_subclass(Marked), "Marked"),
}


class Marked(torch.Tensor):
    """A subclass as libraries make them."""


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:torch.quantize")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", UNUSUAL)
def test_tensors_of_unusual_kinds_are_listed_by_shape_and_class(tmp_path, kind, legacy):
    make, name = UNUSUAL[kind]
    tensor = make()
    spec = side(save({"odd": tensor, "plain": torch.ones(1)}, tmp_path / "w.pt", legacy=legacy)).listing["odd"]
    assert (spec.shape, spec.type_name) == (tuple(tensor.shape), name)
    assert spec.dtype == str(tensor.dtype).removeprefix("torch.")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_a_nested_tensor_is_listed(tmp_path):
    nested = torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(4, 3)])
    spec = side(save({"odd": nested, "plain": torch.ones(2)}, tmp_path / "w.pt")).listing["odd"]
    assert (spec.shape, spec.type_name) == ((2,), "NestedTensor")


def test_a_tensor_of_several_processes_is_listed_with_its_whole_shape(tmp_path):
    from torch._C._distributed_c10d import HashStore
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        spread = distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)])
        path = save({"w": spread, "p": nn.Parameter(spread), "plain": torch.ones(2)}, tmp_path / "w.pt")
    finally:
        torch.distributed.destroy_process_group()
    found = side(path)
    assert [(spec.shape, spec.type_name) for spec in found.listing] == [
        ((6, 4), "DTensor"),
        ((6, 4), "DTensor"),
        ((2,), None),
    ]


@pytest.mark.parametrize(
    "dtype",
    [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.uint16, torch.uint64, torch.complex64, torch.bool],
)
def test_every_type_of_element_is_known(tmp_path, dtype):
    for legacy in (False, True):
        path = save({"w": torch.zeros(3, 2, dtype=dtype)}, tmp_path / "w.pt", legacy=legacy)
        spec = side(path).listing["w"]
        assert (spec.dtype, spec.nbytes) == (str(dtype).removeprefix("torch."), 6 * dtype.itemsize)


def test_views_of_one_storage_are_tied_only_where_they_are_the_same(tmp_path):
    base = torch.arange(12.0)
    kept = {"q": base[:4], "k": base[4:8], "q again": base[:4], "all": base, "empty": base[:0], "none": base[:0]}
    for legacy in (False, True):
        found = side(save(kept, tmp_path / "w.pt", legacy=legacy))
        assert ties(found.listing) == {"q again": "q"}
        place = open_side(SideSpec(str(tmp_path / "w.pt"))).source.place("k")
        assert (place.shape, place.dtype) == ((4,), "float32")


def test_python_values_keep_their_names_and_values_in_the_contents(tmp_path):
    kept = {
        "model": {"w": torch.zeros(2, 2)},
        "lr": 0.5,
        "name": "x" * 500,
        "size": torch.Size([1, 2]),
        "device": torch.device("cuda", 1),
        "dtype": torch.float16,
        "nothing": None,
        "rates": [0.1, 0.2],
        7: "seven",
        "names": {"a", "b"},
    }
    shown = dict(side(save(kept, tmp_path / "c.pt")).contents.items)
    assert shown["model"].text == "1 tensor"
    assert (shown["lr"].text, shown["nothing"].text, shown["7"].text) == ("0.5", "None", "seven")
    assert len(shown["name"].text) == 200
    assert (shown["size"].text, shown["dtype"].text) == ("torch.Size([1, 2])", "float16")
    assert shown["device"].text == "device cuda:1"
    assert [item.text for _, item in shown["rates"].items] == ["0.1", "0.2"]


def test_a_bare_tensor_or_a_list_of_tensors_is_refused_for_want_of_names(tmp_path):
    with pytest.raises(FormatError, match="no tensors with names"):
        side(save(torch.zeros(3), tmp_path / "t.pt"))


class Scripted(nn.Module):
    """What scripting must tell apart: parameters, buffers, loose tensors, lists of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.bn = nn.BatchNorm2d(3)
        self.register_buffer("table", torch.zeros(2))
        self.loose = torch.ones(4)
        self.layers = nn.ModuleList([nn.Linear(2, 2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn(self.conv(x))
        return out


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_weights_of_a_plain_pickle_are_listed(tmp_path, protocol):
    """As libraries wrote them with ``pickle.dump``: of tensors, of numpy arrays, of whole models."""
    state = MODELS["half"].state_dict()
    for kept in ({"model": state}, {"model": {key: value.numpy() for key, value in state.items()}}, MODELS["half"]):
        (tmp_path / "w.pkl").write_bytes(pickle.dumps(kept, protocol))
        opened = open_side(SideSpec(str(tmp_path / "w.pkl")))
        assert rows(opened.side.listing) == torch_rows(state)
        with pytest.raises(InputError, match="cannot be read"):
            opened.source.place("norm.weight")


def test_arrays_beside_weights_are_no_weights(tmp_path):
    kept = {"net": {"w": torch.zeros(2, 2)}, "stats": {"mean": np.zeros(3), "std": np.ones(3)}}
    found = side(save(kept, tmp_path / "c.pt"))
    assert dict(found.weights_keys) == {"net": 1}
    assert dict(dict(found.contents.items)["stats"].items)["mean"].text == "ndarray of float64 [3]"


class Packed(torch.Tensor):
    """A tensor made of other tensors, as quantization libraries have them: it has a shape but no storage."""

    parts: torch.Tensor

    @staticmethod
    def __new__(cls, parts: torch.Tensor, shape: tuple[int, ...]) -> Any:
        made = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=torch.bfloat16)
        made.parts = parts
        return made

    @classmethod
    def __torch_dispatch__(cls, *args: Any) -> Any:
        raise NotImplementedError


def test_a_tensor_made_of_other_tensors_is_listed_with_its_own_shape(tmp_path):
    packed = Packed(torch.zeros(4, 2, dtype=torch.uint8), (4, 4))
    found = side(save({"w": packed, "plain": torch.zeros(2)}, tmp_path / "w.pt"))
    spec = found.listing["w"]
    assert (spec.shape, spec.dtype, spec.type_name) == ((4, 4), "bfloat16", "Packed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", [torch.jit.script, lambda m: torch.jit.trace(m.eval(), torch.zeros(1, 2, 4, 4))])
def test_torchscript_is_listed_with_the_class_and_refused_for_renaming(tmp_path, how):
    scripted = how(Scripted())
    scripted.save(str(tmp_path / "s.pt"))
    opened = open_side(SideSpec(str(tmp_path / "s.pt")))
    assert rows(opened.side.listing) == torch_rows(scripted.state_dict())
    assert opened.side.format == "TorchScript archive of Scripted"
    assert opened.side.listing["bn.running_mean"].kind == "buffer"
    assert opened.source.refusal is not None
    assert any("cannot be renamed" in note for note in opened.side.notes)
