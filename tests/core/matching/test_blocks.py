"""Which module is which: modules known by what they hold, lists that are divided otherwise on the two sides."""

from __future__ import annotations

from tests.core.matching.helpers import blocks, listing, mapping
from wmtui.core.matching import match


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def unet_level(out, into):
    return {"c1": (out, into, 3, 3), "n1": (out,), "c2": (out, out, 3, 3), "n2": (out,)}


def test_modules_that_alone_hold_their_sizes_are_paired_before_lists():
    widths = (3, 8, 16, 32)
    source = {
        f"d{k + 1}{part}.weight": shape
        for k in range(3)
        for part, shape in unet_level(widths[k + 1], widths[k]).items()
    }
    ups = {f"u{k}{part}.weight": shape for k in (2, 1) for part, shape in unet_level(8 * k, 16 * k).items()}
    source = {**ups, **source}
    names = {"c1": "0.proj", "n1": "0.norm", "c2": "1.proj", "n2": "1.norm"}
    places = {"d1": "encoder.0", "d2": "encoder.1", "d3": "bottleneck", "u2": "decoder.0.fuse", "u1": "decoder.1.fuse"}
    expected = {key: f"{places[key[:2]]}.{names[key[2:4]]}.weight" for key in source}
    order = ("decoder", "encoder", "bottleneck")
    norms_first = sorted(expected, key=lambda key: (order.index(expected[key].split(".")[0]), "n" not in key))
    assert matched(source, {expected[key]: source[key] for key in norms_first}) == expected


def test_a_block_that_is_half_of_another_is_left_to_its_tensors():
    conv = {"Conv/weight": (3, 3, 8, 8), "Conv/mod_weight": (8, 8), "Conv/mod_bias": (8,)}
    image = {"ToRGB/weight": (1, 1, 8, 3), "ToRGB/mod_weight": (8, 8), "ToRGB/mod_bias": (8,), "ToRGB/bias": (3,)}
    source = {f"G/4x4/{part}": shape for part, shape in (conv | image).items()}
    upper = {part.replace("Conv", f"Conv{k}"): shape for k in (0, 1) for part, shape in conv.items()} | image
    source |= {f"G/{size}x{size}/{part}": shape for size in (8, 16, 32, 64) for part, shape in upper.items()}
    names = {"weight": "conv.weight", "mod_weight": "conv.mod.weight", "mod_bias": "conv.mod.bias", "bias": "bias"}
    turned = {(3, 3, 8, 8): (1, 8, 8, 3, 3), (1, 1, 8, 3): (1, 3, 8, 1, 1), (3,): (1, 3, 1, 1)}
    places = {"G/4x4/Conv": "conv1", "G/4x4/ToRGB": "to_rgb1"}
    for k, size in enumerate((8, 16, 32, 64)):
        places |= {f"G/{size}x{size}/Conv{i}": f"convs.{2 * k + i}" for i in (0, 1)}
        places[f"G/{size}x{size}/ToRGB"] = f"to_rgbs.{k}"
    expected = {key: f"{places[key.rpartition('/')[0]]}.{names[key.rpartition('/')[2]]}" for key in source}
    order = ("conv1", "to_rgb1", "convs", "to_rgbs")
    ordered = sorted(source, key=lambda key: order.index(expected[key].split(".")[0]))
    assert matched(source, {expected[key]: turned.get(source[key], source[key]) for key in ordered}) == expected


def test_modules_between_two_like_ones_tell_in_which_direction_they_run():
    inner = {
        "0.alpha": (8,),
        "0.beta": (8,),
        "1.weight": (8, 8, 7),
        "2.alpha": (8,),
        "2.beta": (8,),
        "3.weight": (8, 8, 1),
    }
    named = {
        "snake1.alpha": (8,), "snake1.beta": (8,), "conv1.weight": (8, 8, 7),
        "snake2.alpha": (8,), "snake2.beta": (8,), "conv2.weight": (8, 8, 1),
    }  # fmt: skip
    source, target = blocks("layers", {f"layers.{key}": s for key, s in inner.items()}), blocks("unit", named)
    assert mapping(match(listing(source), listing(target))) == dict(zip(source, target, strict=True))
    apart = {key: named[key] for key in sorted(named, key=lambda key: "conv" in key)}
    outer = {key: inner[key] for key in ("0.alpha", "0.beta", "2.alpha", "2.beta")}
    alone = blocks("unit", {f"list.{key}": shape for key, shape in outer.items()})
    assert match(listing(alone), listing(blocks("unit", apart))).ambiguous


