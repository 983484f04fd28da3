"""Plans: chains, swaps, keep and drop, ties, transforms, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import (
    PERMUTATIONS,
    Operation,
    Plan,
    Unmapped,
    make_plan,
    permutation_between,
    transform_between,
)
from wmtui.core.proposal import Transform
from wmtui.errors import KeyMissingError, PlanError

Array = np.ndarray


def listing(*keys: str, shape: tuple[int, ...] = (2, 3)) -> Listing:
    return Listing("test", [TensorSpec(key, shape) for key in keys])


def pairs(mapping: Mapping[str, str]) -> list[tuple[str, str, Transform]]:
    return [(s, t, Transform.NONE) for s, t in mapping.items()]


def carried_out(plan: Plan, values: Mapping[str, Array]) -> dict[str, Array]:
    """What a writer makes of a plan, on arrays."""
    result: dict[str, Array] = {}
    for key, op in plan.outputs():
        value = values[op.source]
        if op.permutation is not None:
            value = value.transpose(op.permutation)
        if op.shape is not None:
            value = value.reshape(op.shape)
        assert key not in result
        result[key] = value
    return result


def numbered(source: Listing) -> dict[str, Array]:
    """An array a key, each with a value of its own."""
    return {spec.key: np.full(spec.shape, n, dtype=float) for n, spec in enumerate(source)}


def test_a_swap_exchanges_the_values():
    source = listing("a", "b", "c")
    plan = make_plan(source, pairs({"a": "b", "b": "a"}), unmapped="keep")
    result = carried_out(plan, numbered(source))
    assert {key: value.flat[0] for key, value in result.items()} == {"b": 0, "a": 1, "c": 2}
    assert plan.kept == ("c",)


def test_a_chain_moves_every_value_one_on():
    source = listing("a", "b", "c")
    result = carried_out(make_plan(source, pairs({"a": "b", "b": "c", "c": "d"}), unmapped="keep"), numbered(source))
    assert {key: value.flat[0] for key, value in result.items()} == {"b": 0, "c": 1, "d": 2}


def test_a_kept_key_in_the_way_is_refused_and_a_dropped_one_is_not():
    source = listing("a", "b")
    with pytest.raises(PlanError, match="'a' would become 'b', which stays"):
        make_plan(source, pairs({"a": "b"}), unmapped="keep")
    plan = make_plan(source, pairs({"a": "b"}), unmapped="drop")
    assert plan.mapping == {"a": "b"}
    assert plan.dropped == ("b",)


@pytest.mark.parametrize(
    ("given_pairs", "error", "words"),
    [
        ([("a", "x"), ("b", "x")], PlanError, "'a' and 'b' would both become 'x'"),
        ([("a", "x"), ("a", "y")], PlanError, "'a' is mapped twice"),
        ([("nowhere", "x")], KeyMissingError, "no key 'nowhere'"),
    ],
)
def test_contradictions_are_refused(given_pairs, error, words):
    with pytest.raises(error, match=words):
        make_plan(listing("a", "b"), [(s, t, Transform.NONE) for s, t in given_pairs], unmapped="drop")


def test_a_missing_key_is_a_key_error_and_a_value_error_too():
    with pytest.raises(KeyError):
        make_plan(listing("a"), pairs({"b": "c"}), unmapped="drop")
    with pytest.raises(ValueError):
        make_plan(listing("a"), pairs({"b": "c"}), unmapped="drop")


def test_one_source_serves_all_tied_names_of_its_target():
    target = Listing("t", [TensorSpec("embed", (4, 2)), TensorSpec("head", (4, 2), shares="embed")])
    plan = make_plan(listing("wte", shape=(4, 2)), pairs({"wte": "embed"}), unmapped="drop", target=target)
    assert plan.aliases == {"head": "wte"}
    assert plan.mapping == {"wte": "embed"}
    assert [key for key, _ in plan.outputs()] == ["embed", "head"]


def test_a_later_tied_name_serves_the_first_one():
    target = Listing("t", [TensorSpec("embed", (4, 2)), TensorSpec("head", (4, 2), shares="embed")])
    plan = make_plan(listing("out", shape=(4, 2)), pairs({"out": "head"}), unmapped="drop", target=target)
    assert plan.aliases == {"embed": "out"}


def test_a_tied_name_with_a_pair_of_its_own_gets_no_alias():
    target = Listing("t", [TensorSpec("embed", (4, 2)), TensorSpec("head", (4, 2), shares="embed")])
    source = listing("a", "b", shape=(4, 2))
    plan = make_plan(source, pairs({"a": "embed", "b": "head"}), unmapped="drop", target=target)
    assert plan.aliases == {}


def test_a_kept_key_of_that_name_serves_the_tied_name():
    target = Listing("t", [TensorSpec("embed", (4, 2)), TensorSpec("head", (4, 2), shares="embed")])
    source = Listing("s", [TensorSpec("wte", (4, 2)), TensorSpec("head", (4, 2), shares="wte")])
    plan = make_plan(source, pairs({"wte": "embed"}), unmapped="keep", target=target)
    assert plan.aliases == {}
    assert plan.kept == ("head",)


def test_a_name_tied_through_a_view_of_another_shape_gets_no_alias():
    target = Listing("t", [TensorSpec("w", (4, 2)), TensorSpec("w_t", (2, 4), shares="w")])
    plan = make_plan(listing("a", shape=(4, 2)), pairs({"a": "w"}), unmapped="drop", target=target)
    assert plan.aliases == {}


def test_an_alias_of_a_transposed_pair_is_transposed_too():
    target = Listing("t", [TensorSpec("w", (4, 2)), TensorSpec("v", (4, 2), shares="w")])
    source = listing("a", shape=(2, 4))
    plan = make_plan(source, [("a", "w", Transform.TRANSPOSE)], unmapped="drop", target=target)
    result = carried_out(plan, {"a": np.arange(8.0).reshape(2, 4)})
    np.testing.assert_array_equal(result["v"], result["w"])
    assert result["v"].shape == (4, 2)


def test_a_square_transpose_is_carried_out():
    target = listing("w", shape=(3, 3))
    plan = make_plan(listing("a", shape=(3, 3)), [("a", "w", Transform.TRANSPOSE)], unmapped="drop", target=target)
    assert plan.operations == (Operation("transpose", "a", "w", permutation=(1, 0)),)


@pytest.mark.parametrize(
    ("transform", "shape", "wanted", "words"),
    [
        (Transform.TRANSPOSE, (2, 3), (2, 3), "no transpose turns"),
        (Transform.TRANSPOSE, (6,), (6,), "no transpose turns"),
        (Transform.RESHAPE, (2, 3), (7,), "no reshape turns"),
    ],
)
def test_shapes_that_no_transform_joins_are_refused(transform, shape, wanted, words):
    with pytest.raises(PlanError, match=words):
        make_plan(
            listing("a", shape=shape), [("a", "w", transform)], unmapped="drop", target=listing("w", shape=wanted)
        )


@pytest.mark.parametrize("target", [None, listing("other")])
def test_a_transform_to_an_unknown_shape_is_refused(target):
    with pytest.raises(PlanError, match="whose shape is not known"):
        make_plan(listing("a"), [("a", "w", Transform.TRANSPOSE)], unmapped="drop", target=target)


def test_a_tensor_of_an_unusual_kind_is_renamed_but_not_changed():
    source = Listing("s", [TensorSpec("q", (2, 3), type_name="QTensor")])
    assert make_plan(source, pairs({"q": "w"}), unmapped="drop").mapping == {"q": "w"}
    with pytest.raises(PlanError, match="QTensor"):
        make_plan(source, [("q", "w", Transform.TRANSPOSE)], unmapped="drop", target=listing("w", shape=(3, 2)))


def test_a_key_that_the_format_cannot_hold_is_refused():
    def representable(key: str) -> str | None:
        return "it is reserved" if key == "__metadata__" else None

    with pytest.raises(PlanError, match="'__metadata__' cannot be written: it is reserved"):
        make_plan(listing("a"), pairs({"a": "__metadata__"}), unmapped="drop", representable=representable)


@pytest.mark.parametrize("permutation", PERMUTATIONS)
def test_every_permutation_leads_to_a_shape_that_is_recognised(permutation):
    source = tuple(range(2, 2 + len(permutation)))
    target = tuple(source[d] for d in permutation)
    assert permutation_between(source, target) == permutation
    assert transform_between(source, target) is Transform.TRANSPOSE


@pytest.mark.parametrize(
    ("source", "target", "transform"),
    [
        ((2, 3), (2, 3), Transform.NONE),
        ((), (), Transform.NONE),
        ((1, 1, 5), (5,), Transform.RESHAPE),
        ((5, 3, 1, 1), (5, 3), Transform.RESHAPE),
        ((), (1,), Transform.RESHAPE),
        ((0, 3), (3, 0), Transform.TRANSPOSE),
        ((2, 3), (2, 4), None),
    ],
)
def test_the_plainest_transform_is_chosen(source, target, transform):
    assert transform_between(source, target) is transform


NAMES = st.sampled_from([f"k{n}" for n in range(8)])


@given(
    st.lists(NAMES, unique=True, max_size=8),
    st.dictionaries(NAMES, NAMES, max_size=8),
    st.sampled_from(["keep", "drop"]),
)
def test_a_plan_is_the_renaming_of_a_dictionary_or_refused(
    keys: list[str], mapping: dict[str, str], unmapped: Unmapped
):
    """Chains, swaps, cycles and collisions: against the plain dictionary that a user would write."""
    source = listing(*keys)
    values = numbered(source)
    wanted = [(mapping.get(key, key), key) for key in keys if key in mapping or unmapped == "keep"]
    collides = len({t for t, _ in wanted}) < len(wanted)
    if collides or not mapping.keys() <= set(keys):
        with pytest.raises(PlanError if mapping.keys() <= set(keys) else (PlanError, KeyMissingError)):
            make_plan(source, pairs(mapping), unmapped=unmapped)
        return
    plan = make_plan(source, pairs(mapping), unmapped=unmapped)
    result = carried_out(plan, values)
    assert {t: value.flat[0] for t, value in result.items()} == {t: values[s].flat[0] for t, s in wanted}
    assert list(result) == [t for t, _ in wanted]
    assert set(plan.dropped) == set(keys) - {s for _, s in wanted}
    assert plan.mapping == mapping


SHAPES = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


@given(SHAPES, st.data())
def test_a_transform_arrives_at_the_targets_shape_with_all_elements(shape: tuple[int, ...], data):
    permuted = data.draw(st.permutations(shape).map(tuple) | st.just((int(np.prod(shape)),)))
    transform = transform_between(shape, permuted)
    assert transform is not None
    source, target = listing("a", shape=shape), listing("w", shape=permuted)
    plan = make_plan(source, [("a", "w", transform)], unmapped="drop", target=target)
    value = np.arange(int(np.prod(shape)), dtype=float).reshape(shape)
    result = carried_out(plan, {"a": value})["w"]
    assert result.shape == permuted
    assert sorted(result.flat) == sorted(value.flat)


@given(st.data())
def test_ties_only_add_names_that_nobody_else_has(data):
    """Random ties on the target's side: aliases never take a key from a pair, nor from a kept key."""
    targets = [f"t{n}" for n in range(6)]
    first = {n: data.draw(st.integers(0, n)) for n in range(6)}
    target = Listing(
        "t",
        [
            TensorSpec(key, (2,), shares=targets[first[n]] if first[first[n]] == first[n] != n else None)
            for n, key in enumerate(targets)
        ],
    )
    source = listing("s0", "s1", "s2", "t0", "t3", shape=(2,))
    chosen = data.draw(st.lists(st.sampled_from(targets), unique=True, min_size=3, max_size=3))
    unmapped: Unmapped = data.draw(st.sampled_from(["keep", "drop"]))
    mapping = dict(zip(("s0", "s1", "s2"), chosen, strict=True))
    kept = {"t0", "t3"} if unmapped == "keep" else set()
    if kept & set(chosen):
        with pytest.raises(PlanError):
            make_plan(source, pairs(mapping), unmapped=unmapped, target=target)
        return
    plan = make_plan(source, pairs(mapping), unmapped=unmapped, target=target)
    written = [key for key, _ in plan.outputs()]
    assert len(set(written)) == len(written)
    served = {name for t in chosen for name in target.tied_to(t)}
    assert set(plan.aliases) == served - set(chosen) - kept
    for further, s in plan.aliases.items():
        assert further in target.tied_to(mapping[s])
