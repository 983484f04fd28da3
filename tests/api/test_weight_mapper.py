"""WeightMapper beyond its examples: order, tolerance, transforms, buffers, ties, and bad input."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wmtui import WeightMapper, WeightRenamer
from wmtui.core.report import parse_mapping

from .networks import InOrder, NewModel, NewTransformer, OldModel, OldTransformer, Shuffled, trained

IDS = torch.arange(10).reshape(2, 5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_renamed_checkpoint_loads_strictly_and_computes_the_same(tmp_path, suffix):
    from safetensors.torch import load_file, save_model

    old = trained(OldTransformer(), IDS)
    path = tmp_path / f"old{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": old.state_dict(), "epoch": 3}, path)
    else:
        save_model(old, str(path))
    new = NewTransformer().eval()
    mapper = WeightMapper.from_checkpoint(path, new)
    renamer = WeightRenamer(path)
    renamer.rename_keys(mapper.suggest_mapping(), preserve_unmapped=False)
    out = tmp_path / f"new{suffix}"
    renamer.save(out)
    weights = load_file(out) if suffix == ".safetensors" else torch.load(out)["state_dict"]
    missing = {"embed_tokens.weight", "output.weight"} - weights.keys()
    assert len(missing) == (1 if suffix == ".safetensors" else 0)
    answer = new.load_state_dict(weights, strict=not missing)
    assert set(answer.missing_keys) == missing
    torch.testing.assert_close(new(IDS), old(IDS), rtol=0, atol=0)


def test_parameter_infos():
    info = WeightMapper(OldModel(), NewModel()).source_params["backbone.0.weight"]
    assert isinstance(info.shape, torch.Size)
    assert info.shape == (16, 3, 3, 3)
    assert info.dtype is torch.float32
    assert info.numel == 432
    assert info.depth == 3
    assert info.param_name == "weight"
    assert info.module_path == "backbone.0"
    assert {"backbone", "weight"} <= set(info.tokens)
    assert info.execution_order is None


def test_parameter_infos_of_a_checkpoint_and_of_a_scalar(tmp_path):
    torch.save({"scale": torch.tensor(2.0, dtype=torch.bfloat16)}, tmp_path / "a.pt")
    info = WeightMapper.from_checkpoint(tmp_path / "a.pt", OldModel()).source_params["scale"]
    assert (info.shape, info.dtype, info.numel, info.depth, info.module_path) == ((), torch.bfloat16, 1, 1, "")


# ---- execution order


@pytest.mark.parametrize(
    ("source", "target", "example"),
    [
        (OldModel, NewModel, torch.randn(1, 3, 8, 8)),
        (InOrder, Shuffled, torch.randn(2, 24)),
        (Shuffled, InOrder, torch.randn(2, 24)),
        (OldTransformer, NewTransformer, IDS),
    ],
)
def test_a_dummy_input_lowers_no_score_and_loses_no_pair(source, target, example):
    without = WeightMapper(source(), target())
    with_order = WeightMapper(source(), target(), dummy_input=example)
    without.suggest_mapping(threshold=0.0, strategy="shape_only")
    with_order.suggest_mapping(threshold=0.0, strategy="shape_only")
    before = {(s, t): score for s, t, score in without.get_mapping_with_scores()}
    after = {(s, t): score for s, t, score in with_order.get_mapping_with_scores()}
    assert before.keys() == after.keys()
    assert all(after[pair] >= before[pair] for pair in before)
    assert sum(after.values()) > sum(before.values())
    assert len(with_order.suggest_mapping()) >= len(without.suggest_mapping())


def test_execution_order_finds_modules_that_are_registered_against_it():
    mapper = WeightMapper(InOrder(), Shuffled(), dummy_input=torch.randn(2, 24))
    mapping = mapper.suggest_mapping(threshold=0.0)
    assert {k: v for k, v in mapping.items() if k.endswith("weight")} == {
        "a.weight": "first.weight",
        "b.weight": "second.weight",
        "c.weight": "last.weight",
    }


class Bystander(OldModel):
    """Counts what its forward pass does."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Bystander.calls += 1
        assert not self.training
        return super().forward(x)


