"""Naming styles: what the matcher reads out of keys, on small listings made for each style."""

from itertools import chain

import pytest

from tests.core.matching.helpers import blocks, listing, mapping
from wmtui.core.matching import match


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def by_place(source, target):
    return dict(zip(source, target, strict=True))


def test_the_unmarked_go_to_the_unmarked_though_the_marks_have_no_word_in_common():
    names = {"k": "to_k", "v": "to_v", "k_img": "add_k_proj", "v_img": "add_v_proj"}
    source = blocks("blocks", {f"attn.{name}.weight": (8, 8) for name in names})
    target = blocks("layers", {f"attn.{name}.weight": (8, 8) for name in names.values()})
    expected = by_place(source, target)
    assert matched(source, target) == expected
    assert matched(dict(sorted(source.items())), dict(sorted(target.items()))) == expected


def test_a_word_that_tells_two_modules_apart_counts_more_than_the_order_in_which_they_are_declared():
    shapes = {"weight": (8, 8), "bias": (8,)}
    inner = {f"{end}.{leaf}": shapes[leaf] for end in ("k", "v", "q", "out") for leaf in shapes}
    source = blocks("layers", {f"{m}.{end}": shape for m in ("context", "self") for end, shape in inner.items()})
    more = {**inner, "k_extra.weight": (8, 8)}
    target = blocks("blocks", {f"{m}.{e}": shape for m in ("self_attn", "encoder_attn") for e, shape in more.items()})
    for key, found in matched(source, target).items():
        assert ("self" in key) == ("self" in found)
    post = {f"predictor.{m}.{i}.weight": (8, 1, 3) for m in ("post_convs", "convs") for i in range(3)}
    dds = {f"duration.{m}.{i}.weight": (8, 1, 3) for m in ("conv_dds", "post_conv_dds") for i in range(3)}
    assert all(("post" in key) == ("post" in found) for key, found in matched(post, dds).items())
    assert len(matched(post, dds)) == 6


def test_two_numbers_in_one_segment_are_two_levels():
    flat = {f"d{level}c{conv}.weight": (8 * level, 8) for level in (1, 2, 3) for conv in (1, 2)}
    nested = {f"encoder.{level}.{conv}.weight": (8 + 8 * level, 8) for level in range(3) for conv in range(2)}
    assert matched(flat, nested) == by_place(flat, nested)
    assert matched(dict(reversed(flat.items())), nested) == by_place(flat, nested)


def test_a_letter_behind_a_number_counts_where_others_stand_beside_it():
    parts = {"expand_conv": (16, 8), "project_conv": (8, 16), "bn": (8,)}
    numbered = ["block1a", "block2a", "block2b", "block3a", "block3b"]
    keras = {f"{block}_{part}/kernel": shape for block in numbered for part, shape in parts.items()}
    torch = {f"blocks.{i}.{part}.weight": shape for i in range(5) for part, shape in parts.items()}
    assert matched(dict(sorted(keras.items())), torch) == by_place(keras, torch)


def test_lists_of_roles_meet_lists_of_layers():
    roles = {
        f"encoder.{role}.{i}.{leaf}": shape
        for role, parts in (
            ("attn_layers", {"conv_q.weight": (8, 8), "conv_o.weight": (8, 8)}),
            ("norm_layers_1", {"gamma": (8,), "beta": (8,)}),
            ("ffn_layers", {"conv_1.weight": (32, 8), "conv_2.weight": (8, 32)}),
            ("norm_layers_2", {"gamma": (8,), "beta": (8,)}),
        )
        for i in range(6)
        for leaf, shape in parts.items()
    }
    layers = blocks("layers", {
        "attention.q_proj.weight": (8, 8), "attention.out_proj.weight": (8, 8),
        "layer_norm.weight": (8,), "layer_norm.bias": (8,),
        "feed_forward.conv_1.weight": (32, 8), "feed_forward.conv_2.weight": (8, 32),
        "final_layer_norm.weight": (8,), "final_layer_norm.bias": (8,),
    }, count=6)  # fmt: skip
    found = matched(roles, layers)
    norms = (("1", "layer_norm"), ("2", "final_layer_norm"))
    leaves = (("gamma", "weight"), ("beta", "bias"))
    for (number, name), (ours, theirs), i in ((n, leaf, i) for n in norms for leaf in leaves for i in range(6)):
        assert found[f"encoder.norm_layers_{number}.{i}.{ours}"] == f"layers.{i}.{name}.{theirs}"


