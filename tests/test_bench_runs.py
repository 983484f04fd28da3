"""The benchmark's changed cases are sound, and its runners judge what the matcher really says."""

import sys

import pytest

from benchmarks import __main__ as program
from benchmarks.ablation import opaque
from benchmarks.cases import FOLDERS, Case, Relation, Row, faults, load
from benchmarks.lookalikes import planted
from benchmarks.peers import run as run_tool
from benchmarks.quality import PLANTED, SETTINGS, GroupResult, calibration, measure, overview, reached, run, worst
from benchmarks.scale import PAIR, measure_here, resized


@pytest.fixture(scope="module")
def vit():
    return load(FOLDERS["pairs"] / "timm_vit_base__hf.json.gz")


@pytest.fixture(scope="module")
def experts():
    return load(FOLDERS["pairs"] / PAIR)


def keys(rows):
    return {row.key for row in rows}


def test_planted_cases_have_twins_and_exchanged_modules(vit):
    changed = planted(vit)
    assert faults(changed) == []
    added = keys(changed.target) - keys(vit.target)
    assert added == set(changed.target_only)
    assert sum("_extra." in key for key in added) >= 1
    assert {key.split(".")[1] for key in added if key.startswith("auxiliary.")} == {"0", "1"}
    gone = keys(vit.target) - keys(changed.target)
    assert len(gone) == len(changed.source_only) == sum(key.startswith("auxiliary.") for key in added)
    assert planted(vit) == changed


def test_a_case_of_few_modules_stays_as_it_is():
    rows = (Row("a.weight", (2, 2), "float32", "param"),)
    case = Case("few", "test", "", "", rows, rows, (Relation(("a.weight",), ("a.weight",), "identity"),))
    assert planted(case) is case


def test_opaque_cases_keep_nesting_and_numbers_but_no_word(vit):
    hidden = opaque(vit)
    assert faults(hidden) == []
    assert hidden.target == vit.target
    for before, after in zip(vit.source, hidden.source, strict=True):
        assert before.key.count(".") == after.key.count(".")
        assert [c for c in before.key if c.isdigit()] == [c for c in after.key if c.isdigit()]
        assert before.key.split(".")[-1] == after.key.split(".")[-1]
        assert not {"blocks", "attn", "norm", "mlp"} & set(after.key.split("."))


@pytest.mark.parametrize(("size", "layers"), [(1_000, 8), (12_000, 61), (100_000, 61)])
def test_resized_pairs_are_sound_and_of_the_size_asked_for(experts, size, layers):
    case = resized(experts, size)
    assert faults(case) == []
    assert len(case.source) == pytest.approx(size, rel=0.05)
    assert {int(key.split(".")[2]) for key in keys(case.source) if ".layers." in key} == set(range(layers))


def test_measuring_a_size_reports_what_was_matched():
    found = measure_here(1_000)
    assert found["keys"] == pytest.approx(1_000, rel=0.05)
    assert found["recall"] == 1
    assert found["peak"] >= found["before"] > 0


def test_quality_judges_every_setting(vit):
    results = measure([vit], SETTINGS)
    assert [result.setting for result in results] == list(SETTINGS)
    for result in results:
        assert sum(group.size for group in result.groups) == len(result.judgement.verdicts)
        assert sum(group.right for group in result.groups) == sum(result.judgement.verdicts.values())
        assert len(result.wrong) == len(result.judgement.verdicts) - sum(result.judgement.verdicts.values())
    assert overview(results).count("\n| ") == 1 + len(SETTINGS)
    assert results[0].judgement.perfect
    assert run(vit, PLANTED).judgement.wanted < results[0].judgement.wanted


def test_calibration_weighs_each_group_once_and_each_case_once(vit):
    (result,) = measure([vit], ["in order"])
    big, small = GroupResult(0.95, 9, 10), GroupResult(0.96, 0, 1)
    changed = [type(result)(result.case, "in order", result.judgement, 0, (big, small), (("a", "b", 0.96),))]
    row = next(line for line in calibration(changed).splitlines() if line.startswith("| 0.9 and more"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["2", "0.4500", "1", f"{9 / 11:.4f}"]
    assert reached(changed) == 0
    assert "| a | b | 0.960 |" in worst(changed)


def test_a_tool_runs_in_its_own_process_and_is_stopped(vit):
    outcome = run_tool("wmtui", sys.executable, vit)
    assert outcome.judgement.perfect
    assert outcome.words().startswith("1.000 / 1.000, ")
    stopped = run_tool("wmtui", sys.executable, vit, limit=0.01)
    assert stopped.seconds is None
    assert stopped.words().startswith("stopped after")
    failed = run_tool("lit-wsl", sys.executable, vit)
    assert failed.words().startswith("failed: ModuleNotFoundError")


def test_renaming_is_measured_against_copying(tmp_path, capsys):
    assert program.main(["rename", "--gib", "0.01", "--runs", "1", "--folder", str(tmp_path)]) == 0
    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    whats = ("safetensors", "safetensors, 4 shards", "torch zip")
    ways = ("cp && sync", "wmtui", "load and save")
    assert len(rows) == len(whats) * len(ways)
    for n, (what, way) in enumerate(rows):
        assert what.strip() == whats[n // 3]
        assert way.strip().endswith(ways[n % 3])
    assert list(tmp_path.iterdir()) == []


def test_the_program_knows_its_parts(capsys):
    assert program.main(["nonsense"]) == 2
    assert "quality | ablation | scale | effort | screen | rename | peers | all" in capsys.readouterr().err
    assert program.main(["quality", "held", "--case", "albert", "--settings", "both sorted"]) == 0
    assert "google_albert_base_v2__hf" in capsys.readouterr().out
