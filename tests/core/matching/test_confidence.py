"""What a pair's confidence is spared, and what it is not."""

from __future__ import annotations

from tests.core.matching.helpers import listing
from wmtui.core.matching import match


def test_what_all_norms_of_a_listing_lack_says_nothing_against_one_pair():
    source: dict[str, tuple[int, ...]] = {}
    target: dict[str, tuple[int, ...]] = {}
    for k in range(3):
        norm = dict.fromkeys(("beta", "moving_mean", "moving_variance"), (8,))
        source |= {f"Conv_{k}/weights": (3, 3, 8, 8)} | {f"Conv_{k}/BatchNorm/{n}": shape for n, shape in norm.items()}
        norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (8,))
        target |= {f"convs.{k}.conv.weight": (8, 8, 3, 3)} | {f"convs.{k}.bn.{n}": shape for n, shape in norm.items()}
    pairs = match(listing(source), listing(target)).pairs
    assert all(pairs[f"Conv_{k}/BatchNorm/beta"].target == f"convs.{k}.bn.bias" for k in range(3))
    assert all(pairs[f"Conv_{k}/BatchNorm/beta"].confidence >= 0.9 for k in range(3))
    source["Conv_1/BatchNorm/gamma"] = (8,)
    pairs = match(listing(source), listing(target)).pairs
    assert pairs["Conv_1/BatchNorm/beta"].confidence >= 0.9
    assert all(pairs[f"Conv_{k}/BatchNorm/beta"].confidence < 0.9 for k in (0, 2))
