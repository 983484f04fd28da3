"""Lists of like blocks that the two sides count in opposite directions, and what tells that they do."""

from __future__ import annotations

import pytest

from tests.core.matching.helpers import listing, mapping
from wmtui.core.matching import match


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def ordered(keys, by_name):
    return sorted(keys) if by_name else list(keys)


@pytest.mark.parametrize("by_name", [False, True])
def test_what_else_has_their_numbers_tells_in_which_direction_like_modules_run(by_name):
    """A pyramid, from the finest level up and from the coarsest down: only what leads into a level differs in size."""
    expected, shapes = {}, {}
    for k, width in ((1, 8), (2, 16), (3, 32)):
        level = {f"adapter_{k}": ("proj", (8, width, 1, 1)), f"layer_{k}": ("block", (8, 8, 3, 3))}
        for name, (part, shape) in level.items():
            for own, there, size in (("", "0", shape), (".norm", "1", (8,))):
                expected[f"head.{name}{own}.weight"] = f"fpn.layers.{3 - k}.{part}.{there}.weight"
                shapes[f"head.{name}{own}.weight"] = size
    expected |= {"head.layer_4.weight": "fpn.stem.0.weight", "head.layer_4.norm.weight": "fpn.stem.1.weight"}
    shapes |= {"head.layer_4.weight": (8, 64, 3, 3), "head.layer_4.norm.weight": (8,)}
    back = {name: key for key, name in expected.items()}
    down = sorted(back, key=lambda name: ("stem" not in name, name))
    source = {key: shapes[key] for key in ordered(shapes, by_name)}
    assert matched(source, {name: shapes[back[name]] for name in down}) == expected


def test_lists_of_single_tensors_run_as_their_sizes_do_where_some_are_alike():
    sizes = ((8, 8, 3, 3), (8, 16, 3, 3), (8, 32, 3, 3), (8, 32, 3, 3))
    body = {f"body.{k}.{name}.weight": (4, 4) for k in range(4) for name in ("a", "b")}
    source = {f"decoder.convs.{k + 1}.weight": size for k, size in enumerate(sizes)} | body
    target = {f"neck.projections.{3 - k}.weight": size for k, size in reversed(list(enumerate(sizes)))} | body
    found = matched(source, target)
    assert [found[f"decoder.convs.{k + 1}.weight"][-8] for k in range(4)] == ["3", "2", "1", "0"]


@pytest.mark.parametrize("last_is_kept_apart", [False, True])
def test_the_end_that_is_kept_apart_tells_in_which_direction_a_list_runs(last_is_kept_apart):
    """The finest stage has no upsampling: it is the first of five, and stands behind the other four."""
    block = {"res.conv1.weight": (8, 8, 3, 3), "res.conv2.weight": (8, 8, 3, 3), "out.weight": (8, 8),
             "up.weight": (8, 8, 2, 2)}  # fmt: skip
    final = {name: shape for name, shape in block.items() if name != "up.weight"}
    places = {0: "fusion.final"} | {k: f"fusion.intermediate.{4 - k}" for k in (4, 3, 2, 1)}
    if not last_is_kept_apart:
        places = {0: "fusion.first"} | {k: f"fusion.intermediate.{k - 1}" for k in (1, 2, 3, 4)}
    expected = {f"fusions.{k}.{name}": f"{places[k]}.{name}" for k in range(5) for name in (block if k else final)}
    there = {f"{place}.{name}": shape for k, place in places.items() for name, shape in (block if k else final).items()}
    if last_is_kept_apart:
        there = dict(sorted(there.items(), key=lambda item: "final" in item[0]))
    shapes = {key: block[key.split(".", 2)[2]] for key in expected}
    assert matched(shapes, there) == expected


def test_numbers_of_the_modules_beside_tell_in_which_direction_like_ones_run_though_both_listings_are_sorted():
    snake: dict[str, tuple[int, ...]] = {"alpha": (8,), "beta": (8,)}
    parts: dict[str, dict[str, tuple[int, ...]]] = {"snake1": snake, "conv1": {"weight": (8, 8, 7)}}
    parts |= {"snake2": snake, "conv2": {"weight": (8, 8, 1)}}
    expected, shapes = {}, {}
    for block in range(4):
        for k, (part, own) in enumerate(parts.items()):
            for name, shape in own.items():
                expected[f"layers.{block}.layers.{k}.{name}"] = f"block.res_unit{block + 1}.{part}.{name}"
                shapes[f"layers.{block}.layers.{k}.{name}"] = shape
    back = {name: key for key, name in expected.items()}
    source, target = {key: shapes[key] for key in sorted(expected)}, {name: shapes[back[name]] for name in sorted(back)}
    assert matched(source, target) == expected


def test_norms_by_level_and_layer_meet_norms_by_layer_and_level():
    norms = {f"net.bn_list.{level}.{layer}.weight": (8,) for level in range(5) for layer in range(3)}
    convs = {f"net.conv_list.{layer}.conv.weight": (8, 8, 3, 3) for layer in range(3)}
    expected = {key: f"head.conv_rep.{key.split('.')[2]}.pw.weight" for key in convs}
    for key in norms:
        _, _, level, layer, _ = key.split(".")
        expected[key] = f"head.bn_rep.{layer}.{level}.bn.weight"
    shapes = convs | norms
    back = {name: key for key, name in expected.items()}
    by_layer = sorted(back, key=lambda name: ("bn" in name, name))
    assert matched(shapes, {name: shapes[back[name]] for name in by_layer}) == expected