def layer(width=8):
    return {"q.weight": (width, width), "out.weight": (width, width), "norm.weight": (width,)}


def test_parts_that_make_up_blocks_are_a_row_of_blocks():
    source = blocks("layers", layer(), count=8)
    parts = {f"{part}.{name}": s for part in ("self_attention", "cross_attention") for name, s in layer().items()}
    target = blocks("transformer.layers", parts)
    expected = dict(zip(source, target, strict=True))
    assert matched(source, target) == expected
    assert matched(dict(sorted(source.items())), target) == expected
    source, target = dict(sorted(source.items())), dict(sorted(target.items()))
    assert all(pair.confidence < 0.9 for pair in match(listing(source), listing(target)).pairs.values())


def test_a_list_that_goes_on_in_another_is_one_list():
    source = blocks("layers", layer(), count=8)
    halves = blocks("encoder.lower", layer()) | blocks("encoder.upper", layer())
    assert matched(source, halves) == dict(zip(source, halves, strict=True))


def test_lists_that_agree_place_by_place_stay_in_step():
    """A stage with a tail holds just what the last one holds with a head."""
    counts, head, tail = (2, 3, 4, 3), "reduce.weight", "down.weight"
    source = {
        f"blocks.{s}.{i}.{name}": shape
        for s, n in enumerate(counts)
        for i in range(n)
        for name, shape in layer().items()
    } | {f"blocks.{s}.{counts[s]}.{tail}": (8, 8, 2, 2) for s in (1, 2)}
    target = {
        f"stages.{s}.blocks.{i}.{name}": shape
        for s, n in enumerate(counts)
        for i in range(n)
        for name, shape in layer().items()
    } | {f"stages.{s}.{head}": (8, 8, 2, 2) for s in (2, 3)}
    found = matched(source, target)
    for key in source:
        if tail not in key:
            _, stage, block, *name = key.split(".")
            assert found[key] == ".".join(["stages", stage, "blocks", block, *name])


def test_a_number_of_three_norms_is_not_that_of_two():
    """Norms stand behind their modules in both listings, which says more than their numbers and their order."""
    attn = {f"{end}_lin.weight": (8, 8) for end in "qkv"} | {"out_lin.weight": (8, 8)}
    mlp = {"ffn.lin1.weight": (32, 8), "ffn.lin2.weight": (8, 32)}
    encoder = {f"attention.{k}": s for k, s in attn.items()} | {"norm1.weight": (8,)} | mlp | {"norm2.weight": (8,)}
    decoder = {f"self_attention.{k}": s for k, s in attn.items()} | {"norm1.weight": (8,)} | mlp
    decoder |= {"norm3.weight": (8,)} | {f"encoder_attention.{k}": s for k, s in attn.items()} | {"norm2.weight": (8,)}
    source = blocks("encoder.layers", encoder) | blocks("decoder.layers", decoder)
    attn = {f"{end}_proj.weight": (8, 8) for end in "kvq"} | {"out_proj.weight": (8, 8)}
    mlp = {"fc1.weight": (32, 8), "fc2.weight": (8, 32)}
    near = {f"self_attn.{k}": s for k, s in attn.items()} | {"self_attn_layer_norm.weight": (8,)}
    cross = {f"encoder_attn.{k}": s for k, s in attn.items()} | {"encoder_attn_layer_norm.weight": (8,)}
    last = mlp | {"final_layer_norm.weight": (8,)}
    target = blocks("encoder.layers", near | last) | blocks("decoder.layers", near | cross | last)
    found = matched(source, target)
    names = {"norm1": "self_attn", "norm2": "encoder_attn", "norm3": "final"}
    for i in range(4):
        for number, name in names.items():
            assert found[f"decoder.layers.{i}.{number}.weight"] == f"decoder.layers.{i}.{name}_layer_norm.weight"
        assert found[f"encoder.layers.{i}.norm2.weight"] == f"encoder.layers.{i}.final_layer_norm.weight"