def test_a_block_behind_a_list_is_the_last_of_the_longer_list():
    parts = {"branch0.weight": (4, 8), "branch1.weight": (6, 8), "conv.weight": (8, 10)}
    source = {**blocks("repeat", parts, count=5), **{f"block8.{part}": shape for part, shape in parts.items()}}
    target = blocks("stage.unit", parts, count=6)
    assert matched(source, target) == by_place(source, target)


def test_outer_numbers_that_run_backwards():
    source: dict[str, tuple[int, ...]] = {}
    target: dict[str, tuple[int, ...]] = {}
    for k, n in enumerate((64, 32, 16)):
        for i in range(2):
            for part, shape in (("conv", (n, n + i)), ("norm", (n,))):
                source[f"up.{2 - k}.block.{i}.{part}.weight"] = shape
                target[f"blocks.{2 * k + i}.{part}.weight"] = shape
    assert matched(dict(sorted(source.items())), target) == by_place(source, target)


def test_norms_follow_their_modules_where_the_modules_change_places():
    attention, cross = ("q", "o"), ("offsets", "value", "o")
    shapes = {"q": (12, 8), "offsets": (24, 8), "value": (8, 8), "o": (8, 8)}

    def layer(i, order):
        modules = {"self_attn": attention, "cross_attn": cross}
        for name, norm in order:
            yield from ((f"layers.{i}.{name}.{part}.weight", shapes[part]) for part in modules[name])
            yield f"layers.{i}.{norm}.weight", (8,)
        yield f"layers.{i}.linear1.weight", (32, 8)
        yield f"layers.{i}.norm3.weight" if order[0][1] == "norm1" else f"layers.{i}.final_norm.weight", (8,)

    source = dict(chain(*(layer(i, [("cross_attn", "norm1"), ("self_attn", "norm2")]) for i in range(4))))
    target = dict(chain(*(layer(i, [("self_attn", "sa_norm"), ("cross_attn", "ca_norm")]) for i in range(4))))
    found = matched(source, target)
    assert found["layers.2.norm1.weight"] == "layers.2.ca_norm.weight"
    assert found["layers.2.norm2.weight"] == "layers.2.sa_norm.weight"


def test_norms_follow_their_modules_where_three_of_them_are_declared_the_other_way_round():
    cross, fused, apart = dict.fromkeys("abc", (24, 8)), {"qkv": (24, 8)}, dict.fromkeys("qkv", (8, 8))

    def layer(i, modules, norms):
        for (name, parts), norm in zip(modules, norms[:3], strict=True):
            for part, shape in {**parts, "o": (8, 8)}.items():
                yield f"layers.{i}.{name}.{part}.weight", shape
            yield f"layers.{i}.{norm}.weight", (8,)
        yield from ((f"layers.{i}.linear{k}.weight", (8 * k, 32)) for k in (1, 2))
        yield f"layers.{i}.{norms[3]}.weight", (8,)

    ours = [("cross_attn", cross), ("text_attn", fused), ("self_attn", fused)]
    theirs = [("self_attn", apart), ("text_attn", apart), ("cross_attn", cross)]
    named = [f"{name}_norm" for name in ("self_attn", "text_attn", "cross_attn", "final")]
    source = dict(chain(*(layer(i, ours, ("norm1", "text_norm", "norm2", "norm3")) for i in range(4))))
    target = dict(chain(*(layer(i, theirs, named) for i in range(4))))
    found = matched(source, target)
    assert found["layers.2.norm1.weight"] == "layers.2.cross_attn_norm.weight"
    assert found["layers.2.norm2.weight"] == "layers.2.self_attn_norm.weight"


