"""A module's own tensors: what weights, biases, statistics and norms of weights are called in each framework."""

from torch import nn

from tests.core.matching.helpers import blocks, listing, mapping
from wmtui.core.matching import match


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def by_place(source, target):
    return dict(zip(source, target, strict=True))


def test_weight_norm_on_one_side_is_a_fusion_and_its_bias_a_pair():
    normed = blocks("ups", {"weight_g": (8, 1, 1), "weight_v": (8, 4, 3), "bias": (8,)})
    plain = blocks("upsampler", {"conv.weight": (8, 4, 3), "conv.bias": (8,)})
    for source, target, kind in ((normed, plain, "merge"), (plain, normed, "split")):
        proposal = match(listing(source), listing(target))
        assert len(proposal.pairs) == 4
        assert all("bias" in key and "bias" in pair.target for key, pair in proposal.pairs.items())
        fusions = [(f.kind, {*f.sources, *f.targets}, f.dim) for f in proposal.fusions]
        assert (kind, {"ups.1.weight_g", "ups.1.weight_v", "upsampler.1.conv.weight"}, None) in fusions


def test_weight_norm_on_both_sides_pairs_one_to_one():
    old = {"conv.weight_g": (8, 1, 1), "conv.weight_v": (8, 4, 3)}
    new = {"conv.parametrizations.weight.original0": (8, 1, 1), "conv.parametrizations.weight.original1": (8, 4, 3)}
    assert matched(old, new) == by_place(old, new)


def test_classes_at_the_beginning_or_end_of_a_leaf_make_units():
    short = blocks("layers", {"self.Wq": (8, 8), "self.bq": (8,), "ffn.W1": (32, 8), "ffn.b1": (32,)})
    long = {
        f"layers.{i}.{name}.{leaf}": shape
        for i in range(4)
        for name, rows in (("self_attn.q_proj", 8), ("fc1", 32))
        for leaf, shape in (("weight", (rows, 8)), ("bias", (rows,)))
    }
    assert matched(short, long) == by_place(short, long)
    gates = blocks("cell", {"in_gate.w": (4, 8, 8), "in_gate.b": (4, 8), "a_gate.w": (4, 8, 8), "a_gate.b": (4, 8)})
    joined = blocks(
        "cell", {f"{n}_gate_{c}": s for n in ("in", "a") for c, s in (("weight", (4, 8, 8)), ("bias", (4, 8)))}
    )
    assert matched(gates, joined) == by_place(gates, joined)


def test_heads_that_are_kept_apart_match_the_flat_bias():
    heads = blocks("h", {"query.kernel": (24, 3, 8), "query.bias": (3, 8), "norm.scale": (24,), "norm.bias": (24,)})
    flat = blocks("h", {"q.weight": (24, 24), "q.bias": (24,), "ln.weight": (24,), "ln.bias": (24,)})
    assert matched(heads, flat)["h.1.query.bias"] == "h.1.q.bias"


def test_heads_that_are_kept_apart_fuse_too():
    heads = blocks("h", {f"{n}.{leaf}": s for n in ("query", "key", "value") for leaf, s in
                         (("kernel", (24, 3, 8)), ("bias", (3, 8)))})  # fmt: skip
    fused = blocks("h", {"qkv.weight": (72, 24), "qkv.bias": (72,)})
    proposal = match(listing(heads), listing(fused))
    assert proposal.pairs == {}
    assert {len(fusion.sources) for fusion in proposal.fusions} == {3}


def test_a_weight_beside_the_weight_is_a_tensor_of_its_own():
    source = blocks("layers", {"linear_qkv.layer_norm_weight": (8,), "linear_qkv.weight": (24, 8),
                               "linear_fc1.layer_norm_weight": (8,), "linear_fc1.weight": (32, 8)})  # fmt: skip
    target = blocks("layers", {"attn.qkv.weight": (24, 8), "mlp.fc1.weight": (32, 8),
                               "input_layernorm.weight": (8,), "post_attention_layernorm.weight": (8,)})  # fmt: skip
    found = matched(source, target)
    assert found["layers.1.linear_qkv.layer_norm_weight"] == "layers.1.input_layernorm.weight"
    assert found["layers.1.linear_fc1.layer_norm_weight"] == "layers.1.post_attention_layernorm.weight"