def test_tensors_between_blocks_that_are_listed_backwards_stand_where_the_blocks_do():
    expected, target = {}, {}
    parts = {"norm": (8,), "conv1": (8, 8, 3, 3), "conv2": (8, 8, 1, 1)}
    number = 0
    for level, width in ((3, 16), (2, 8), (1, 8), (0, 4)):
        for k in (0, 1):
            for part, shape in parts.items():
                expected[f"up.{level}.block.{k}.{part}.weight"] = f"blocks.{number}.{part}.weight"
                target[f"blocks.{number}.{part}.weight"] = tuple(width if d == 8 else d for d in shape)
            number += 1
        if level:
            expected[f"up.{level}.upsample.conv.weight"] = f"blocks.{number}.conv.weight"
            target[f"blocks.{number}.conv.weight"] = (8, 8, 3, 3)
            number += 1
    listed = sorted(expected, key=lambda key: key.split(".")[1])
    assert matched({key: target[expected[key]] for key in listed}, target) == expected


def test_lists_of_roles_meet_modules_that_are_declared_from_last_to_first():
    """The sizes of the inner ones tell which number is which level; the outer ones have one size."""
    inner = {f"pyramid.inner.{k}.weight": (4, 8 * 2**k, 1, 1) for k in range(3)}
    outer = {f"pyramid.outer.{k}.weight": (4, 4, 3, 3) for k in range(3)}
    extra = {"pyramid.extra.p6.weight": (4, 32, 3, 3), "pyramid.extra.p7.weight": (4, 4, 3, 3)}
    parts = {"inner": 1, "outer": 2}
    expected = {
        f"pyramid.{part}.{k}.weight": f"neck.P{3 + k}_{parts[part]}.weight" for k in (2, 1, 0) for part in parts
    }
    expected |= {"pyramid.extra.p6.weight": "neck.P6.weight", "pyramid.extra.p7.weight": "neck.P7_2.weight"}
    body = {f"body.{k}.conv{i}.weight": (8 + i, 8 * k + 8, 3, 3) for k in range(6) for i in range(3)}
    expected |= {key: key for key in body}
    source = body | inner | outer | extra
    assert matched(source, {name: source[key] for key, name in expected.items()}) == expected


