"""What a match promises, on small listings made for each promise."""

import os
import subprocess
import sys

import pytest

from benchmarks.cases import listings
from tests.core.matching.helpers import blocks, case, listing, mapping
from wmtui.core.matching import MatchOptions, match
from wmtui.core.proposal import Facts, Transform
from wmtui.errors import Cancelled

ATTENTION = {"q.weight": (8, 8), "k.weight": (8, 8), "v.weight": (8, 8), "o.weight": (8, 8), "up.weight": (32, 8)}
OTHER_NAMES = {
    "self_attn.q_proj.weight": (8, 8),
    "self_attn.k_proj.weight": (8, 8),
    "self_attn.v_proj.weight": (8, 8),
    "self_attn.out_proj.weight": (8, 8),
    "mlp.up_proj.weight": (32, 8),
}


def test_wrappers_anywhere_in_any_order_cost_no_match():
    plain = {"net.0.conv.weight": (4, 3), "net.1.conv.weight": (4, 4), "head.weight": (2, 4), "head.bias": (2,)}
    wrapped = {
        "module._orig_mod.net.0._checkpoint_wrapped_module.conv.weight": (4, 3),
        "module._orig_mod.net.1._fsdp_wrapped_module.module.conv.weight": (4, 4),
        "module._orig_mod.head.model.weight": (2, 4),
        "module._orig_mod.head.model.bias": (2,),
    }
    expected = dict(zip(plain, wrapped, strict=True))
    assert mapping(match(listing(plain), listing(wrapped))) == expected
    assert mapping(match(listing(wrapped), listing(plain))) == {v: k for k, v in expected.items()}


@pytest.mark.parametrize("separator", [".", "/", "_"])
def test_separators(separator):
    source = {key.replace(".", separator): shape for key, shape in blocks("layers", ATTENTION).items()}
    target = blocks("decoder.blocks", OTHER_NAMES)
    assert mapping(match(listing(source), listing(target))) == dict(zip(source, target, strict=True))


def test_fused_tensors_stay_out_of_the_pairs_and_are_named():
    fused = blocks("h", {"attn.qkv.weight": (24, 8), "attn.proj.weight": (8, 8), "up.weight": (32, 8)})
    proposal = match(listing(fused), listing(blocks("layers", OTHER_NAMES)))
    assert mapping(proposal)["h.2.attn.proj.weight"] == "layers.2.self_attn.out_proj.weight"
    assert not any("qkv" in key for key in proposal.pairs)
    parts = tuple(f"layers.1.self_attn.{name}_proj.weight" for name in "qkv")
    assert ("split", ("h.1.attn.qkv.weight",), parts, 0) in [
        (f.kind, f.sources, f.targets, f.dim) for f in proposal.fusions
    ]


def test_transposes_are_marked_and_can_be_forbidden():
    source = blocks("layers", {"fc1.weight": (8, 32), "fc1.bias": (32,), "fc2.weight": (32, 8), "fc2.bias": (8,)})
    target = blocks("layers", {"fc1.weight": (32, 8), "fc1.bias": (32,), "fc2.weight": (8, 32), "fc2.bias": (8,)})
    proposal = match(listing(source), listing(target))
    assert mapping(proposal) == {key: key for key in source}
    assert proposal.pairs["layers.0.fc1.weight"].transform is Transform.TRANSPOSE
    assert proposal.pairs["layers.0.fc1.bias"].transform is Transform.NONE
    strict = match(listing(source), listing(target), options=MatchOptions(allow_transforms=False))
    assert all(source[key] == target[pair.target] for key, pair in strict.pairs.items())


def test_one_fact_moves_the_role_in_all_layers():
    source = blocks("layers", {"w1.weight": (32, 8), "w3.weight": (32, 8), "norm.weight": (8,)})
    target = blocks("blocks", {"a.weight": (32, 8), "b.weight": (32, 8), "ln.weight": (8,)})
    fact = {"layers.1.w1.weight": "blocks.1.b.weight"}
    proposal = match(listing(source), listing(target), facts=Facts(pairs=fact))
    assert mapping(proposal)["layers.3.w1.weight"] == "blocks.3.b.weight"
    assert mapping(proposal)["layers.3.w3.weight"] == "blocks.3.a.weight"
    assert proposal.pairs["layers.1.w1.weight"].confidence == 1.0


def test_facts_stand_even_against_shapes_and_refused_or_ignored_keys_stay_out():
    source, target = listing({"a.weight": (4, 4), "b.weight": (3,)}), listing({"a.weight": (4, 4), "c.weight": (5,)})
    assert mapping(match(source, target, facts=Facts(pairs={"b.weight": "a.weight"}))) == {"b.weight": "a.weight"}
    assert mapping(match(source, target, facts=Facts(refused=frozenset({("a.weight", "a.weight")})))) == {}
    assert mapping(match(source, target, facts=Facts(ignored_sources=frozenset({"a.weight"})))) == {}
    assert mapping(match(source, target, facts=Facts(ignored_targets=frozenset({"a.weight"})))) == {}