def test_names_of_all_competitors_overrule_the_order_that_they_are_declared_in():
    parts = {"self_attn.o_proj": (8, 8), "mlp.gate_proj": (32, 8), "mlp.up_proj": (32, 8), "mlp.down_proj": (8, 32)}
    source = blocks("layers", {f"{part}.weight": shape for part, shape in parts.items()}
                    | {"input_layernorm.weight": (8,), "post_attention_layernorm.weight": (8,)})  # fmt: skip
    names = {"self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
             "mlp.down_proj": "feed_forward.w2"}  # fmt: skip
    target = blocks("layers", {f"{names[part]}.weight": shape for part, shape in parts.items()}
                    | {"ffn_norm.weight": (8,), "attention_norm.weight": (8,)})  # fmt: skip
    found = matched(source, target)
    assert found["layers.2.input_layernorm.weight"] == "layers.2.attention_norm.weight"
    assert found["layers.2.post_attention_layernorm.weight"] == "layers.2.ffn_norm.weight"


def test_windows_in_names_are_no_numbers_and_windows_of_kernels_tell_which_is_which():
    windows = {"0a_1x1": (1, 1), "0b_1x7": (1, 7), "0c_7x1": (7, 1), "0d_3x3": (3, 3), "0e_3x3": (3, 3)}
    source: dict[str, tuple[int, ...]] = {}
    target: dict[str, tuple[int, ...]] = {}
    for k, (name, window) in enumerate(windows.items()):
        source |= {f"Branch_1/Conv2d_{name}/biases": (8,), f"Branch_1/Conv2d_{name}/weights": (*window, 8, 8)}
        target |= {f"branch1.{k}.conv.bias": (8,), f"branch1.{k}.conv.weight": (8, 8, *window)}
    assert matched(source, target) == by_place(source, target)


def test_resolutions_count_stages():
    shapes = {"weight": (3, 3, 8, 8), "mod_weight": (8, 8), "mod_bias": (8,)}
    places = [f"G/{size}x{size}/Conv{k}" for size in (4, 8, 16, 32) for k in (0, 1)]
    source = {f"{place}/{leaf}": shape for place in places for leaf, shape in shapes.items()}
    renamed = {"conv.weight": (1, 8, 8, 3, 3), "modulation.weight": (8, 8), "modulation.bias": (8,)}
    target = {f"convs.{k}.{leaf}": shape for k in range(8) for leaf, shape in renamed.items()}
    expected = by_place(source, target)
    assert matched(dict(sorted(source.items())), target) == expected


def test_where_one_side_is_sorted_both_can_be_read_in_the_usual_order():
    parts = {"self_attn.out_proj": (8, 8), "linear1": (32, 8), "linear2": (8, 32), "norm1": (8,), "norm2": (8,)}
    source = blocks("layers", {f"{part}.{leaf}": shape if leaf == "weight" else shape[:1]
                               for part, shape in parts.items() for leaf in ("weight", "bias")})  # fmt: skip
    names = {"self_attn.out_proj": "attn_out", "linear1": "ffn_up", "linear2": "ffn_down", "norm1": "attn_pre_norm",
             "norm2": "ffn_pre_norm"}  # fmt: skip
    expected = {
        key: f"h.{key.split('.')[1]}.{names[key[9:].rpartition('.')[0]]}.{key.rpartition('.')[2]}" for key in source
    }
    order = ["ffn_up", "ffn_down", "ffn_pre_norm", "attn_out", "attn_pre_norm"]
    declared = sorted(source, key=lambda key: (expected[key][:3], order.index(expected[key].split(".")[2])))
    target = {expected[key]: source[key] for key in declared}
    assert matched(dict(sorted(source.items())), target) == expected


