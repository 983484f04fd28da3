"""Assigning a whole group to another: which member gets which target."""

from __future__ import annotations

from wmtui.core.align import align
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.proposal import Transform


def listing(*keys: str, shape: tuple[int, ...] = (4, 2)) -> Listing:
    return Listing("l", [TensorSpec(key, shape) for key in keys])


def pairs(source: Listing, target: Listing, anchor: tuple[str, str] | None = None) -> dict[str, str]:
    at = None if anchor is None else (source.index[anchor[0]], target.index[anchor[1]])
    found = align(source, range(len(source)), target, range(len(target)), at)
    return {source.tensors[s].key: target.tensors[t].key for s, t, _ in found}


def test_equal_numbers_go_together_whatever_the_order():
    source = listing("b.0.w", "b.1.w", "b.10.w")
    target = listing("l.10.x", "l.0.x", "l.1.x")
    assert pairs(source, target) == {"b.0.w": "l.0.x", "b.1.w": "l.1.x", "b.10.w": "l.10.x"}


def test_an_anchor_moves_the_numbers():
    source = listing("b.0.w", "b.1.w", "b.2.w")
    target = listing("l.1.x", "l.2.x", "l.3.x", "l.4.x")
    assert pairs(source, target, ("b.0.w", "l.1.x")) == {"b.0.w": "l.1.x", "b.1.w": "l.2.x", "b.2.w": "l.3.x"}


def test_two_numbers_may_change_places():
    source = listing(*(f"b.{i}.e.{j}.w" for i in range(2) for j in range(3)))
    target = listing(*(f"e.{j}.l.{i}.x" for j in range(3) for i in range(2)))
    found = pairs(source, target, ("b.0.e.2.w", "e.2.l.0.x"))
    assert found == {f"b.{i}.e.{j}.w": f"e.{j}.l.{i}.x" for i in range(2) for j in range(3)}


def test_without_like_numbers_the_order_decides():
    source = listing("a.3.w", "a.6.w", "a.12.w")
    target = listing("b.1.w", "b.2.w", "b.4.w")
    assert pairs(source, target) == {"a.3.w": "b.1.w", "a.6.w": "b.2.w", "a.12.w": "b.4.w"}


def test_an_anchor_may_turn_the_order_round():
    source = listing("refine.1.w", "refine.2.w", "refine.3.w", "refine.4.w")
    target = listing("fuse.0.x", "fuse.1.x", "fuse.2.x", "fuse.3.x")
    found = pairs(source, target, ("refine.1.w", "fuse.3.x"))
    assert found == {f"refine.{n}.w": f"fuse.{4 - n}.x" for n in range(1, 5)}


def test_the_anchor_comes_out_even_where_nothing_else_does():
    source = listing("a.0.w", "a.1.w", "a.5.w")
    target = listing("b.0.w", "b.1.w", "b.2.w")
    assert pairs(source, target, ("a.0.w", "b.1.w")) == {"a.0.w": "b.1.w", "a.1.w": "b.2.w"}
    assert pairs(source, target, ("a.5.w", "b.1.w")) == {"a.5.w": "b.1.w"}


def test_shapes_that_nothing_joins_are_left_out_and_transforms_told():
    source = Listing("s", [TensorSpec("a.0.w", (4, 2)), TensorSpec("a.1.w", (5,))])
    target = Listing("t", [TensorSpec("b.0.w", (2, 4)), TensorSpec("b.1.w", (4,))])
    assert align(source, (0, 1), target, (0, 1)) == [(0, 0, Transform.TRANSPOSE)]


def test_one_key_to_one():
    source, target = listing("stem.weight"), listing("conv1.weight")
    assert pairs(source, target) == pairs(source, target, ("stem.weight", "conv1.weight"))


def test_of_keys_with_the_same_numbers_one_gets_the_target():
    source = listing("a.0.q", "a.1.q", "a.0.k", "a.1.k")
    target = listing("l.0.x", "l.1.x")
    assert pairs(source, target) == {"a.0.q": "l.0.x", "a.1.q": "l.1.x"}
    assert pairs(source, target, ("a.0.k", "l.0.x")) == {"a.0.k": "l.0.x", "a.1.q": "l.1.x"}