def test_the_forward_pass_runs_once_and_leaves_the_model_as_it_was():
    model = Bystander().train()
    before = {key: (id(value), value.clone()) for key, value in model.state_dict(keep_vars=True).items()}
    example, target = torch.randn(1, 3, 8, 8), NewModel()
    random = torch.random.get_rng_state()
    Bystander.calls = 0
    mapper = WeightMapper(model, target, dummy_input=example)
    mapper.suggest_mapping()
    mapper.suggest_mapping(strategy="shape_only")
    assert Bystander.calls == 1
    assert model.training
    for key, value in model.state_dict(keep_vars=True).items():
        assert id(value) == before[key][0]
        assert torch.equal(value, before[key][1])
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_forward_pass_costs_no_memory_for_the_weights():
    with torch.device("meta"):
        source, target = (
            nn.Sequential(nn.Linear(1_000_000, 1_000_000)),
            nn.ModuleDict({"fc": nn.Linear(1_000_000, 1_000_000)}),
        )
    target.forward = lambda x: target["fc"](x)
    mapper = WeightMapper(source, target, dummy_input=torch.empty(1, 1_000_000))
    assert mapper.source_params["0.weight"].execution_order is not None
    assert mapper.suggest_mapping(threshold=0.0) == {"0.weight": "fc.weight", "0.bias": "fc.bias"}


def test_a_failing_forward_pass_is_a_warning_and_no_order():
    with pytest.warns(UserWarning, match="no execution order") as caught:
        mapper = WeightMapper(OldModel(), NewModel(), dummy_input=torch.randn(1, 5, 8, 8))
    assert [str(w.message).partition(":")[0] for w in caught] == ["OldModel", "NewModel"]
    with pytest.warns(UserWarning, match="no execution order") as again:
        WeightMapper.from_state_dict(OldModel().state_dict(), NewModel(), dummy_input=torch.randn(1, 5, 8, 8))
    assert {w.filename for w in (*caught, *again)} == {__file__}
    assert mapper.suggest_mapping() == WeightMapper(OldModel(), NewModel()).suggest_mapping()


def test_a_lazy_model_stays_lazy():
    model = nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(3))
    with pytest.warns(UserWarning, match="lazy parameters"):
        mapper = WeightMapper(model, model, dummy_input=torch.ones(1, 4))
    assert isinstance(model[1], nn.LazyLinear)
    assert nn.parameter.is_lazy(model[1].weight)
    assert mapper.suggest_mapping().items() >= {"0.weight": "0.weight", "0.bias": "0.bias"}.items()


def test_several_dummy_inputs_are_several_arguments():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            z: Tensor = self.b(y) + self.a(x)
            return z

    mapper = WeightMapper(Two(), Two(), dummy_input=(torch.ones(1, 3), torch.ones(1, 5)))  # type: ignore[arg-type]
    order = {name: info.execution_order for name, info in mapper.source_params.items()}
    assert order == {"b.weight": 0, "b.bias": 1, "a.weight": 2, "a.bias": 3}


# ---- options