def test_initials_stand_for_words_in_a_row():
    inside = {"mlp.0.weight": (8, 4), "mlp.2.weight": (8, 8)}
    source = {f"{name}_embedder.{part}": shape for name in ("ar", "csize") for part, shape in inside.items()}
    layers = {"linear_1.weight": (8, 4), "linear_2.weight": (8, 8)}
    names = ("aspect_ratio", "resolution")
    target = {f"emb.{name}_embedder.{part}": shape for name in names for part, shape in layers.items()}
    assert matched(source, target) == by_place(source, target)
    turned = {key: target[key] for key in sorted(target, key=lambda key: "aspect" in key)}
    assert matched(source, turned) == by_place(source, target)


def test_letters_that_do_not_follow_each_other_are_words():
    source = blocks("layers", {f"attn.w1{letter}.weight": (8, 8) for letter in "kovq"})
    target = blocks("blocks", {f"attn.to_{name}.weight": (8, 8) for name in ("q", "k", "v", "out")})
    found = matched(source, target)
    names = {"q": "q", "k": "k", "v": "v", "o": "out"}
    assert all(
        found[f"layers.2.attn.w1{letter}.weight"] == f"blocks.2.attn.to_{to}.weight" for letter, to in names.items()
    )


def test_keys_and_values_are_kept_in_one_tensor_rather_than_queries_and_keys():
    source = blocks("layers", {f"cross_attn.{part}_proj.weight": (8, 8) for part in ("k", "out", "q", "v")})
    target = blocks("layer", {"attention.linear_0.weight": (8, 8), "attention.linear_1.weight": (16, 8),
                              "attention.linear_2.weight": (8, 8)})  # fmt: skip
    proposal = match(listing(source), listing(target))
    parts = {(fusion.kind, *(key.split(".")[3] for key in fusion.sources)) for fusion in proposal.fusions}
    assert parts == {("merge", "k_proj", "v_proj")}


def test_a_head_that_is_kept_transposed_is_no_table_that_both_sides_keep_alike():
    inner = {"wi": (8, 24), "wo": (24, 8)}
    source = {"embedder/embedding": (99, 8)}
    source |= {f"decoder/layers_{i}/{part}/kernel": shape for i in range(3) for part, shape in inner.items()}
    source |= {"decoder/logits_dense/kernel": (8, 99)}
    target = {"shared.weight": (99, 8), "decoder.embed_tokens.weight": (99, 8)}
    target |= {f"decoder.block.{i}.{part}.weight": shape[::-1] for i in range(3) for part, shape in inner.items()}
    target |= {"lm_head.weight": (99, 8)}
    assert matched(source, target)["decoder/logits_dense/kernel"] == "lm_head.weight"


def test_source_and_target_are_read_in_full_and_short():
    source = {f"emb_{side}.weight": (32, 8) for side in ("src", "tgt")}
    target = {f"{side}_side.vocabulary.weight": (32, 8) for side in ("target", "source")}
    assert matched(source, target) == {
        "emb_src.weight": "source_side.vocabulary.weight",
        "emb_tgt.weight": "target_side.vocabulary.weight",
    }


def test_a_name_that_begins_with_that_of_a_module_lies_beside_it():
    """``ln1_1`` is no part of ``ln1``, nor ``norm1_context`` of ``norm1``."""
    norm, attn = {"emb.weight": (9, 8), "linear.weight": (16, 8)}, {"q.weight": (8, 8), "v.weight": (8, 4)}
    source = {f"ln1.{k}": s for k, s in norm.items()} | {"ln2.weight": (8,)}
    source |= {f"attn{i}.{k}": s for i in (1, 2) for k, s in attn.items()} | {f"ln1_1.{k}": s for k, s in norm.items()}
    places = {"ln1": "norm1", "ln1_1": "norm2", "ln2": "norm3", "attn1": "attn1", "attn2": "attn2"}
    expected = {key: f"{places[key.split('.')[0]]}.{key.partition('.')[2]}" for key in source}
    order = ("norm1", "attn1", "norm2", "attn2", "norm3")
    target = {expected[key]: source[key] for key in sorted(source, key=lambda k: order.index(places[k.split(".")[0]]))}
    assert matched(source, target) == expected
    streams = {"img_mod.linear.weight": "norm1.linear.weight", "txt_mod.linear.weight": "norm1_context.linear.weight"}
    images = blocks("double", dict.fromkeys(streams, (48, 8)))
    norms = dict(sorted(blocks("blocks", dict.fromkeys(streams.values(), (48, 8))).items()))
    found = matched(images, norms)
    assert all(found[key].endswith(streams[key.partition(".")[2].partition(".")[2]]) for key in images)