def test_the_shift_of_a_norm_without_scales_is_its_bias():
    source = blocks("Branch", {"Conv/weights": (3, 3, 4, 8), "BatchNorm/beta": (8,), "BatchNorm/moving_mean": (8,)})
    source = {key.replace(".", "/"): shape for key, shape in source.items()}
    target = blocks(
        "branch", {"conv.weight": (8, 4, 3, 3), "bn.weight": (8,), "bn.bias": (8,), "bn.running_mean": (8,)}
    )
    found = matched(source, target)
    assert found["Branch/1/BatchNorm/beta"] == "branch.1.bn.bias"
    assert found["Branch/1/BatchNorm/moving_mean"] == "branch.1.bn.running_mean"


def test_lists_of_biases_find_the_modules_of_their_weights():
    source = {f"cross_w.{k}": (12, 12) for k in range(3)} | {f"cross_b.{k}": (12,) for k in range(3)}
    target = {
        f"crossnet.{k}.{leaf}": shape for k in range(3) for leaf, shape in (("weight", (12, 12)), ("bias", (12,)))
    }
    found = matched(source, target)
    assert {found[f"cross_b.{k}"] for k in range(3)} == {f"crossnet.{k}.bias" for k in range(3)}
    assert found["cross_b.1"] == "crossnet.1.bias"


def test_averages_of_tensors_stay_out():
    plain = {"block_1/conv/weights": (3, 3, 8, 8), "block_2/conv/weights": (3, 3, 8, 8), "head/weights": (8, 5)}
    source = dict(sorted((plain | {f"{key}/Average": shape for key, shape in plain.items()}).items()))
    target = {f"layer.{k}.weight": (8, 8, 3, 3) for k in range(4)} | {
        "classifier.weight": (5, 8),
        "copy.weight": (5, 8),
    }
    assert not any("Average" in key for key in matched(source, target))


def convolutions(wrapped):
    return nn.Sequential(*(wrapped(nn.Conv2d(8, 8, 3)) for _ in range(3)), wrapped(nn.Linear(8, 4))).state_dict()


def test_spectral_norm_is_the_same_in_its_old_and_its_new_spelling_and_beside_a_plain_weight():
    old, new, plain = (
        {key: tuple(value.shape) for key, value in convolutions(wrapped).items()}
        for wrapped in (nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm, lambda module: module)
    )
    spelled = {"weight": "parametrizations.weight.original", "u": "parametrizations.weight.0._u"}
    spelled["v"] = spelled["u"].replace("_u", "_v")
    found = matched(old, new)
    assert len(found) == len(old) == 16
    for key, target in found.items():
        leaf = key.removesuffix("_orig").replace("weight_u", "u").replace("weight_v", "v")
        number, leaf = leaf.split(".")
        assert target == f"{number}.{spelled.get(leaf, leaf)}"
    assert matched(old, plain) == {key: key.replace("_orig", "") for key in old if not key.endswith(("_u", "_v"))}


def test_statistics_have_their_names_in_every_framework():
    torch = blocks("layers", dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (8,)))
    for spelled in (
        ("gamma", "beta", "moving_mean", "moving_var"),
        ("gamma", "beta", "avg_mean", "avg_var"),
        ("scale", "offset", "moving_mean/average", "moving_variance/average"),
        ("scale", "offset", "~/mean_ema/average", "~/var_ema/average"),
    ):
        other = {f"blocks/{i}/norm/{name}": (8,) for i in range(4) for name in spelled}
        assert matched(other, torch) == by_place(other, torch)


def test_a_number_at_the_end_of_the_class_makes_a_unit():
    source = {f"dnn/{leaf}{i}:0": shape for leaf, shape in (("kernel", (8, 8)), ("bias", (8,))) for i in range(3)}
    target = {f"dnn.{i}.{leaf}": shape for leaf, shape in (("weight", (8, 8)), ("bias", (8,))) for i in range(3)}
    assert matched(source, target) == by_place(source, target)


def test_what_all_keys_end_in_is_no_tensor_of_its_own():
    """Flax' nnx writes ``kernel/value``, TF Hub ``w/ema_0.9999``: the bias belongs to its kernel all the same."""
    layers = {"x": ("c", 8, 4), "y": ("b", 16, 8), "z": ("a", 8, 16)}
    for ending in ("value", "ema_0.9999"):
        expected = {
            f"net/{name}/{leaf}/{ending}": f"net.{other}.{torch}"
            for name, (other, _, _) in layers.items()
            for leaf, torch in (("w", "weight"), ("b", "bias"))
        }
        source = {key: layers[key[4]][1:] if "/w/" in key else layers[key[4]][1:2] for key in expected}
        target = {expected[key]: source[key] for key in sorted(expected, key=lambda key: expected[key])}
        assert matched(source, target) == expected
