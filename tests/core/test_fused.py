"""Fused tensors in words."""

from __future__ import annotations

import pytest

from wmtui.core.fused import short_names, source_story, target_story
from wmtui.core.proposal import Fusion

PARTS = ("a.q.weight", "a.k.weight", "a.v.weight")


def test_the_whole_names_its_parts_and_a_part_the_others_and_the_whole():
    split = Fusion("split", ("m.qkv.weight",), PARTS, 0)
    assert source_story(split, "m.qkv.weight") == "looks fused: it holds q, k and v of the target side along dim 0"
    assert target_story(split, "a.k.weight") == ("looks like a part: with q and v it lies in m.qkv.weight along dim 0")
    merge = Fusion("merge", PARTS, ("m.qkv.weight",), 1)
    assert source_story(merge, "a.q.weight") == "looks like a part: with k and v it makes m.qkv.weight along dim 1"
    assert target_story(merge, "m.qkv.weight") == "looks fused: it holds q, k and v of the source side along dim 1"


def test_many_stacked_parts_are_named_by_the_first_and_the_last():
    experts = tuple(f"experts.{n}.up" for n in range(64))
    fusion = Fusion("merge", experts, ("experts.up",), -1)
    assert target_story(fusion, "experts.up") == (
        "looks fused: it holds experts.0 … experts.63 (64 tensors) of the source side stacked on a new first dim"
    )


def test_weight_norm_is_called_by_its_name():
    fusion = Fusion("merge", ("up.weight_g", "up.weight_v"), ("up.conv.weight",), None)
    assert source_story(fusion, "up.weight_v") == (
        "looks like a part: with weight_g it makes up.conv.weight by weight norm"
    )
    assert target_story(fusion, "up.conv.weight") == (
        "looks fused: it holds weight_g and weight_v of the source side by weight norm"
    )


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (PARTS, ["q", "k", "v"]),
        (("q", "k"), ["q", "k"]),
        (("a.w", "a.b.w"), ["a.w", "a.b.w"]),
        (("only.one",), ["only.one"]),
        (("a.w.0.b", "a.w.1.b"), ["w.0", "w.1"]),
        (("0.b", "1.b"), ["0", "1"]),
        (("gate_proj.w", "up_proj.w"), ["gate_proj", "up_proj"]),
    ],
)
def test_names_lose_what_all_have_in_common(keys, names):
    assert short_names(keys) == names
