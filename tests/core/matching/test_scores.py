"""The documented composite and the documented strategies."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.matching.helpers import listing
from wmtui.core.listing import TensorSpec
from wmtui.core.scores import ScoreWeights, composite, hierarchy_score, name_score, score_weights, shape_score
from wmtui.core.strategies import suggest
from wmtui.errors import InputError

OLD = {
    "backbone.0.weight": (16, 3, 3, 3),
    "backbone.0.bias": (16,),
    "backbone.2.weight": (32, 16, 3, 3),
    "backbone.2.bias": (32,),
    "classifier.0.weight": (64, 32),
    "classifier.0.bias": (64,),
    "classifier.2.weight": (10, 64),
    "classifier.2.bias": (10,),
}
NEW = {k.replace("backbone", "feature_extractor").replace("classifier", "head"): v for k, v in OLD.items()}
RENAMED = dict(zip(OLD, NEW, strict=True))


@pytest.mark.parametrize("strategy", ["best_match", "conservative"])
def test_a_renamed_model_is_matched_in_full(strategy):
    found = suggest(listing(OLD), listing(NEW), strategy=strategy)
    assert {pair.source: pair.target for pair in found} == RENAMED


def test_shape_only_pairs_equal_shapes_in_order_and_never_abstains():
    source = listing({"x": (2, 2), "y": (2, 2), "z": (3,)})
    target = listing({"a": (3,), "b": (2, 2), "c": (2, 2)})
    found = suggest(source, target, strategy="shape_only", threshold=1.0)
    assert [(pair.source, pair.target) for pair in found] == [("x", "b"), ("y", "c"), ("z", "a")]


def test_an_unknown_strategy_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"best_match, conservative, shape_only"):
        suggest(listing(OLD), listing(NEW), strategy="greedy")


def test_shape_score():
    assert shape_score((4, 3), (4, 3)) == 1.0
    assert shape_score((4, 3), (3, 4)) == 0.7
    assert shape_score((4, 3), (4, 5)) == 0.0
    assert shape_score((100, 3), (101, 3), tolerance=0.05) == 1.0


def test_wrappers_cost_no_score_and_the_total_is_the_weighted_sum():
    assert name_score("module.net.fc.weight", "net._orig_mod.fc.weight") == 1.0
    score = composite(TensorSpec("a.fc.weight", (2, 3)), TensorSpec("b.fc.weight", (3, 2)))
    assert score.total == pytest.approx(0.5 * 0.7 + 0.3 * score.name + 0.2 * score.hierarchy)
    only_names = composite(TensorSpec("a", (1,)), TensorSpec("a", (2,)), ScoreWeights(0, 1, 0))
    assert only_names.total == 1.0


NUMBERED = st.text(st.sampled_from("aB.0123_/\u0661\n"), min_size=1, max_size=12)


@given(NUMBERED, NUMBERED)
def test_keys_that_differ_in_their_numbers_share_one_computation(source, target):
    score = composite(TensorSpec(source), TensorSpec(target))
    assert (score.name, score.hierarchy) == (name_score(source, target), hierarchy_score(source, target))


KEYS = st.lists(st.sampled_from(["a", "b", "layer1", "fc", "0", "module"]), min_size=1, max_size=5).map(".".join)


@given(KEYS, KEYS, st.integers(0, 20), st.integers(0, 20))
def test_execution_order_never_lowers_a_score(source, target, here, there):
    a, b = TensorSpec(source, (2,)), TensorSpec(target, (2,))
    plain = composite(a, b).total
    ordered = composite(
        msgspec.structs.replace(a, order=here), msgspec.structs.replace(b, order=there), ordered=(21, 21)
    )
    assert plain <= ordered.total <= 1.0 + 1e-9


@given(st.dictionaries(st.sampled_from(["shape", "name", "hierarchy"]), st.floats(0, 100)))
def test_scores_stay_between_0_and_1_with_any_weights(given_weights):
    if all(given_weights.get(name) == 0 for name in ("shape", "name", "hierarchy")):
        with pytest.raises(InputError, match="all weights are 0"):
            score_weights(given_weights)
        return
    weights = score_weights(given_weights)
    assert weights.shape + weights.name + weights.hierarchy == pytest.approx(1)
    one = TensorSpec("a.b", (2, 3))
    assert composite(one, one, weights).total == pytest.approx(1)


def test_given_weights_that_make_1_are_taken_as_they_are_and_the_rest_keeps_its_share():
    assert score_weights({"shape": 0.5, "name": 0.4, "hierarchy": 0.1}) == ScoreWeights(0.5, 0.4, 0.1)
    assert score_weights({}) == ScoreWeights()
    assert score_weights({"shape": 1.5}) == ScoreWeights(0.75, 0.15, 0.1)
    for wrong in ({"size": 1.0}, {"name": -1.0}, {"name": float("nan")}):
        with pytest.raises(InputError):
            score_weights(wrong)