def test_the_threshold_is_kept_and_the_composite_is_the_documented_sum(tmp_path):
    mapper = WeightMapper(OldTransformer(), NewTransformer())
    everything = mapper.suggest_mapping(threshold=0.0)
    scores = sorted(score for _, _, score in mapper.get_mapping_with_scores())
    middle = scores[len(scores) // 2]
    some = mapper.suggest_mapping(threshold=middle)
    assert some.items() < everything.items()
    assert len(some) == sum(score >= middle for score in scores)
    mapper.export_mapping_report(tmp_path / "new" / "r.json")
    entries = json.loads((tmp_path / "new" / "r.json").read_bytes())["mappings"]
    assert len(entries) == len(some)
    for entry in entries:
        total = 0.5 * entry["shape_score"] + 0.3 * entry["name_score"] + 0.2 * entry["hierarchy_score"]
        assert entry["score"] == pytest.approx(total)
        assert all(0 <= entry[part] <= 1 for part in ("shape_score", "name_score", "hierarchy_score", "confidence"))


def test_given_weights_make_the_score(tmp_path):
    mapper = WeightMapper(OldModel(), NewModel())
    mapper.suggest_mapping(weights={"shape": 0.0, "name": 1.0, "hierarchy": 0.0}, threshold=0.0)
    mapper.export_mapping_report(tmp_path / "r.json")
    for entry in json.loads((tmp_path / "r.json").read_bytes())["mappings"]:
        assert entry["score"] == pytest.approx(entry["name_score"])


def test_shape_tolerance():
    source = nn.ModuleDict({"embed": nn.Embedding(50257, 8), "fc": nn.Linear(8, 16), "out": nn.Linear(16, 4)})
    target = nn.ModuleDict({"embed": nn.Embedding(50304, 8), "fc": nn.Linear(8, 16), "out": nn.Linear(16, 4)})
    keys = list(source.state_dict())
    assert WeightMapper(source, target).suggest_mapping() == {key: key for key in keys if key != "embed.weight"}
    assert WeightMapper(source, target, shape_tolerance=0.01).suggest_mapping() == {key: key for key in keys}
    tolerant = WeightMapper.from_state_dict(source.state_dict(), target, 0.01)
    assert tolerant.suggest_mapping(strategy="shape_only") == {key: key for key in keys}


def test_shape_only_never_abstains_and_ignores_names():
    source, target = InOrder(), Shuffled()
    mapper = WeightMapper(source, target)
    mapping = mapper.suggest_mapping(strategy="shape_only")
    assert list(mapping) == list(source.state_dict())
    assert list(mapping.values()) == list(target.state_dict())


class Transposed(nn.Module):
    """OldTransformer's first layers with their weights the other way round, as GPT-2 keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.h = nn.ModuleList(nn.ModuleDict({"up": Rows(16, 64), "down": Rows(64, 16)}) for _ in range(3))


class Rows(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))


def test_transforms_only_where_they_are_asked_for(tmp_path):
    plain = nn.ModuleDict(
        {"h": nn.ModuleList(nn.ModuleDict({"up": nn.Linear(16, 64), "down": nn.Linear(64, 16)}) for _ in range(3))}
    )
    mapper = WeightMapper(Transposed(), plain)
    exact = mapper.suggest_mapping(threshold=0.0)
    shapes = {key: info.shape for key, info in mapper.source_params.items()}
    assert all(shapes[s] == mapper.target_params[t].shape for s, t in exact.items())
    mapping = mapper.suggest_mapping(threshold=0.0, allow_transforms=True)
    assert mapping == {key: key for key in shapes}
    mapper.export_mapping_report(tmp_path / "r.json")
    found = parse_mapping((tmp_path / "r.json").read_bytes())
    assert {p.source: p.transform for p in found.pairs} == {
        key: "transpose" if key.endswith("weight") else "none" for key in shapes
    }


def test_buffers_count_unless_they_are_excluded():
    everything = WeightMapper(OldTransformer(), NewTransformer())
    assert {"bn.running_mean", "bn.num_batches_tracked"} <= everything.source_params.keys()
    parameters = WeightMapper(OldTransformer(), NewTransformer(), buffers="exclude")
    assert parameters.source_params.keys() == dict(OldTransformer().named_parameters(remove_duplicate=False)).keys()
    state = WeightMapper.from_state_dict(OldTransformer().state_dict(), NewTransformer(), buffers="exclude")
    assert state.source_params.keys() == parameters.source_params.keys()


def test_a_source_without_ties_serves_both_names_of_a_tied_target(tmp_path):
    state = OldTransformer().state_dict()
    del state["lm_head.weight"]
    mapper = WeightMapper.from_state_dict(state, NewTransformer())
    mapper.export_mapping_report(tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["aliases"] == {"output.weight": "wte.weight"}
    assert report["forecast"] == {"missing": [], "unexpected": [], "mismatched": []}


def test_matched_and_unmatched_make_up_everything():
    source = OldTransformer(depth=4)
    mapper = WeightMapper(source, NewTransformer(depth=3))
    mapping, unmatched = mapper.suggest_mapping(), mapper.get_unmatched()
    assert unmatched["source"]
    assert {*mapping, *unmatched["source"]} == source.state_dict().keys()
    assert {*mapping.values(), *unmatched["target"]} == NewTransformer(depth=3).state_dict().keys()
    assert len(set(mapping.values())) == len(mapping)


def test_the_analysis_shows_what_has_no_partner(capsys):
    mapper = WeightMapper(OldTransformer(depth=4), NewTransformer(depth=3))
    mapper.print_analysis()
    assert "Unmatched source parameters:" in capsys.readouterr().out
    mapper.print_analysis(show_unmatched=False)
    assert "Unmatched" not in capsys.readouterr().out


def test_nested_state_dicts_are_unwrapped():
    old = OldModel()
    flat = WeightMapper.from_state_dict(old.state_dict(), NewModel()).suggest_mapping()
    nested = WeightMapper.from_state_dict({"model": old.state_dict(), "epoch": 1}, NewModel()).suggest_mapping()  # type: ignore[dict-item]
    assert nested == flat


def test_a_model_without_parameters_maps_nothing(capsys):
    mapper = WeightMapper(nn.ReLU(), nn.ReLU())
    assert mapper.suggest_mapping() == {}
    mapper.print_analysis()
    assert "Coverage: 0.0%" in capsys.readouterr().out


# ---- bad input


def untyped(value: Any) -> Any:
    """What a user without a type checker passes."""
    return value


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: WeightMapper(None, NewModel()), ValueError, "source_module is missing"),
        (lambda p: WeightMapper(OldModel()), ValueError, "target_module is missing"),
        (lambda p: WeightMapper(untyped(OldModel().state_dict()), NewModel()), ValueError, "is a OrderedDict, not a"),
        (lambda p: WeightMapper.from_state_dict({}, NewModel()), ValueError, "no dictionary of tensors"),
        (lambda p: WeightMapper.from_state_dict(untyped({"a": 3}), NewModel()), ValueError, "no dictionary of tensors"),
        (
            lambda p: WeightMapper.from_state_dict(OldModel().state_dict(), untyped(None)),
            ValueError,
            "target_module is missing",
        ),
        (lambda p: WeightMapper.from_checkpoint(p / "none.pth", NewModel()), FileNotFoundError, "none.pth"),
        (lambda p: WeightMapper.from_checkpoint(p / "broken.pth", NewModel()), ValueError, "broken.pth"),
        (lambda p: WeightMapper.from_checkpoint(p / "empty.pth", NewModel()), ValueError, "empty"),
        (lambda p: WeightMapper.from_checkpoint(p / "two.pth", NewModel()), ValueError, "weights_key='gen'"),
        (lambda p: WeightMapper(OldModel(), NewModel(), shape_tolerance=-1), ValueError, "shape_tolerance"),
        (lambda p: WeightMapper(OldModel(), NewModel()).suggest_mapping(strategy="best"), ValueError, "'best'"),
        (lambda p: WeightMapper(OldModel(), NewModel()).suggest_mapping(threshold=1.5), ValueError, "threshold"),
        (lambda p: WeightMapper(OldModel(), NewModel()).suggest_mapping(weights={"size": 1}), ValueError, "'size'"),
        (lambda p: WeightMapper(OldModel(), NewModel()).suggest_mapping(weights={"name": -1}), ValueError, "'name'"),
    ],
)
def test_bad_input_is_an_error_of_the_builtin_kind_with_a_remedy(tmp_path, make, error, words):
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 this is no archive")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save({"gen": OldModel().state_dict(), "disc": NewModel().state_dict()}, tmp_path / "two.pth")
    with pytest.raises(error, match=words) as caught:
        make(tmp_path)
    assert caught.value.message
    assert caught.value.remedy


def test_one_of_several_dictionaries_can_be_chosen(tmp_path):
    torch.save({"gen": OldModel().state_dict(), "disc": NewModel().state_dict()}, tmp_path / "two.pth")
    mapper = WeightMapper.from_checkpoint(tmp_path / "two.pth", NewModel(), weights_key="disc")
    assert mapper.suggest_mapping() == {key: key for key in NewModel().state_dict()}


def test_the_dictionary_of_the_usual_name_is_taken(tmp_path):
    torch.save({"ema": NewModel().state_dict(), "state_dict": OldModel().state_dict()}, tmp_path / "two.pth")
    mapper = WeightMapper.from_checkpoint(tmp_path / "two.pth", NewModel())
    assert list(mapper.source_params) == list(OldModel().state_dict())


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def test_nothing_of_a_checkpoint_runs(tmp_path):
    mark = tmp_path / "ran"
    torch.save({"state_dict": OldModel().state_dict(), "extra": Evil(mark)}, tmp_path / "evil.pth")
    (tmp_path / "model.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"a": Evil(mark)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mapper = WeightMapper.from_checkpoint(tmp_path / "evil.pth", NewModel())
    assert len(mapper.suggest_mapping()) == 8
    for name in ("model.py:Model", "plain.pkl"):
        with pytest.raises(ValueError):
            WeightMapper.from_checkpoint(tmp_path / name, NewModel())
    assert not mark.exists()