def test_a_middle_that_is_declared_behind_both_ends_lies_between_them():
    source = {f"mlp.layers.{i}.{leaf}": shape for i in range(3) for leaf, shape in (("weight", (8, 8)), ("bias", (8,)))}
    places = {0: "proj_in", 1: "layers.0", 2: "proj_out"}
    expected = {key: f"mlp.{places[int(key.split('.')[2])]}.{key.rpartition('.')[2]}" for key in source}
    target = {expected[key]: source[key] for key in sorted(source, key=lambda key: (".1." in key, key))}
    assert matched(source, target) == expected
    assert matched(target, source) == {new: old for old, new in expected.items()}


def test_biases_of_relative_attention_are_those_of_content_and_of_position():
    """Transformer-XL's ``r_w_bias`` and ``r_r_bias`` (u and v in the paper) are named for what they go with."""
    source = {"attn/r_r_bias": (4, 8), "attn/r_w_bias": (4, 8)}
    target = {"attn.rel_content_bias": (4, 8), "attn.rel_pos_bias": (4, 8)}
    assert matched(source, target) == {
        "attn/r_r_bias": "attn.rel_pos_bias",
        "attn/r_w_bias": "attn.rel_content_bias",
    }


def test_v_beside_l_is_vision_beside_language():
    names = {"v_proj": "vision_proj", "l_proj": "text_proj",
             "values_v_proj": "values_vision_proj", "values_l_proj": "values_text_proj"}  # fmt: skip
    source = {f"fusion.{k}.attn.{name}.weight": (8, 8) for k in range(2) for name in sorted(names)}
    expected = {key: f"layers.{key.split('.')[1]}.attn.{names[key.split('.')[3]]}.weight" for key in source}
    order = sorted(source, key=lambda key: (key.split(".")[1], list(names).index(key.split(".")[3])))
    assert mapping(match(listing(source), listing({expected[key]: (8, 8) for key in order}))) == expected


def test_a_tensor_that_is_called_qkv_is_made_of_these_though_the_output_has_their_size():
    """The output projection is declared first on one side and last on the other, with another width between layers."""
    ours = {"linear_proj": (64, 64), "linear_qkv": (96, 64)}
    theirs = {"q": (64, 64), "k": (16, 64), "v": (16, 64), "o": (64, 64)}
    layers = (0, 3, 7)
    source = {f"layers.{i}.attention.{name}.weight": shape for i in layers for name, shape in ours.items()}
    target = {f"blocks.{i}.mixer.{name}_proj.weight": shape for i in layers for name, shape in theirs.items()}
    expected = {f"layers.{i}.attention.linear_proj.weight": f"blocks.{i}.mixer.o_proj.weight" for i in layers}
    assert matched(source, target) == expected


@pytest.mark.parametrize(
    "keys",
    [
        ("x.modules_to_save.default.weight", "x.default.weight", "x.weight", "y.fc.weight"),
        ("a/b/c.weight", "a.b/c.weight", "a/b.c.weight", "d/e.weight", "d/f.weight"),
    ],
)
def test_keys_that_are_read_alike_stay_keys_of_their_own(keys):
    """Three keys that differ in a wrapper or in their separators alone: none is lost."""
    both = {key: (8, 8 + place) for place, key in enumerate(keys)}
    assert matched(both, both) == {key: key for key in keys}
