"""The benchmark's cases are sound, and their judge is strict: each kind of relation, ties and abstention."""

import json

import msgspec
import pytest

from benchmarks.cases import FOLDERS, Case, Relation, Row, faults, judge, listings, load

FILES = [path for folder in FOLDERS.values() for path in sorted(folder.glob("*.json*"))]


def small(*relations, source_only=(), target_only=(), unknown=()):
    sources = [key for relation in relations for key in relation.sources]
    targets = [key for relation in relations for key in relation.targets]
    return Case(
        "small", "test", "", "", rows([*sources, *source_only]), rows([*targets, *target_only]),
        tuple(relations), tuple(source_only), tuple(target_only), tuple(unknown),
    )  # fmt: skip


def rows(keys):
    return tuple(Row(key, (4, 4), "float32", "param") for key in keys)


def one(source, target, op="identity"):
    return Relation((source,), (target,), op)


def test_there_are_cases_of_both_sets():
    assert len(list(FOLDERS["pairs"].glob("*.json.gz"))) == 34
    assert len(list(FOLDERS["held"].glob("*.json.gz"))) >= 35


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_a_case_is_sound(path):
    case = load(path)
    assert faults(case) == []
    assert path.name == f"{case.name}.json.gz"
    assert case.family
    assert case.difficulty_note
    assert "method" in case.origin
    assert "/tmp" not in case.origin
    answer = {s: t for r in case.relations for s, t in zip(r.sources, r.targets, strict=False) if r.op in
              ("identity", "transpose", "reshape")}  # fmt: skip
    verdict = judge(case, answer)
    assert verdict.perfect
    assert verdict.wanted == len(answer) == len(verdict.verdicts)
    if len(answer) > 1:
        turned = dict(zip(answer, [*list(answer.values())[1:], next(iter(answer.values()))], strict=True))
        assert judge(case, turned).recall < 1


def test_a_right_mapping_is_perfect_and_a_swapped_one_has_nothing():
    case = small(one("a", "x"), one("b", "y"))
    assert judge(case, {"a": "x", "b": "y"}).perfect
    swapped = judge(case, {"a": "y", "b": "x"})
    assert (swapped.recall, swapped.precision) == (0, 0)


def test_a_missing_pair_costs_recall_only():
    verdict = judge(small(one("a", "x"), one("b", "y")), {"a": "x"})
    assert (verdict.recall, verdict.precision, verdict.perfect) == (0.5, 1, False)


def test_any_of_tied_tensors_will_do_and_counts_once():
    case = small(Relation(("a",), ("x", "y"), "identity"), one("b", "z"))
    assert judge(case, {"a": "y", "b": "z"}).perfect
    assert judge(case, {"a": "y"}).wanted == 2


def test_parts_and_wholes_must_stay_unmatched():
    case = small(Relation(("qkv",), ("q", "k", "v"), "split"), one("b", "y"))
    assert judge(case, {"b": "y"}).perfect
    assert judge(case, {"b": "y", "qkv": "q"}).precision == 0.5


def test_keys_without_counterpart_must_stay_unmatched():
    case = small(one("a", "x"), source_only=["head"], target_only=["tail"])
    assert judge(case, {"a": "x", "head": "tail"}).verdicts == {"a": True, "head": False}


def test_permuted_values_and_unknown_keys_are_not_judged():
    case = small(one("a", "x", "other"), source_only=["b"], target_only=["y"])
    assert judge(case, {"a": "x"}).verdicts == {}
    assert judge(case, {"a": "y"}).verdicts == {"a": False}
    unsure = msgspec.structs.replace(case, source_only=(), unknown=("b",))
    assert faults(unsure) == []
    assert judge(unsure, {"b": "y"}).verdicts == {}


def test_where_nothing_is_wanted_silence_is_right_and_a_pair_wrong():
    case = small(source_only=["a"], target_only=["x"])
    assert judge(case, {}).perfect
    assert judge(case, {"a": "x"}).precision == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source_only": ("a",)}, "2 relations or lists"),
        ({"target_only": ("nowhere",)}, "no target key"),
        ({"relations": ()}, "in no relation"),
        ({"unknown": ("nowhere",)}, "on neither side"),
        ({"source": ()}, "source is empty"),
        ({"relations": (one("a", "x", "split"), one("b", "y"))}, "do not fit"),
        ({"relations": (one("a", "x"), one("a", "y")), "source_only": ("b",)}, "2 relations or lists"),
        ({"target": (Row("x", (4,), "float32", None), Row("y", (4, 4), "float32", None))}, "do not fit"),
    ],
)
def test_faults_are_told(change, words):
    case = msgspec.structs.replace(small(one("a", "x"), one("b", "y")), **change)
    assert any(words in fault for fault in faults(case))


def test_orders_of_listings():
    case = small(one("b", "y"), one("a", "x"))
    keys = {order: tuple(side.keys for side in listings(case, order)) for order in
            ("in order", "source sorted", "both sorted")}  # fmt: skip
    assert keys == {
        "in order": (("b", "a"), ("y", "x")),
        "source sorted": (("a", "b"), ("y", "x")),
        "both sorted": (("a", "b"), ("x", "y")),
    }


def test_what_is_no_case_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({"name": "bad"}))
    with pytest.raises(msgspec.ValidationError, match="family"):
        load(tmp_path / "bad.json")
