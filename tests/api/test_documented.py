"""The documentation's examples, as they are written there, on real models and files."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import wmtui
from wmtui import WeightMapper, WeightRenamer, extract_state_dict, load_checkpoint_as_dict, rename_checkpoint_keys

from .networks import NewModel, OldModel

EXPECTED = {
    f"{old}.{n}.{leaf}": f"{new}.{n}.{leaf}"
    for old, new in (("backbone", "feature_extractor"), ("classifier", "head"))
    for n in (0, 2)
    for leaf in ("weight", "bias")
}


@pytest.fixture
def old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldModel:
    """A model whose weights lie in ``old_model.pth`` and ``old_weights.pth`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    model = OldModel()
    torch.save(model.state_dict(), "old_model.pth")
    torch.save(model.state_dict(), "old_weights.pth")
    return model


def loads_and_agrees(old_model: OldModel, new_model: NewModel) -> None:
    new_model.load_state_dict(torch.load("adapted_weights.pth"))
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(new_model(x), old_model(x), rtol=0, atol=0)


def test_basic_usage(old_model, capsys):
    new_model = NewModel()
    mapper = WeightMapper.from_checkpoint("old_model.pth", new_model)
    mapping = mapper.suggest_mapping(threshold=0.6)
    mapper.print_analysis()
    renamer = WeightRenamer("old_model.pth")
    renamer.rename_keys(mapping)
    renamer.save("adapted_weights.pth")
    loads_and_agrees(old_model, new_model)
    assert mapping == EXPECTED
    assert "Source model: old_model.pth" in capsys.readouterr().out


def test_with_execution_order_tracking(old_model):
    dummy_input = torch.randn(1, 3, 224, 224)
    mapper = WeightMapper.from_checkpoint("old_model.pth", NewModel(), dummy_input=dummy_input)
    assert mapper.suggest_mapping(threshold=0.6) == EXPECTED


def test_option_1_from_a_loaded_checkpoint(old_model):
    checkpoint = load_checkpoint_as_dict("old_model.pth")
    if "state_dict" in checkpoint:
        old_weights = checkpoint["state_dict"]
    else:
        old_weights = checkpoint
    new_model = NewModel()
    mapper = WeightMapper.from_state_dict(old_weights, new_model)
    mapping = mapper.suggest_mapping(threshold=0.6)
    renamer = WeightRenamer("old_model.pth")
    renamer.rename_keys(mapping)
    renamer.save("adapted_weights.pth")
    loads_and_agrees(old_model, new_model)


def test_option_2_from_two_models(old_model):
    mapper = WeightMapper(old_model, NewModel())
    mapping = mapper.suggest_mapping(threshold=0.6)
    assert mapper.get_mapping_dict() == mapping == EXPECTED


def test_option_3_directly_from_a_checkpoint_file(old_model):
    assert WeightMapper.from_checkpoint("old_model.pth", NewModel()).suggest_mapping() == EXPECTED


def test_using_with_weight_renamer(old_model):
    new_model = NewModel()
    mapper = WeightMapper(old_model, new_model)
    mapping = mapper.suggest_mapping()
    renamer = WeightRenamer("old_weights.pth")
    renamer.rename_keys(mapping)
    renamer.save("adapted_weights.pth")
    loads_and_agrees(old_model, new_model)


def test_strategies_and_weights(old_model):
    mapper = WeightMapper(old_model, NewModel())
    conservative = mapper.suggest_mapping(strategy="conservative")
    assert conservative.items() <= EXPECTED.items()
    assert all(score >= 0.75 for _, _, score in mapper.get_mapping_with_scores())
    assert mapper.suggest_mapping(strategy="shape_only") == EXPECTED
    custom_weights = {"shape": 0.5, "name": 0.4, "hierarchy": 0.1}
    assert mapper.suggest_mapping(weights=custom_weights) == EXPECTED


def test_export_report(old_model):
    mapper = WeightMapper(old_model, NewModel())
    mapper.export_mapping_report("mapping_report.json")
    report = json.loads(Path("mapping_report.json").read_bytes())
    assert (report["source_model"], report["target_model"]) == ("OldModel", "NewModel")
    assert (report["source_params_count"], report["target_params_count"]) == (8, 8)
    assert {m["source"]: m["target"] for m in report["mappings"]} == EXPECTED
    assert report["unmatched_source"] == report["unmatched_target"] == []
    assert report["coverage"] == 1.0


def test_mappings_with_scores(old_model):
    mapper = WeightMapper(old_model, NewModel())
    mappings = mapper.get_mapping_with_scores()
    mappings.sort(key=lambda x: x[2], reverse=True)
    low_confidence = [(s, t, score) for s, t, score in mappings if score < 0.7]
    assert {s: t for s, t, _ in mappings} == EXPECTED
    assert low_confidence == [entry for entry in mappings if entry[2] < 0.7]


def test_manual_override(old_model):
    mapper = WeightMapper(old_model, NewModel())
    mapping = mapper.get_mapping_dict()
    mapping["old.layer"] = "new.corrected_layer"
    assert mapper.get_mapping_dict() == EXPECTED


def test_the_three_constructors_take_a_dummy_input(old_model):
    dummy_input = torch.randn(1, 3, 224, 224)
    new_model = NewModel()
    for mapper in (
        WeightMapper(old_model, new_model, dummy_input=dummy_input),
        WeightMapper.from_checkpoint("old_model.pth", new_model, dummy_input=dummy_input),
        WeightMapper.from_state_dict(old_model.state_dict(), new_model, dummy_input=dummy_input),
    ):
        assert mapper.suggest_mapping() == EXPECTED
        assert [info.execution_order for info in mapper.target_params.values()] == list(range(8))


def test_the_example_output(old_model, capsys):
    mapper = WeightMapper(old_model, NewModel())
    mapper.print_analysis(top_n=4)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:17] == [
        "=" * 80,
        "Weight Mapping Analysis",
        "=" * 80,
        "",
        "Source model: OldModel",
        "  Total parameters: 8",
        "",
        "Target model: NewModel",
        "  Total parameters: 8",
        "",
        "Matching results:",
        "  Matched: 8",
        "  Coverage: 100.0%",
        "",
        "-" * 28 + "Top suggested mappings:" + "-" * 30,
        "Source                                   → Target                        Score",
        "-" * 80,
    ]
    best = sorted(mapper.get_mapping_with_scores(), key=lambda entry: -entry[2])[:4]
    assert lines[17:21] == [f"{s:<40} → {t:<30}{score:.3f}" for s, t, score in best]
    assert lines[21:] == ["  ... and 4 more matches", "=" * 80]


EMPTY = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("function", "documented"),
    [
        (WeightMapper, {"source_module": None, "target_module": None, "shape_tolerance": 0.0, "dummy_input": None}),
        (
            WeightMapper.from_state_dict,
            {"source_state_dict": EMPTY, "target_module": EMPTY, "shape_tolerance": 0.0, "dummy_input": None},
        ),
        (
            WeightMapper.from_checkpoint,
            {"checkpoint_path": EMPTY, "target_module": EMPTY, "shape_tolerance": 0.0, "dummy_input": None},
        ),
        (
            WeightMapper.suggest_mapping,
            {"self": EMPTY, "threshold": 0.6, "strategy": "best_match", "weights": None, "allow_transforms": False},
        ),
        (WeightMapper.print_analysis, {"self": EMPTY, "top_n": 10, "show_unmatched": True}),
        (WeightMapper.get_unmatched, {"self": EMPTY}),
        (WeightMapper.get_mapping_dict, {"self": EMPTY}),
        (WeightMapper.get_mapping_with_scores, {"self": EMPTY}),
        (WeightMapper.export_mapping_report, {"self": EMPTY, "output_path": EMPTY}),
        (WeightRenamer, {"weight_path": EMPTY, "use_checkpoint_loader": True}),
        (WeightRenamer.list_keys, {"self": EMPTY}),
        (WeightRenamer.search_keys, {"self": EMPTY, "pattern": EMPTY}),
        (
            WeightRenamer.rename_keys,
            {"self": EMPTY, "key_mapping": EMPTY, "preserve_unmapped": True, "backup": True},
        ),
        (
            WeightRenamer.rename_with_prefix,
            {"self": EMPTY, "old_prefix": EMPTY, "new_prefix": EMPTY, "backup": True},
        ),
        (WeightRenamer.remove_prefix, {"self": EMPTY, "prefix": EMPTY, "backup": True}),
        (WeightRenamer.add_prefix, {"self": EMPTY, "prefix": EMPTY, "backup": True}),
        (WeightRenamer.restore_backup, {"self": EMPTY}),
        (WeightRenamer.save, {"self": EMPTY, "output_path": EMPTY}),
        (WeightRenamer.print_summary, {"self": EMPTY}),
        (
            rename_checkpoint_keys,
            {
                "input_path": EMPTY,
                "output_path": EMPTY,
                "key_mapping": None,
                "old_prefix": None,
                "new_prefix": None,
                "use_checkpoint_loader": True,
            },
        ),
        (load_checkpoint_as_dict, {"path": EMPTY}),
        (extract_state_dict, {"checkpoint": EMPTY}),
    ],
)
def test_signatures_are_the_documented_ones(function, documented):
    """What goes beyond them is for keywords only."""
    parameters = inspect.signature(function).parameters.values()
    positional = {p.name: p.default for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY}
    assert positional == documented


def test_everything_is_importable_from_the_package_and_nothing_heavy_comes_before_it():
    code = (
        "import sys, wmtui; heavy = ('torch', 'textual', 'numpy', 'scipy', 'rapidfuzz', 'rich');"
        "assert not [m for m in heavy if m in sys.modules], 'heavy';"
        "assert set(wmtui.__all__) <= set(dir(wmtui));"
        "[getattr(wmtui, name) for name in wmtui.__all__];"
        "assert 'textual' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        wmtui.Nothing  # noqa: B018