def test_rules_stand_for_exactly_the_pairs_and_padded_numbers_come_back():
    source = listing({f"l.{i:02d}.fc{{x}}.weight": (4, 4 + i) for i in range(3)})
    target = listing({f"m.{i}.out.weight": (4, 4 + i) for i in range(3)})
    proposal = match(source, target)
    assert len(proposal.pairs) == 3
    assert dict(pair for rule in proposal.rules for pair in rule.pairs()) == mapping(proposal)
    large = match(*listings(case("tv_resnet50__hf")))
    assert dict(pair for rule in large.rules for pair in rule.pairs()) == mapping(large)
    assert len(large.rules) < 40


def test_candidates_begin_with_the_proposed_one_and_say_why():
    proposal = match(listing(blocks("layers", ATTENTION)), listing(blocks("blocks", OTHER_NAMES)))
    first, second, *_ = proposal.candidates("layers.2.q.weight")
    assert first.target == mapping(proposal)["layers.2.q.weight"] == "blocks.2.self_attn.q_proj.weight"
    assert first.confidence == proposal.pairs["layers.2.q.weight"].confidence > second.confidence
    assert first.evidence
    assert any(reason.weight < 0 for reason in second.evidence)
    with pytest.raises(KeyError):
        proposal.candidates("nothing")


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ({}, {}, 0),
        ({"a.weight": (2,)}, {}, 0),
        ({"s": (), "z": (0,), "weight": (1,)}, {"s": (), "z": (0,), "weight": (1,)}, 3),
        ({"a..b": (2,), ".": (3,), "{0}": (4,)}, {"a..b": (2,), ".": (3,), "{0}": (4,)}, 3),
        (
            {".".join(["a"] * 200 + [f"{i}.w"]): (2, i + 1) for i in range(3)},
            {f"{i}.w": (2, i + 1) for i in range(3)},
            3,
        ),
    ],
)
def test_odd_listings(source, target, found):
    assert len(match(listing(source), listing(target)).pairs) == found


def test_a_crowd_without_structure_is_ambiguous_and_one_with_equal_paths_is_not():
    source = {f"{chr(97 + i % 26)}{i}x": (4, 4) for i in range(2000)}
    target = {f"{chr(98 + i % 24)}{i}y": (4, 4) for i in range(2000)}
    proposal = match(listing(source), listing(target))
    assert not proposal.pairs
    assert len(proposal.ambiguous) == 2000
    assert mapping(match(listing(source), listing(source))) == {key: key for key in source}


def test_non_ascii_digits_are_no_indices():
    source = {f"l.\u0663{i}\u00b2.weight": (4, i + 1) for i in range(3)}
    assert mapping(match(listing(source), listing(source))) == {key: key for key in source}


def test_cancelling_and_progress():
    stages: list[float] = []
    some = listing(blocks("layers", ATTENTION))
    match(some, some, progress=lambda _stage, share: stages.append(share))
    assert stages == sorted(stages)
    assert stages[-1] == 1.0
    with pytest.raises(Cancelled):
        match(some, some, cancelled=lambda: True)