def test_layers_of_another_kind_are_found_inside_the_layers_that_they_are_kept_in():
    own = {"attn.q.weight": (8, 8), "attn.k.weight": (4, 8), "mlp.w1.weight": (32, 8), "mlp.w2.weight": (8, 32),
           "norm1.weight": (8,), "norm2.weight": (8,)}  # fmt: skip
    cross = {**own, "attn.q_norm.weight": (2,), "attn.k_norm.weight": (2,), "gate1": (1,), "gate2": (1,)}
    source: dict[str, tuple[int, ...]] = {}
    target: dict[str, tuple[int, ...]] = {}
    kept: dict[int, str] = {}
    for i in range(12):
        source |= {f"layers.{i}.{key}": shape for key, shape in (cross if i % 3 == 1 else own).items()}
    for i in range(8):
        target |= {f"decoder.{i}.{key}": shape for key, shape in own.items()}
        if i % 2 == 1:
            kept[3 * (i // 2) + 1] = f"decoder.{i}.fusion"
            target |= {f"decoder.{i}.fusion.{key}": shape for key, shape in cross.items()}
    found = matched(source, target)
    for i, place in kept.items():
        assert {key: found[f"layers.{i}.{key}"] for key in cross} == {key: f"{place}.{key}" for key in cross}


def test_blocks_of_a_flat_list_that_fell_to_several_lists_stand_in_order():
    """As a detector's head: one number for each convolution against modules of one, two and several."""
    places = ["0", "1.cv1", "1.cv2", "2.0.cv1", "2.0.cv2", "2.1.cv1", "2.1.cv2", "3", "4.cv1", "4.cv2", "5.0.cv1",
              "5.0.cv2", "5.1.cv1", "5.1.cv2"]  # fmt: skip
    source: dict[str, tuple[int, ...]] = {}
    target: dict[str, tuple[int, ...]] = {}
    for k, place in enumerate(places):
        width = 8 if k < 7 else 4
        shape = (width, 2 * width, 1, 1) if place.endswith(("cv1", "3", "0")) else (2 * width, width, 3, 3)
        for part, size in (("conv", shape), ("bn", shape[:1])):
            source[f"layers.{k}.{part}_{k}.weight"] = size
            target[f"model.{place}.{part}.weight"] = size
    assert matched(source, target) == dict(zip(source, target, strict=True))


def test_a_middle_that_is_declared_behind_the_end_keeps_its_place_in_a_flat_list():
    """The attention of the middle runs before that of the upper blocks, as its neighbours tell."""
    res = {"norm1.weight": (8,), "conv1.weight": (8, 8, 3, 3), "conv2.weight": (8, 8, 1, 1)}
    wide = {**res, "norm1.weight": (16,), "conv1.weight": (8, 16, 3, 3)}
    middle = {**res, "conv1.weight": (8, 8, 5, 5)}
    attn: dict[str, tuple[int, ...]] = {f"{name}.weight": (8, 8) for name in ("q", "k", "v")}
    attn["norm.weight"] = (8,)
    used: list[tuple[str, dict[str, tuple[int, ...]]]]
    used = [(f"down.{k}.resnets.{i}", res) for k in (0, 1) for i in (0, 1)]
    used += [("mid.resnets.0", middle), ("mid.attentions.0", attn), ("mid.resnets.1", middle)]
    used += [(f"up.{k}.{part}", some) for k in (0, 1)
             for part, some in (("resnets.0", wide), ("resnets.1", wide), ("attentions.0", attn))]  # fmt: skip
    expected = {f"modules.{k}.{name}": f"{place}.{name}" for k, (place, some) in enumerate(used) for name in some}
    shapes = {f"{place}.{name}": shape for place, some in used for name, shape in some.items()}
    declared = sorted(shapes, key=lambda key: (("down", "up", "mid").index(key.split(".")[0]), "resnets" in key))
    found = matched({key: shapes[name] for key, name in expected.items()}, {key: shapes[key] for key in declared})
    assert found == expected


def test_parts_of_blocks_without_a_number_of_their_own_are_found_in_a_flat_list():
    """Two convolutions and two norms of one size each, which only the blocks that hold them keep apart."""
    res = {"norm1.weight": (8,), "conv1.weight": (8, 16, 3, 3), "norm2.weight": (8,), "conv2.weight": (8, 8, 3, 3)}
    change = {"norm1.weight": (8,), "conv1.weight": (8, 8, 3, 3), "norm2.weight": (8,), "conv2.weight": (8, 8, 3, 3)}
    parts: dict[str, dict[str, tuple[int, ...]]] = {"resnets.0": res, "resnets.1": res}
    parts |= {"skip_norm": {"weight": (8,)}, "skip_conv": {"weight": (3, 8, 3, 3)}, "change": change}
    used: list[tuple[str, dict[str, tuple[int, ...]]]]
    used = [(f"up.{k}.{part}", some) for k in range(5) for part, some in parts.items()]
    expected = {f"modules.{k}.{name}": f"{place}.{name}" for k, (place, some) in enumerate(used) for name in some}
    shapes = {f"{place}.{name}": shape for place, some in used for name, shape in some.items()}
    order = ("resnets", "change", "skip_conv", "skip_norm")
    declared = sorted(shapes, key=lambda key: (key.split(".")[1], order.index(key.split(".")[2])))
    found = matched({key: shapes[name] for key, name in expected.items()}, {key: shapes[key] for key in declared})
    assert found == expected


def test_of_two_alike_the_first_stands_first_on_both_sides_though_it_leaves_a_gap():
    """Two branches of one shape: the first goes on, the second is kept apart."""
    parts = {"cv1": "main.0", "cv2": "short", "cv3": "main.1", "cv4": "main.2", "cv5": "final"}
    sizes = {"cv1": (8, 16, 1, 1), "cv2": (8, 16, 1, 1), "cv3": (8, 8, 3, 3), "cv4": (8, 8, 1, 1), "cv5": (8, 32, 1, 1)}
    expected, shapes = {}, {}
    for part, place in parts.items():
        for name, shape in (("conv", sizes[part]), ("bn", (8,))):
            expected[f"pool.{part}.{name}.weight"] = f"neck.pool.{place}.{name}.weight"
            shapes[f"pool.{part}.{name}.weight"] = shape
    assert matched(shapes, {name: shapes[key] for key, name in expected.items()}) == expected


def test_the_roles_of_a_block_hold_where_a_longer_one_keeps_it_inside():
    """Without a skip there is no first norm, and the other two tell by their numbers which ones they are."""
    own = {
        "norm2": ("norm1", (8,)), "attn.q": ("attn.to_q", (8, 8)), "attn.proj": ("attn.to_out", (8, 8)),
        "norm3": ("norm3", (8,)), "mlp.fc1": ("ff.0", (32, 8)), "mlp.fc2": ("ff.2", (8, 32)),
    }  # fmt: skip
    expected, shapes = {}, {}
    for k in range(3):
        for name, (there, shape) in own.items():
            expected[f"in_blocks.{k}.{name}.weight"] = f"net.in_blocks.{k}.{there}.weight"
            shapes[f"in_blocks.{k}.{name}.weight"] = shape
    outer = {"norm1": ("skip.norm", (8,))} | {key: (f"block.{there}", shape) for key, (there, shape) in own.items()}
    outer["skip_linear"] = ("skip.linear", (8, 16))
    for k in range(3):
        for name, (there, shape) in outer.items():
            expected[f"out_blocks.{k}.{name}.weight"] = f"net.out_blocks.{k}.{there}.weight"
            shapes[f"out_blocks.{k}.{name}.weight"] = shape
    target = {name: shapes[key] for key, name in expected.items()}
    order = ("skip.linear", "skip.norm", "attn.", "norm", "ff.")
    place = {name: next(k for k, part in enumerate(order) if part in name) for name in target}
    declared = sorted(target, key=lambda name: (".".join(name.split(".")[:3]), place[name]))
    target = {name: target[name] for name in declared}
    assert matched(shapes, target) == expected
    assert matched(target, shapes) == {name: key for key, name in expected.items()}


def test_what_ends_a_stage_begins_the_next_one_though_one_of_them_has_the_size_of_its_own_stage():
    """Where the stages are as wide, the way into one is as large as the way out of it."""
    expected: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    widths = (4, 8, 8, 8)
    for stage, width in enumerate(widths):
        for block in range(stage + 2):
            for name, shape in (("norm", (width,)), ("fc1", (2 * width, width)), ("fc2", (width, 2 * width))):
                expected[f"stages.{stage}.{block}.{name}.weight"] = f"levels.{stage}.blocks.{block}.{name}.weight"
                shapes[f"stages.{stage}.{block}.{name}.weight"] = shape
        if stage < 3:
            expected[f"stages.{stage}.{stage + 2}.down.weight"] = f"levels.{stage + 1}.enter.down.weight"
            size = 2 if stage == 0 else 1
            shapes[f"stages.{stage}.{stage + 2}.down.weight"] = (widths[stage + 1], width, size, size)
    target = {name: shapes[key] for key, name in expected.items()}
    assert matched(shapes, target) == expected


def test_a_network_nested_in_its_own_middle_is_a_list_down_and_a_list_up():
    """Written as in pix2pix, where each level holds the next between its own layers, and as two lists."""
    source: dict[str, tuple[int, ...]] = {}
    expected, above = {}, "net.model"
    for depth, width in enumerate((8, 16, 16, 16, 16, 16)):
        for place, name in ((1, f"down.{depth}.conv"), (5, f"up.{5 - depth}.conv")):
            key = f"{above}.{place}.weight"
            source[key] = (width, width, 4, 4) if depth > 1 else (width, width // 2 * (1 + place // 5), 4, 4)
            expected[key] = f"{name}.weight"
        for place, name in ((2, f"down.{depth}.norm"), (6, f"up.{5 - depth}.norm")):
            source[f"{above}.{place}.weight"] = (width,)
            expected[f"{above}.{place}.weight"] = f"{name}.weight"
        above += ".3.model"
    innermost = {key: expected.pop(key) for key in list(expected) if key.count("model") == 6}
    target = {expected[key]: source[key] for key in sorted(expected, key=lambda key: expected[key])}
    lists = target | {f"bottom.{name}": source[key] for key, name in innermost.items()}
    got = matched(source, lists)
    assert {key: got.get(key) for key in expected} == expected


SELF: dict[str, tuple[int, ...]] = {"q": (64, 64), "k": (32, 64), "v": (32, 64), "o": (64, 64)}
SELF |= {"gate": (256, 64), "up": (256, 64), "down": (64, 256), "norm1": (64,), "norm2": (64,)}
CROSS = SELF | {"q_norm": (2,), "k_norm": (2,)}


def weights(prefix, parts):
    return {f"{prefix}.{name}.weight": shape for name, shape in parts.items()}


def test_blocks_with_a_little_more_than_others_keep_to_their_like():
    """Two lists of attention layers against one that has the others in between: a few vectors more tell them apart."""
    source = {k: s for i in range(8) for k, s in weights(f"layers.{i}", SELF).items()}
    source |= {k: s for i in range(2) for k, s in weights(f"cross_layers.{i}", CROSS).items()}
    places = [f"layers.{i}" for i in (0, 1, 2, 4, 5, 6, 7, 9)], [f"layers.{i}" for i in (3, 8)]
    expected = {}
    for key in source:
        stem, number, rest = key.split(".", 2)
        expected[key] = f"{places[stem.startswith('cross')][int(number)]}.{rest}"
    target = {expected[key]: source[key] for key in sorted(source, key=lambda key: expected[key])}
    assert matched(source, target) == expected


def test_places_of_short_lists_are_roles():
    """A list of triples (resnet, attention, resnet) against a list of each of the three."""
    resnet: dict[str, tuple[int, ...]] = {"a": (8, 8, 3, 3), "b": (8, 8, 3, 3)}
    attention: dict[str, tuple[int, ...]] = {"q": (8, 8), "k": (8, 8), "out": (8, 16)}
    shapes = resnet | attention
    parts = {"resnets_in": resnet, "attentions": attention, "resnets_out": resnet}
    expected = {
        f"blocks.{i}.{place}.{leaf}.weight": f"{name}.{i}.{leaf}.weight"
        for i in range(4)
        for place, name in enumerate(parts)
        for leaf in parts[name]
    }
    source = {key: shapes[key.split(".")[3]] for key in expected}
    target = {expected[key]: source[key] for key in sorted(expected, key=lambda key: expected[key])}
    assert matched(source, target) == expected


def test_of_two_equal_towers_the_one_with_the_same_around_it_is_meant():
    layer = {"attn.weight": (24, 8), "proj.weight": (8, 8), "fc1.weight": (32, 8), "fc2.weight": (8, 32)}
    text = {"token_embedding.weight": (50, 8), "positional_embedding": (7, 8)} | blocks("transformer.resblocks", layer)
    vision = {"conv1.weight": (8, 3, 4, 4), "class_embedding": (8,), "positional_embedding": (17, 8)}
    vision |= {f"ln_{name}.weight": (8,) for name in ("pre", "post")} | blocks("transformer.resblocks", layer)
    names = {"conv1.weight": "patch_embed.proj.weight", "class_embedding": "cls_token"}
    names |= {"positional_embedding": "pos_embed", "ln_pre.weight": "norm_pre.weight", "ln_post.weight": "norm.weight"}
    source = text | {f"visual.{key}": shape for key, shape in vision.items()}
    expected = {f"visual.{key}": names.get(key, key.removeprefix("transformer.res")) for key in vision}
    target = {new: source[key] for key, new in expected.items()}
    assert matched(source, target) == expected


def test_lists_of_equal_blocks_stay_lists_where_both_sides_have_them():
    """Sorted by name, the refiner stands behind the main layers on one side."""
    layer: dict[str, tuple[int, ...]] = {"out.weight": (8, 8), "fc.weight": (32, 8), "norm.weight": (8,)}
    fused = layer | {"qkv.weight": (24, 8)}
    split = layer | {f"{name}.weight": (8, 8) for name in "qkv"}
    source = dict(sorted((blocks("layers", fused, 26) | blocks("noise_refiner", fused, 2)).items()))
    target = blocks("noise_refiner", split, 2) | blocks("layers", split, 26)
    assert matched(source, target) == {key: key for key in source if "qkv" not in key}


def test_layers_kept_in_one_tensor_are_found_beside_a_like_tensor_outside():
    """A final norm has the shape of the layers' norms, which a scanned model keeps stacked, gate and up in one."""
    source = {"layers/norm/scale": (6, 8), "layers/gating": (6, 2, 8, 32), "layers/linear": (6, 32, 8)}
    source |= {"final_norm/scale": (8,)}
    mlp: dict[str, tuple[int, ...]] = {f"mlp.{name}_proj.weight": (32, 8) for name in ("gate", "up")}
    layer = {"norm.weight": (8,), **mlp, "mlp.down_proj.weight": (8, 32)}
    target = blocks("layers", layer, 6) | {"norm.weight": (8,)}
    proposal = match(listing(source), listing(target))
    assert mapping(proposal) == {"final_norm/scale": "norm.weight"}
    parts = {fusion.sources[0]: {key.split(".", 2)[2] for key in fusion.targets} for fusion in proposal.fusions}
    assert parts == {
        "layers/norm/scale": {"norm.weight"},
        "layers/gating": set(mlp),
        "layers/linear": {"mlp.down_proj.weight"},
    }
