"""Groups: which keys stand together, and what they are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core.groups import Group, Grouping, SpareSegments, common_name, ranges, skeleton
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.proposal import Proposal, Rule, Transform


def proposal(*rules: Rule) -> Proposal:
    return Proposal({}, {}, (), rules, lambda source, limit: ())


def names(*keys: str, shape: tuple[int, ...] = (2,)) -> Listing:
    return Listing("test", [TensorSpec(key, shape) for key in keys])


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "3"),
        ([0, 1], "0,1"),
        (range(12), "0-11"),
        ([6, 0, 3, 3], "0,3,6"),
        ([0, 1, 2, 5], "0-2,5"),
        ([0, 2, 4, 6, 8, 10, 12], "0,2,4,…,12"),
        ([], ""),
    ],
)
def test_ranges_are_short(numbers, text):
    assert ranges(numbers) == text


@given(st.sets(st.integers(0, 40), max_size=9))
def test_short_ranges_tell_every_number(numbers):
    text = ranges(numbers)
    if "…" in text:
        return
    told: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        told.update(range(int(first), int(last or first) + 1))
    assert told == numbers


@pytest.mark.parametrize(
    ("key", "holes"),
    [
        ("layers.0.attn.q.weight", 1),
        ("layer1.0.conv2.weight", 3),
        ("blocks.3.mlp_1.bias", 2),
        ("quant.fp8scale", 0),
        ("quant.fp16scale", 0),
        ("h.0", 1),
        ("model.layers.12x.w", 1),
        ("model." + "1" * 5000, 0),
        ("", 0),
    ],
)
def test_digits_that_count_are_holes(key, holes):
    assert skeleton(key).count("\0") == holes


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["head.weight"], "head.weight"),
        ([f"layers.{n}.w" for n in range(12)], "layers.{0-11}.w"),
        ([f"a.{i}.b.{j}.w" for i in range(2) for j in range(3)], "a.{0,1}.b.{0-2}.w"),
        (["layer1.0.w", "layer1.1.w"], "layer1.{0,1}.w"),
        (["a.0.w", "b.0.w", "b.1.w"], "a.0.w … 2 more"),
        (["a.00.w", "a.01.w"], "a.{0,1}.w"),
        (["7.w", "9.w"], "{7,9}.w"),
    ],
)
def test_a_group_is_called_by_its_template(keys, name):
    assert common_name(keys) == name


def test_a_number_of_thousands_of_digits_is_a_name():
    long = "9" * 5000
    assert common_name([f"a.{long}.w", f"a.{long[:-1]}8.w"]).endswith("1 more")


def test_keys_of_one_template_and_one_shape_are_a_group():
    listing = Listing(
        "test",
        [TensorSpec("l.0.w", (2,)), TensorSpec("l.0.b", (2,)), TensorSpec("l.1.w", (2,)), TensorSpec("l.2.w", (3,))],
    )
    grouping = Grouping(listing, listing, proposal())
    assert [(g.name, g.members) for g in grouping.sources] == [
        ("l.{0,1}.w", (0, 2)),
        ("l.0.b", (1,)),
        ("l.2.w", (3,)),
    ]
    assert grouping.of_source == [0, 1, 0, 2]


def test_a_rule_makes_one_group_a_side_whatever_the_shapes():
    source = Listing("s", [TensorSpec("l.0.w", (2,)), TensorSpec("l.1.w", (3,)), TensorSpec("l.2.w", (2,))])
    target = names("stage.0.0.w", "stage.0.1.w", "stage.1.0.w")
    rule = Rule("l.{0}.w", "stage.{0}.{1}.w", (((0,), (0, 0)), ((1,), (0, 1))), Transform.NONE, 0.9)
    grouping = Grouping(source, target, proposal(rule))
    assert [g.members for g in grouping.sources] == [(0, 1), (2,)]
    assert [g.name for g in grouping.targets] == ["stage.0.{0,1}.w", "stage.1.0.w"]


SEGMENTS = st.lists(st.sampled_from(["a", "layer1", "0", "1", "12", "q_3", "x7y", "…", "[/b]"]), min_size=1, max_size=4)


@given(st.lists(st.tuples(SEGMENTS.map(".".join), st.sampled_from([(2,), (3,)])), unique_by=lambda k: k[0]))
def test_every_key_stands_in_one_group_with_like_keys(specs):
    listing = Listing("test", [TensorSpec(key, shape) for key, shape in specs])
    grouping = Grouping(listing, listing, proposal())
    members = [place for group in grouping.sources for place in group.members]
    assert sorted(members) == list(range(len(listing)))
    assert [g.members[0] for g in grouping.sources] == sorted(g.members[0] for g in grouping.sources)
    for n, group in enumerate(grouping.sources):
        assert {grouping.of_source[place] for place in group.members} == {n}
        assert len({(skeleton(listing.tensors[p].key), listing.tensors[p].shape) for p in group.members}) == 1
        assert list(group.members) == sorted(group.members)
        if len(group.members) == 1:
            assert group.name == listing.tensors[group.members[0]].key
        else:
            assert re.search(r"\{[0-9,\-…]+\}", group.name)


def spare(*keys: str) -> list[str]:
    """The names without all that may go."""
    found = SpareSegments([Group(key, ()) for key in keys])
    return [".".join(s for k, s in enumerate(key.split(".")) if k not in found.of(n)) for n, key in enumerate(keys)]


def test_segments_that_say_nothing_are_spare():
    assert spare(
        "net.enc.layers.{0-5}.attn.out.weight",
        "net.enc.layers.{0-5}.norm.weight",
        "net.dec.layers.{0-5}.attn.out.weight",
        "net.dec.layers.{0-5}.norm.weight",
        "net.head.weight",
    ) == [
        "enc.{0-5}.out.weight",
        "enc.{0-5}.norm.weight",
        "dec.{0-5}.out.weight",
        "dec.{0-5}.norm.weight",
        "head.weight",
    ]


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(".".join), unique=True, max_size=12))
def test_what_is_left_of_a_name_tells_it_from_the_same_others(keys):
    whole = [frozenset(key.split(".")) for key in keys]
    for words, left in zip(whole, (frozenset(key.split(".")) for key in spare(*keys)), strict=True):
        assert [left <= other for other in whole] == [words <= other for other in whole]


def test_where_there_are_too_many_groups_nothing_is_spare(monkeypatch):
    monkeypatch.setattr(SpareSegments, "MOST", 1)
    assert spare("a.b.c", "a.d.c") == ["a.b.c", "a.d.c"]
