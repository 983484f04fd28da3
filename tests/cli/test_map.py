"""``wmtui map``: the main job without a screen, on a real checkpoint and a real model."""

import json

import pytest
import torch

from wmtui.cli.demo.new_model import NewModel
from wmtui.cli.demo.old_model import OldModel

MODEL = "new_model.py:NewModel"


@pytest.mark.parametrize("name", ["new.pth", "new.safetensors"])
def test_the_renamed_checkpoint_loads_strictly_and_computes_the_same(pair, wmtui, name):
    format_ = "safetensors" if name.endswith("safetensors") else "source"
    said = wmtui("map", "old_model.pth", MODEL, "--output", name, "--format", format_)
    assert said.status == 0, said.err
    before = torch.load("old_model.pth", weights_only=True)
    if format_ == "safetensors":
        from safetensors.torch import load_file

        after = load_file(name)
    else:
        whole = torch.load(name, weights_only=True)
        assert whole["epoch"] == before["epoch"]
        assert whole["optimizer"] == before["optimizer"]
        after = whole["state_dict"]
    old, new = OldModel().eval(), NewModel().eval()
    old.load_state_dict({key.removeprefix("module."): value for key, value in before["state_dict"].items()})
    new.load_state_dict(after, strict=True)
    image, tokens = torch.randn(2, 3, 32, 32), torch.randint(500, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(old(image, tokens), new(image, tokens))


def test_the_outputs_tell_the_same_story(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL, "--mapping", "m.json", "--report", "r.json")
    assert said.status == 0
    mapping = json.loads((pair / "m.json").read_text())
    report = json.loads((pair / "r.json").read_text())
    assert mapping == {entry["source"]: entry["target"] for entry in report["mappings"]}
    assert mapping["module.enc_blocks.2.attn.query.weight"] == "encoder.layers.2.self_attn.q_proj.weight"
    assert report["unmatched_source"] == ["module.aux_head.weight", "module.aux_head.bias"]
    assert report["forecast"] == {"missing": [], "unexpected": [], "mismatched": []}
    assert report["matched_count"] == len(mapping) == 169
    assert all(entry["reasons"] for entry in report["mappings"])
    assert "0 missing, 0 unexpected, 0 mismatched" in said.out


def test_without_outputs_it_prints_the_analysis(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL)
    assert "Weight Mapping Analysis" in said.out
    assert "Coverage: 98.8%" in said.out


def test_json_prints_the_report_and_nothing_else(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL, "--json")
    assert said.json["format"] == "wmtui-report/1"


def test_dry_run_writes_nothing(pair, wmtui):
    before = sorted(pair.iterdir())
    said = wmtui("map", "old_model.pth", MODEL, "--output", "new.pth", "--mapping", "m.json", "--dry-run")
    assert said.status == 0
    assert "would write checkpoint new.pth" in said.out
    assert sorted(pair.iterdir()) == before


def test_strict_tells_what_is_left_open(pair, wmtui):
    assert wmtui("map", "old_model.pth", MODEL, "--strict").status == 0
    said = wmtui("map", "old_model.pth", MODEL, "--target-args", "layers=5", "--strict")
    assert said.status == 1


def test_model_arguments_reach_the_factory(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL, "--target-args", "layers=2", "--json")
    assert said.json["target_params_count"] < 169


def test_both_models_are_run_and_compared(pair, wmtui):
    said = wmtui(
        *("map", "old_model.pth", MODEL, "--output", "new.pth", "--strict-load"),
        *("--source-model", "old_model.py:OldModel", "--input", "1x3x32x32", "--input", "1x7:int64"),
    )
    assert said.status == 0, said.err
    assert "loads into NewModel with strict=True" in said.out
    assert "the outputs agree" in said.out


def test_a_strict_load_that_fails_says_what_is_missing(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL, "--target-args", "layers=5", "--output", "new.pth", "--strict-load")
    assert said.status == 1
    assert "does not load with strict=True" in said.out
    assert "encoder.layers.4" in said.out


def test_thresholds_leave_pairs_out(pair, wmtui):
    everything = wmtui("map", "old_model.pth", MODEL, "--json").json
    scores = sorted(entry["score"] for entry in everything["mappings"])
    middle = scores[len(scores) // 2]
    some = wmtui("map", "old_model.pth", MODEL, "--json", "--threshold", str(middle)).json
    assert 0 < some["matched_count"] < everything["matched_count"]
    assert all(entry["score"] >= middle for entry in some["mappings"])
    sure = wmtui("map", "old_model.pth", MODEL, "--json", "--confidence", "1").json
    assert sure["matched_count"] < everything["matched_count"]


def test_shape_only_ignores_names(pair, wmtui):
    said = wmtui("map", "old_model.pth", MODEL, "--strategy", "shape_only", "--json").json
    assert said["strategy"] == "shape_only"
    assert all(entry["source_shape"] == entry["target_shape"] for entry in said["mappings"])


def test_a_mapping_to_start_from_is_kept(pair, wmtui):
    one, other = "module.enc_blocks.0.attn.query.weight", "module.enc_blocks.0.attn.key.weight"
    q, k = "encoder.layers.0.self_attn.q_proj.weight", "encoder.layers.0.self_attn.k_proj.weight"
    (pair / "in.json").write_text(json.dumps({one: k, other: q}))
    found = wmtui("map", "old_model.pth", MODEL, "--mapping-in", "in.json", "--json").json
    decided = {entry["source"]: entry for entry in found["mappings"] if entry["decided_by"] == "user"}
    assert {key: entry["target"] for key, entry in decided.items()} == {one: k, other: q}
    assert {entry["status"] for entry in decided.values()} == {"accepted"}


def test_unmapped_keys_can_be_kept(pair, wmtui):
    wmtui("map", "old_model.pth", MODEL, "--output", "new.pth", "--unmapped", "keep")
    kept = torch.load("new.pth", weights_only=True)["state_dict"]
    assert "module.aux_head.weight" in kept


def test_a_listing_stands_for_its_checkpoint(pair, wmtui):
    (pair / "old.json").write_text(wmtui("inspect", "old_model.pth", "--json").out)
    (pair / "new.json").write_text(wmtui("inspect", MODEL, "--json").out)
    from_files = wmtui("map", "old_model.pth", MODEL, "--json").json
    from_listings = wmtui("map", "old.json", "new.json", "--json").json
    assert from_listings["mappings"] == from_files["mappings"]
    assert from_listings["aliases"] == from_files["aliases"]


def test_a_prefix_chooses_a_part(pair, wmtui):
    found = wmtui(
        "map",
        "old_model.pth",
        MODEL,
        "--source-prefix",
        "module.enc_blocks",
        "--target-prefix",
        "encoder.layers",
        "--json",
    ).json
    assert found["source_params_count"] == found["matched_count"] == 60
    assert all(entry["source"].startswith("module.enc_blocks.") for entry in found["mappings"])


def test_buffers_can_be_left_out(pair, wmtui):
    found = wmtui("map", "old_model.pth", MODEL, "--buffers", "exclude", "--json").json
    assert not any("running_mean" in entry["source"] for entry in found["mappings"])
