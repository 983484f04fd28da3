"""Listings that have lost their order: what numbers and usual places restore of it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.core.matching.helpers import blocks, listing, mapping
from wmtui.core.matching import match
from wmtui.core.matching.reading.words import alike


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def by_name(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {key: shapes[key] for key in sorted(shapes)}


def test_a_flat_list_takes_like_blocks_in_the_order_of_their_numbers():
    block = {"norm1": (8,), "conv1": (8, 8, 3, 3), "norm2": (8,), "conv2": (8, 8, 3, 3)}
    attention = {"norm": (8,), "q": (8, 8, 1, 1), "k": (8, 8, 1, 1), "v": (8, 8, 1, 1), "proj_out": (8, 8, 1, 1)}
    small = {name: tuple(d // 2 if d == 8 else d for d in shape) for name, shape in block.items()}
    order = [("mid.block_1", block), ("mid.attn_1", attention), ("mid.block_2", block)]
    for k in range(3):
        order += [(f"up.1.block.{k}", block), (f"up.1.attn.{k}", attention)]
    order += [("up.1.upsample", {"conv": (8, 8, 3, 3)})]
    order += [(f"up.0.block.{k}", small) for k in range(3)]
    expected, target = {}, {}
    for k, (place, parts) in enumerate(order):
        for part, shape in parts.items():
            expected[f"decoder.{place}.{part}.weight"] = f"generator.blocks.{k}.{part}.weight"
            target[f"generator.blocks.{k}.{part}.weight"] = shape
    source = by_name({key: target[name] for key, name in expected.items()})
    assert matched(source, target) == expected


def test_numbers_of_one_name_are_not_turned_by_an_order_that_one_side_has_lost():
    parts = {"norm": (8,), "conv1": (8, 8, 3, 3), "conv2": (8, 8, 1, 1)}
    for ours, theirs in (("up", "up"), ("ups", "up_blocks")):
        names = {
            f"dec.{ours}.{k}.{part}.weight": f"decoder.{theirs}.{k}.{part}.weight" for k in range(4) for part in parts
        }
        source = {key: parts[key.split(".")[3]] for key in sorted(names)}
        backwards = sorted(names, key=lambda key: -int(key.split(".")[2]))
        assert matched(source, {names[key]: source[key] for key in backwards}) == names


def test_channels_tell_which_convolution_a_numbered_norm_follows():
    parts = {"conv_pw": (16, 8, 1, 1), "conv_dw": (16, 1, 3, 3), "conv_pwl": (8, 16, 1, 1),
             "bn1": (16,), "bn2": (16,), "bn3": (8,)}  # fmt: skip
    names = {"conv_pw": "exp_conv.conv", "conv_dw": "conv1.conv", "conv_pwl": "conv2.conv",
             "bn1": "exp_conv.bn", "bn2": "conv1.bn", "bn3": "conv2.bn"}  # fmt: skip
    keys = blocks("blocks", {f"{part}.weight": shape for part, shape in parts.items()})
    expected = {key: f"stage.unit{key.split('.')[1]}.{names[key.split('.')[2]]}.weight" for key in sorted(keys)}
    source = by_name(keys)
    assert matched(source, by_name({expected[key]: shape for key, shape in source.items()})) == expected


def test_single_norms_in_lists_of_lists_kept_the_other_way_round_go_by_both_numbers():
    rest = {f"conv.{k}.weight": (8, 8, 3, 3) for k in range(3)}
    expected = {f"head.bn_list.{level}.{k}.weight": f"net.bn_rep.{k}.{level}.bn.weight"
                for level in range(5) for k in range(3)}  # fmt: skip
    expected |= {f"head.{key}": f"net.{key}" for key in rest}
    shapes = {key: rest.get(key.removeprefix("head."), (8,)) for key in expected}
    for source in (shapes, by_name(shapes)):
        target = {expected[key]: shape for key, shape in source.items()}
        assert matched(source, by_name(target)) == expected


def test_rows_stand_before_columns():
    rest = {f"encoder.layer.{k}.weight": (8, 8) for k in range(3)}
    source = {f"embedders_{k}.pos_embedding": (16, 8) for k in (0, 1)} | rest
    target = {f"embeddings.{name}_embedder.weight": (16, 8) for name in ("column", "row")} | rest
    assert matched(source, target)["embedders_0.pos_embedding"] == "embeddings.row_embedder.weight"


def test_a_norm_says_behind_what_it_stands():
    norms = {"post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
             "post_per_layer_input_norm": "post_norm"}  # fmt: skip
    source = by_name(blocks("layers", {f"{name}.weight": (8,) for name in norms}))
    target = by_name(blocks("blk", {f"{name}.weight": (8,) for name in norms.values()}))
    assert matched(source, target) == {
        f"layers.{k}.{name}.weight": f"blk.{k}.{norm}.weight" for k in range(4) for name, norm in norms.items()
    }


def test_a_convolution_of_one_place_holds_three_matrices():
    source = blocks("stages", {"main.proj.conv.weight": (8, 8, 1, 1), "main.qkv.conv.weight": (24, 8, 1, 1)})
    target = blocks("blocks", {f"attn.to_{name}.weight": (8, 8) for name in ("q", "k", "v", "out")})
    proposal = match(listing(source), listing(target))
    wanted = {f"stages.{k}.main.proj.conv.weight": f"blocks.{k}.attn.to_out.weight" for k in range(4)}
    assert mapping(proposal) == wanted
    assert {fusion.targets for fusion in proposal.fusions} == {
        tuple(f"blocks.{k}.attn.to_{name}.weight" for name in "qkv") for k in range(4)
    }


def test_a_list_of_convolutions_that_share_the_channels_has_one_norm():
    ours = {"conv_pw.0": (8, 4, 1, 1), "conv_pw.1": (8, 4, 1, 1), "conv_dw": (16, 1, 3, 3), "conv_pwl.0": (4, 8, 1, 1),
            "conv_pwl.1": (4, 8, 1, 1), "bn1": (16,), "bn2": (16,), "bn3": (8,)}  # fmt: skip
    names = {"conv_pw": "exp_conv.conv", "conv_dw": "conv1.conv", "conv_pwl": "conv2.conv",
             "bn1": "exp_conv.bn", "bn2": "conv1.bn", "bn3": "conv2.bn"}  # fmt: skip
    source = by_name(blocks("blocks", {f"{part}.weight": shape for part, shape in ours.items()}))
    expected = {}
    for key in source:
        _, number, part, *rest = key.split(".")
        expected[key] = ".".join((f"stage.unit{number}", names[part], *rest))
    assert matched(source, by_name({expected[key]: shape for key, shape in source.items()})) == expected


def test_neighbours_in_lists_of_other_lengths_are_not_alike():
    assert alike("#3/8/3", "#4/8/4") > alike("#3/8/3", "#4/13/9") < alike("#3/8/3", "#3/13/5")
