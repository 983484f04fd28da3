"""Totals, ties and outlines of what a file holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core.inspection import Total, inspection_table, totals_by_dtype, totals_by_module, whole
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.outline import Outline, contents_outline, left_out, module_outline
from wmtui.core.side import Content, Side, SideSpec


def listing(*tensors: TensorSpec) -> Listing:
    return Listing("x", tensors)


TIED = listing(
    TensorSpec("model.embed.weight", (10, 4), "float32", nbytes=160),
    TensorSpec("model.layers.0.w", (4, 4), "float32", nbytes=64),
    TensorSpec("model.layers.1.w", (4, 4), "float16", nbytes=32),
    TensorSpec("lm_head.weight", (10, 4), "float32", nbytes=160, shares="model.embed.weight"),
)


def test_tied_tensors_count_once():
    assert whole(TIED) == Total("x", 4, 72, 256)
    assert totals_by_dtype(TIED) == (Total("float32", 3, 56, 224), Total("float16", 1, 16, 32))
    assert totals_by_module(TIED) == (Total("model", 3, 72, 256), Total("lm_head", 1, 0, 0))


def test_totals_are_by_the_first_modules_that_differ():
    keys = ["net.model.encoder.w", "net.model.decoder.w", "net.model.decoder.b"]
    found = totals_by_module(listing(*(TensorSpec(key, (2,)) for key in keys)))
    assert [(total.name, total.tensors) for total in found] == [("net.model.decoder", 2), ("net.model.encoder", 1)]


@pytest.mark.parametrize("keys", [[], ["w"], ["a.b.c"], [".", ""], ["a", "a."]])
def test_few_and_odd_keys_have_totals(keys):
    found = totals_by_module(listing(*(TensorSpec(key, (2,)) for key in keys)))
    assert sum(total.tensors for total in found) == len(keys)
    assert whole(listing()) == Total("x", 0, 0, 0)


def test_unknown_sizes_count_as_none():
    assert whole(listing(TensorSpec("w", (3,)))) == Total("x", 1, 3, 0)


def test_tensors_of_different_dtypes_are_different_groups():
    table = inspection_table(TIED)
    assert [group.name for group in table.groups] == [
        "model.embed.weight", "model.layers.0.w", "model.layers.1.w", "lm_head.weight",
    ]  # fmt: skip


def rows(outline: Outline) -> list[str]:
    return ["  " * node.depth + node.name + ("/" if node.opens else "") for node in outline.rows]


def test_the_tree_opens_by_module():
    outline = module_outline(TIED, range(4))
    assert rows(outline) == ["model/", "lm_head.weight"]
    assert outline.toggle(0)
    assert rows(outline) == ["model/", "  embed.weight", "  layers/", "lm_head.weight"]
    outline.toggle(2)
    assert rows(outline)[2:5] == ["  layers/", "    0.w", "    1.w"]
    assert outline.parent(3) == 2
    assert outline.parent(0) == 0
    assert outline.toggle(0, False)
    assert rows(outline) == ["model/", "lm_head.weight"]
    assert not outline.toggle(0, False)
    assert not outline.toggle(1, True)


def test_wrappers_without_a_choice_are_one_row():
    tree = listing(*(TensorSpec(f"module._orig_mod.net.{name}.w") for name in ("b", "a", "10", "9")))
    assert rows(module_outline(tree, range(4)))[0] == "module._orig_mod.net/"
    assert rows(module_outline(tree, range(4), by_name=True))[1:] == ["  9.w", "  10.w", "  a.w", "  b.w"]
    assert rows(module_outline(tree, [1])) == ["module._orig_mod.net.a.w"]
    assert rows(module_outline(tree, [])) == []


def test_keys_that_are_also_modules_stay_apart():
    odd = listing(*(TensorSpec(key) for key in ("a", "a.", "a.b", "", ".", "..", ".a")))
    outline = module_outline(odd, range(7))
    place = 0
    while place < len(outline.rows):
        outline.toggle(place, True)
        place += 1
    leaves = [node.path for node in outline.rows if not node.opens]
    assert sorted(leaves) == sorted(odd.keys)


@given(st.sets(st.text("ab.0", max_size=7), max_size=12))
def test_every_key_is_in_the_tree_once(keys):
    tree = listing(*(TensorSpec(key) for key in sorted(keys)))
    outline = module_outline(tree, range(len(tree)))
    place = 0
    while place < len(outline.rows):
        outline.toggle(place, True)
        place += 1
    assert sorted(node.path for node in outline.rows if not node.opens) == sorted(keys)
    for node in outline.rows:
        assert all(tree.tensors[at].key.startswith(node.path) for at in node.places)


def test_contents_open_by_name():
    inner = Content("dict", "dict of 2", (("lr", Content("value", "0.1")), ("betas", Content("list", "list of 2"))), 5)
    contents = Content("dict", "dict of 2", (("epoch", Content("value", "3")), ("optimizer", inner)), 2)
    side = Side(SideSpec("x"), TIED, "x", metadata={"format": "pt"}, contents=contents, notes=("careful",))
    outline = contents_outline(side)
    assert rows(outline) == ["notes/", "  1", "metadata/", "  format", "epoch", "optimizer/"]
    outline.toggle(5)
    assert rows(outline)[5:] == ["optimizer/", "  lr", "  betas"]
    assert left_out(inner) == 3
    assert rows(contents_outline(Side(SideSpec("x"), TIED, "x"))) == []
