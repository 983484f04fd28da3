"""Reports and mapping files: written, read again, and refused where they are damaged."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core import report as report_module
from wmtui.core.forecast import forecast
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Pair, Proposal, Rule, Score, Transform
from wmtui.core.report import build_report, encode_mapping, encode_report, parse_mapping, report_pair
from wmtui.core.session import Status
from wmtui.errors import FormatError

TOP_LEVEL = [
    "format", "source_model", "target_model", "source_params_count", "target_params_count", "matched_count",
    "coverage", "threshold", "strategy", "mappings", "unmatched_source", "unmatched_target", "ambiguous", "aliases",
    "rules", "forecast", "source_digest", "target_digest", "warnings",
]  # fmt: skip
ENTRY = [
    "source", "target", "score", "confidence", "shape_score", "name_score", "hierarchy_score", "source_shape",
    "target_shape", "transform", "status", "decided_by", "reasons",
]  # fmt: skip

SOURCE = Listing(
    "old.pth",
    [
        TensorSpec("l.0.w", (2, 3)),
        TensorSpec("l.1.w", (2, 3)),
        TensorSpec("wte", (4,)),
        TensorSpec("x", (7,)),
        TensorSpec("y", (7,)),
    ],
)
TARGET = Listing(
    "NewModel",
    [
        TensorSpec("m.0.w", (3, 2)),
        TensorSpec("m.1.w", (3, 2)),
        TensorSpec("embed", (4,)),
        TensorSpec("head", (4,), shares="embed"),
        TensorSpec("left", (9,)),
        TensorSpec("p", (7,)),
        TensorSpec("q", (7,)),
    ],
)
RULE = Rule("l.{0}.w", "m.{0}.w", (((0,), (0,)), ((1,), (1,))), Transform.TRANSPOSE, 0.9)
SCORE = Score(0.8, 0.7, 0.9, 0.9)
PROPOSAL = Proposal(
    {
        "l.0.w": Pair("l.0.w", "m.0.w", 0.9, Transform.TRANSPOSE),
        "l.1.w": Pair("l.1.w", "m.1.w", 0.9, Transform.TRANSPOSE),
        "wte": Pair("wte", "embed", 0.8),
    },
    {"x": ("p", "q"), "y": ("p", "q")},
    (),
    (RULE,),
    lambda source, limit: (),
)


def sample(pairs: dict[str, str]) -> report_module.Report:
    made = []
    for s, t in pairs.items():
        transform = Transform.NONE if SOURCE[s].shape == TARGET[t].shape else Transform.TRANSPOSE
        made.append(report_pair(SOURCE[s], TARGET[t], SCORE, 0.9, transform=transform, reasons=("next in order",)))
    plan = make_plan(SOURCE, [(p.source, p.target, p.transform) for p in made], unmapped="drop", target=TARGET)
    return build_report(
        SOURCE, TARGET, made, proposal=PROPOSAL, plan=plan, forecast=forecast(plan, SOURCE, TARGET), threshold=0.6
    )


ALL = {"l.0.w": "m.0.w", "l.1.w": "m.1.w", "wte": "embed"}


def test_the_fields_are_the_documented_ones_in_their_order():
    data = json.loads(encode_report(sample(ALL)))
    assert list(data) == TOP_LEVEL
    assert list(data["mappings"][0]) == ENTRY
    assert data["format"] == "wmtui-report/1"


def test_the_numbers_add_up():
    data = json.loads(encode_report(sample(ALL)))
    assert (data["source_params_count"], data["target_params_count"], data["matched_count"]) == (5, 7, 3)
    assert data["coverage"] == 0.6
    assert data["unmatched_source"] == ["x", "y"]
    assert data["unmatched_target"] == ["left", "p", "q"]
    assert data["ambiguous"] == {"x": ["p", "q"], "y": ["p", "q"]}
    assert data["aliases"] == {"head": "wte"}
    assert data["forecast"] == {"missing": ["left", "p", "q"], "unexpected": [], "mismatched": []}
    assert data["mappings"][0]["reasons"] == ["next in order"]
    assert data["mappings"][0]["transform"] == "transpose"
    assert data["mappings"][2]["transform"] == "none"


def test_a_rule_keeps_only_the_pairs_that_stand():
    data = json.loads(encode_report(sample({"l.1.w": "m.1.w"})))
    assert data["rules"] == [
        {"source": "l.{0}.w", "target": "m.{0}.w", "indices": [[[1], [1]]], "transform": "transpose", "confidence": 0.9}
    ]
    assert json.loads(encode_report(sample({"wte": "embed"})))["rules"] == []


def test_an_ambiguous_key_that_was_mapped_is_none_any_more():
    assert list(sample({"x": "p"}).ambiguous) == ["y"]


def test_an_empty_source_has_no_coverage():
    empty = Listing("empty", [])
    assert build_report(empty, empty, []).coverage == 0.0


def test_a_report_is_read_as_it_was_written():
    made = sample(ALL)
    found = parse_mapping(encode_report(made))
    assert found.is_report
    assert found.mapping == ALL
    assert [(p.transform, p.status, p.decided_by) for p in found.pairs] == [
        (p.transform, p.status, p.decided_by) for p in made.mappings
    ]
    assert found.rules == made.rules
    assert found.aliases == made.aliases
    assert (found.source_digest, found.target_digest) == (SOURCE.digest, TARGET.digest)
    assert found.misfits(SOURCE) == ()


def test_the_target_that_a_report_knows_gives_the_same_plan():
    found = parse_mapping(encode_report(sample(ALL)))
    target = found.known_target("NewModel")
    assert target is not None
    pairs = [(p.source, p.target, p.transform) for p in found.pairs]
    assert make_plan(SOURCE, pairs, unmapped="drop", target=target) == make_plan(
        SOURCE, pairs, unmapped="drop", target=TARGET
    )


def test_a_plain_mapping_is_accepted_by_the_user_and_knows_no_target():
    found = parse_mapping(encode_mapping(ALL))
    assert json.loads(encode_mapping(ALL)) == ALL
    assert found.mapping == ALL
    assert not found.is_report
    assert {(p.status, p.decided_by) for p in found.pairs} == {(Status.ACCEPTED, "user")}
    assert found.known_target("x") is None


def test_what_does_not_fit_is_told_by_number_and_first_key():
    found = parse_mapping(encode_report(sample(ALL)))
    other = Listing("o", [TensorSpec("l.0.w", (2, 4)), TensorSpec("wte", (4,))])
    absent, reshaped = found.misfits(other)
    assert absent == "1 source key is not there, of 3, first 'l.1.w'"
    assert "first 'l.0.w': [2, 3] in the report, [2, 4] here" in reshaped


KEYS = st.text(st.characters(codec=None), max_size=12)


@given(st.dictionaries(KEYS, KEYS, max_size=6))
def test_any_keys_survive_a_mapping_file(mapping):
    """Control characters, right-to-left marks and halves of surrogate pairs included."""
    assert parse_mapping(encode_mapping(mapping)).mapping == mapping


def test_a_mapping_may_name_keys_like_a_reports_fields():
    mapping = {"format": "a", "mappings": "b", "aliases": "c"}
    assert parse_mapping(encode_mapping(mapping)).mapping == mapping


def entry(**fields: object) -> bytes:
    return json.dumps({"format": "wmtui-report/1", "mappings": [{"source": "a", "target": "b"} | fields]}).encode()


def rule(source: str, indices: object) -> bytes:
    made = {"source": source, "target": "b.{0}", "indices": indices, "transform": "none", "confidence": 1.0}
    return json.dumps({"format": "wmtui-report/1", "mappings": [], "rules": [made]}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[1]", "no JSON object"),
        (b'"a"', "no JSON object"),
        (b"null", "no JSON object"),
        (b"\x80\x02}q\x00.", ""),
        (b'{"a": 1}', "what 'a' is mapped to is not text"),
        (b'{"a": {"b": "c"}}', "what 'a' is mapped to is not text"),
        (b'{"a": null}', "not text"),
        (b'{"a": "b", "a": "c"}', "the key 'a' stands twice"),
        (b'{"format": "wmtui-report/2", "mappings": []}', "format 'wmtui-report/2'"),
        (b'{"format": "wmtui-listing/1", "tensors": []}', "format 'wmtui-listing/1'"),
        (b'{"format": "wmtui-report/1"}', "mappings"),
        (b'{"format": "wmtui-report/1", "mappings": {}}', "array"),
        (b'{"format": "wmtui-report/1", "mappings": [3]}', "mappings"),
        (b'{"format": "wmtui-report/1", "mappings": [], "aliases": {"a": 3}}', "not text"),
        (b'{"format": "wmtui-report/1", "mappings": [], "aliases": {"a": "b", "a": "c"}}', "stands twice"),
        (entry(transform="melt"), "melt"),
        (entry(status="\x1b[31m" * 500), "x1b"),
        (b'{"' + b"k" * 5000 + b'": 1}', "kkk"),
        (entry(source=3), "source"),
        (entry(source_shape=["2"]), "source_shape"),
        (entry(decided_by="ghost"), "ghost"),
        (rule("a.{0.__class__}", [[[0], [0]]]), "does not fit"),
        (rule("a.{0:>999999999}", [[[0], [0]]]), "does not fit"),
        (rule("a.{0!r}", [[[0], [0]]]), "does not fit"),
        (rule("a.{}", [[[0], [0]]]), "does not fit"),
        (rule("a.{1}", [[[0], [0]]]), "does not fit"),
        (rule("a.{0", [[[0], [0]]]), ""),
        (rule("a.{0}", [[["x"], [0]]]), "indices"),
        (b"[" * 100_000, ""),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"format": "wmtui-report/1", "mappings": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_mapping_gets_one_line_and_a_remedy(data, words):
    with pytest.raises(FormatError) as caught:
        parse_mapping(data, "m.json")
    assert caught.value.message.startswith("m.json")
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    assert caught.value.remedy


def test_a_source_key_with_two_targets_is_refused():
    data = json.dumps({"mappings": [{"source": "a", "target": "b"}, {"source": "a", "target": "c"}]}).encode()
    with pytest.raises(FormatError, match="maps 'a' twice"):
        parse_mapping(data)


def test_a_huge_file_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(report_module, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="too large"):
        parse_mapping(b'{"a": "b", "c": "d"}')


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_bytes_are_read_or_refused(data):
    with suppress(FormatError):
        parse_mapping(data)
