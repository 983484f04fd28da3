"""Two listings, key by key."""

from __future__ import annotations

from wmtui.core.comparison import CODE, Comparison, Difference, compare_values
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.ports import Progress

HERE = Listing(
    "here",
    [
        TensorSpec("a.0.w", (2, 3), nbytes=24),
        TensorSpec("a.1.w", (2, 3), nbytes=24),
        TensorSpec("b", (2,), nbytes=8),
        TensorSpec("c", (2,), nbytes=8),
        TensorSpec("only", (1,), nbytes=4),
    ],
)
THERE = Listing(
    "there",
    [
        TensorSpec("new", (5,), nbytes=20),
        TensorSpec("c", (2,), "float16", nbytes=4),
        TensorSpec("b", (3,), nbytes=12),
        TensorSpec("a.1.w", (2, 3), nbytes=24),
        TensorSpec("a.0.w", (2, 3), nbytes=24),
    ],
)


def test_every_key_is_told_of_once():
    comparison = Comparison(HERE, THERE)
    told = {spec.key: comparison.difference(place) for place, spec in enumerate(comparison.both)}
    assert told == {
        "a.0.w": Difference.SAME,
        "a.1.w": Difference.SAME,
        "b": Difference.SHAPE,
        "c": Difference.DTYPE,
        "only": Difference.HERE,
        "new": Difference.THERE,
    }
    assert sum(comparison.counts.values()) == 6
    assert not comparison.alike
    assert Comparison(HERE, HERE).alike
    other = comparison.other(comparison.both.index["b"])
    assert other is not None
    assert other.shape == (3,)
    assert comparison.other(comparison.both.index["only"]) is None


def test_values_are_compared_where_shape_and_dtype_agree():
    comparison = Comparison(HERE, THERE)
    steps: list[Progress] = []
    found = list(compare_values(comparison, lambda key, _: key == "a.0.w", steps.append, lambda: False))
    assert found == [(0, True), (1, False)]
    assert [(step.done, step.total) for step in steps] == [(0, 48), (24, 48), (48, 48)]
    for place, equal in found:
        comparison.learn(place, equal)
    assert comparison.counts[Difference.EQUAL] == 1
    assert comparison.counts[Difference.VALUES] == 1
    assert list(compare_values(comparison, lambda *_: True, steps.append, lambda: False)) == []


def test_what_cannot_be_told_stays_open():
    comparison = Comparison(HERE, THERE)
    comparison.learn(0, None)
    comparison.learn(2, True)
    assert comparison.difference(0) is Difference.SAME
    assert comparison.difference(2) is Difference.SHAPE


def test_comparing_stops_when_asked():
    asked = iter((False, True))
    found = list(compare_values(Comparison(HERE, THERE), lambda *_: True, lambda _: None, lambda: next(asked)))
    assert found == [(0, True)]


def test_keys_that_differ_alike_are_one_group():
    here = Listing("here", [TensorSpec(f"l.{i}.w", (2,)) for i in range(8)])
    there = Listing("there", [TensorSpec(f"l.{i}.w", (3,) if i > 3 else (2,)) for i in range(7)])
    table = Comparison(here, there).table
    assert [group.name for group in table.groups] == ["l.{0-3}.w", "l.{4-6}.w", "l.7.w"]
    table.choose(CODE[Difference.SHAPE])
    assert table.shown_places() == [4, 5, 6]


def test_empty_sides_compare():
    empty = Listing("empty", [])
    assert Comparison(empty, empty).alike
    assert Comparison(empty, HERE).counts[Difference.THERE] == 5
