"""Decisions: folding into runs loses nothing and keeps bulk decisions short."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core.decisions import (
    TRANSFORMS,
    Accept,
    Assign,
    Decision,
    Ignore,
    PairRun,
    Redo,
    Reject,
    Reopen,
    Run,
    Undo,
    fold,
    fold_pairs,
    unfold,
    unfold_pairs,
)
from wmtui.core.proposal import Transform

PAIRS = st.dictionaries(
    st.integers(0, 60), st.tuples(st.integers(0, 60), st.sampled_from(TRANSFORMS)), max_size=40
).map(lambda chosen: [(s, t, transform) for s, (t, transform) in chosen.items()])


@given(PAIRS)
def test_folded_pairs_unfold_to_the_same_pairs(pairs):
    runs = fold_pairs(pairs)
    assert list(unfold_pairs(runs)) == sorted(pairs)
    assert len(runs) <= len(pairs)


@given(st.lists(st.integers(0, 100)))
def test_folded_places_unfold_to_the_same_places(places):
    runs = fold(places)
    assert list(unfold(runs)) == sorted(set(places))
    for left, right in pairwise(runs):
        assert left.start + left.length < right.start


def test_a_run_ends_where_the_offset_or_the_transform_changes():
    pairs = [
        (0, 5, Transform.NONE),
        (1, 6, Transform.NONE),
        (2, 7, Transform.TRANSPOSE),
        (3, 9, Transform.TRANSPOSE),
    ]
    assert fold_pairs(reversed(pairs)) == (PairRun(0, 5, 2, 0), PairRun(2, 7, 1, 1), PairRun(3, 9, 1, 1))


def test_accepting_90000_keys_is_a_line_of_some_bytes():
    decision = Accept(fold_pairs((n, n + 3, Transform.NONE) for n in range(90_000)))
    assert len(msgspec.json.encode(decision)) < 100


@pytest.mark.parametrize("code", [-1, len(TRANSFORMS), 10**9])
def test_an_unknown_transform_is_a_value_error(code):
    with pytest.raises(ValueError, match="no such transform"):
        list(unfold_pairs([PairRun(0, 0, 1, code)]))


RUNS = st.builds(Run, st.integers(0, 99), st.integers(1, 9))
PAIR_RUNS = st.builds(PairRun, st.integers(0, 99), st.integers(0, 99), st.integers(1, 9), st.integers(0, 2))
DECISIONS = st.one_of(
    st.builds(Accept, st.lists(PAIR_RUNS).map(tuple)),
    st.builds(Assign, st.lists(PAIR_RUNS).map(tuple)),
    st.builds(Reject, st.lists(PAIR_RUNS).map(tuple)),
    st.builds(Ignore, st.lists(RUNS).map(tuple), st.lists(RUNS).map(tuple)),
    st.builds(Reopen, st.lists(RUNS).map(tuple), st.lists(RUNS).map(tuple)),
    st.just(Undo()),
    st.just(Redo()),
)


@given(DECISIONS)
def test_a_decision_survives_a_line_of_json(decision):
    line = msgspec.json.encode(decision)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Decision) == decision