def test_the_same_in_every_process():
    code = (
        "from tests.core.matching.helpers import case;from benchmarks.cases import listings;"
        "from wmtui.core.matching import match;p=match(*listings(case('ms_swin_tiny__hf')));"
        "print([(k,v.target,round(v.confidence,12)) for k,v in p.pairs.items()],p.ambiguous)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_square_table_of_positions_stays_where_square_projections_turn():
    layers = {
        "ln_1.weight": (64,),
        "attn.c_attn.weight": (64, 192),
        "attn.c_attn.bias": (192,),
        "attn.c_proj.weight": (64, 64),
        "attn.c_proj.bias": (64,),
        "mlp.c_fc.weight": (64, 256),
        "mlp.c_fc.bias": (256,),
        "mlp.c_proj.weight": (256, 64),
        "mlp.c_proj.bias": (64,),
    }
    tables = {"transformer.wte.weight": (997, 64), "transformer.wpe.weight": (64, 64)}
    source = tables | blocks("transformer.h", layers)
    target = tables | blocks("transformer.h", {key: shape[::-1] for key, shape in layers.items()})
    pairs = match(listing(source), listing(target)).pairs
    assert {key: pair.target for key, pair in pairs.items()} == {key: key for key in source}
    turned = {key for key, pair in pairs.items() if pair.transform is Transform.TRANSPOSE}
    assert turned == {key for key in source if key.startswith("transformer.h") and len(source[key]) == 2}


@pytest.mark.parametrize(("tolerance", "paired"), [(0.0, ["0.bias"]), (0.05, ["0.weight", "0.bias"])])
def test_what_is_left_of_a_module_pairs_by_its_very_name(tolerance, paired):
    source, target = {"0.weight": (50, 100), "0.bias": (50,)}, {"0.weight": (50, 102), "0.bias": (50,)}
    proposal = match(listing(source), listing(target), options=MatchOptions(shape_tolerance=tolerance))
    assert mapping(proposal) == {key: key for key in paired}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_norm_follows_the_convolution_beside_it(reverse):
    """The shapes tell the convolutions apart, the numbers of their norms do not agree with the others' order."""
    source = blocks(
        "layers",
        {"conv_pw.weight": (48, 16, 1, 1), "bn1.weight": (48,), "conv_dw.weight": (48, 1, 3, 3), "bn2.weight": (48,)},
    )
    modules = {
        "conv1.bn.weight": (48,),
        "conv1.conv.weight": (48, 1, 3, 3),
        "exp_conv.bn.weight": (48,),
        "exp_conv.conv.weight": (48, 16, 1, 1),
    }
    target = blocks("stage", modules)
    found = mapping(match(listing(target), listing(source)) if reverse else match(listing(source), listing(target)))
    expected = {}
    for i in range(4):
        expected[f"layers.{i}.conv_pw.weight"] = f"stage.{i}.exp_conv.conv.weight"
        expected[f"layers.{i}.bn1.weight"] = f"stage.{i}.exp_conv.bn.weight"
        expected[f"layers.{i}.conv_dw.weight"] = f"stage.{i}.conv1.conv.weight"
        expected[f"layers.{i}.bn2.weight"] = f"stage.{i}.conv1.bn.weight"
    assert found == ({b: a for a, b in expected.items()} if reverse else expected)


def test_a_key_that_leaves_its_group_is_less_sure_and_says_so():
    source = blocks("layers", {"attn.weight": (8, 8), "scale": (8,)}, 6) | {"out.weight": (16, 8)}
    target = blocks("blocks", {"mixer.weight": (8, 8), "scale": (8,)}, 6) | {"head.weight": (16, 8)}
    moved = {("auxiliary.weight" if key == "blocks.3.mixer.weight" else key): shape for key, shape in target.items()}
    proposal = match(listing(source), listing(moved))
    stray = proposal.pairs["layers.3.attn.weight"]
    assert stray.target == "auxiliary.weight"
    assert stray.confidence < 0.9 <= proposal.pairs["layers.2.attn.weight"].confidence
    reasons = [reason.text for reason in proposal.candidates("layers.3.attn.weight")[0].evidence]
    assert "most keys of its group go elsewhere" in reasons


def test_no_rival_is_surer_than_the_pair_that_is_proposed():
    proposal = match(*listings(case("fb_dit_xl2_256__diffusers")))
    weakest = min(proposal.pairs.values(), key=lambda pair: pair.confidence)
    first, *others = proposal.candidates(weakest.source)
    assert (first.target, first.confidence) == (weakest.target, weakest.confidence)
    assert weakest.confidence < 0.3
    assert others
    assert all(other.confidence <= first.confidence for other in others)


def test_vectors_with_and_without_a_bias_compete_among_their_own_kind():
    """The bare scales are declared first in the source, each behind its module in the target."""
    norm_1, norm_2, before, behind = (
        {f"{name}.weight": (8,), f"{name}.bias": (8,)} for name in ("norm1", "norm2", "before", "behind")
    )
    factors: dict[str, tuple[int, ...]] = {"factor_1": (8,), "factor_2": (8,)}
    source = blocks("layers", {**factors, **norm_1, "mixer.weight": (8, 8), **norm_2, "inner.weight": (32, 8)})
    scaled = {"mixer.weight": (8, 8), "scaling_a.weight": (8,), **behind, "inner.weight": (32, 8)}
    target = blocks("stage", {**before, **scaled, "scaling_b.weight": (8,)})
    found = mapping(match(listing(source), listing(target)))
    assert found["layers.2.factor_1"] == "stage.2.scaling_a.weight"
    assert found["layers.2.factor_2"] == "stage.2.scaling_b.weight"
    assert found["layers.2.norm1.weight"] == "stage.2.before.weight"


def test_a_bias_that_is_kept_beside_its_weight_belongs_to_the_module_of_the_weight():
    source: dict[str, tuple[int, ...]] = {}
    expected: dict[str, str] = {}
    for k in range(3):
        source |= {f"body.{k}.conv1.0.weight": (8, 8, 3, 3), f"body.{k}.conv1.1.bias": (8,)}
        source |= {f"body.{k}.conv2.weight": (8, 8, 3, 3), f"body.{k}.conv2.activation.bias": (8,)}
        source |= {f"body.{k}.skip.weight": (8, 8)}
        for part in ("conv1.0.weight", "conv1.1.bias", "conv2.weight", "conv2.activation.bias", "skip.weight"):
            module, *_, leaf = part.split(".")
            expected[f"body.{k}.{part}"] = f"body.{k}.{module}.{leaf}"
    proposal = match(listing(source), listing({name: source[key] for key, name in expected.items()}))
    assert mapping(proposal) == expected
