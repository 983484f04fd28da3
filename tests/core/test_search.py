"""Finding tensors by words, and rows of groups and keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtui.core.groups import group_listing
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.search import Finder, Query, TemplateFinder, natural
from wmtui.core.table import GroupTable, Order, TemplateTable

KEYS = [
    *(f"encoder.layers.{i}.attn.{name}.weight" for i in range(12) for name in ("query", "key")),
    "encoder.norm.weight",
    "Head.Weight",
]
TENSORS = [TensorSpec(key, (768, 768) if "attn" in key else (768,), "bfloat16", nbytes=2) for key in KEYS]
GROUPS, OF_KEY = group_listing(Listing("x", TENSORS))


def found(text: str) -> list[str]:
    by_group = TemplateFinder(TENSORS, GROUPS).find(text)
    return [KEYS[place] for place in sorted(place for places in by_group.values() for place in places)]


def test_all_words_must_occur():
    assert found("layers.1 key") == [f"encoder.layers.{i}.attn.key.weight" for i in (1, 10, 11)]
    assert found("HEAD weight") == ["Head.Weight"]
    assert found("") == KEYS
    assert found("   ") == KEYS
    assert found("nothing here zzz") == []


def test_shape_and_dtype_narrow():
    assert found("shape:768x768 query") == [key for key in KEYS if "query" in key]
    assert found("dtype:float32") == []
    assert found("dtype:bf16") == found("dtype:bf") == KEYS
    assert Finder([TensorSpec("a", dtype="float8_e4m3fn"), TensorSpec("b", dtype="uint8")]).find("dtype:fp8") == [0]
    assert found("dtype:bfloat shape:768 norm") == ["encoder.norm.weight"]


DTYPES = ("float32", "bfloat16", "float16", "int64", "uint8", "int8", "float8_e4m3fn", "complex64", "float64")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *((name, "float32") for name in ("f32", "F32", "fp32", "float32", "torch.float32", " f32")),
        *((name, "bfloat16") for name in ("bf", "bf16", "BF16", "bflo", "torch.bfloat16")),
        *((name, "float16") for name in ("f16", "fp16", "half", "torch.half", "torch.float16")),
        *((name, "int64") for name in ("i64", "I64", "long", "int64")),
        *((name, "int8") for name in ("i8", "I8", "int8")),
        *((name, "float8_e4m3fn") for name in ("fp8", "F8_E4M3", "e4m3", "float8")),
        *((name, "float64") for name in ("double", "f64")),
        *((name, "float32 float16 float8_e4m3fn float64") for name in ("f", "fp", "fl", "float", "torch.fl")),
        ("torch", " ".join(DTYPES)),
        ("", " ".join(DTYPES)),
    ],
)
def test_a_dtype_may_be_spelled_as_torch_safetensors_or_people_do_and_is_found_while_it_is_typed(typed, meant):
    tensors = [TensorSpec(dtype, dtype=dtype) for dtype in DTYPES]
    assert [DTYPES[place] for place in Finder(tensors).find(f"dtype:{typed}")] == meant.split()


def test_letters_in_their_order_are_enough_where_no_key_has_the_word():
    assert found("attnq") == [key for key in KEYS if "query" in key]
    assert found("l7atk") == ["encoder.layers.7.attn.key.weight"]
    assert Finder(TENSORS).find("attnq") == []
    assert found("qattn") == []
    assert found("hdwt") == ["Head.Weight"]
    assert found("ennow") == ["encoder.norm.weight"]
    assert found("elaqw") == [key for key in KEYS if "query" in key]


@given(st.lists(st.text(" abcdefghiklmnopqrstuwy.0123456789:shapedtyp[]*", max_size=8), max_size=6))
def test_typing_on_finds_what_typing_at_once_finds(texts):
    finder = Finder(TENSORS)
    for text in texts:
        for end in range(len(text) + 1):
            finder.find(text[:end])
        exact = Finder(TENSORS).find(text)
        assert finder.find(text) == exact
        assert not exact or found(text) == [KEYS[place] for place in exact]


def test_narrowing_knows_when_a_word_becomes_something_else():
    assert Query.parse("shape:7").narrows(Query.parse("shape:")) is True
    assert Query.parse("shape:").narrows(Query.parse("shape")) is False
    assert Query.parse("ab c").narrows(Query.parse("a"))
    assert not Query.parse("a").narrows(Query.parse("ab"))


def test_very_long_and_very_odd_keys_cost_no_time():
    tensors = [TensorSpec("a" * 5000 + "." + "b" * 5000), TensorSpec("\ud800\n"), TensorSpec("")]
    groups, _ = group_listing(Listing("x", tensors))
    assert TemplateFinder(tensors, groups).find("a" * 40 + "c") == {}
    assert TemplateFinder(tensors, groups).find("ab") == {0: [0]}


@pytest.mark.parametrize(
    ("first", "second"),
    [("layer.2", "layer.10"), ("a", "b"), ("A", "b"), ("x.9", "x.09y"), ("", "a"), ("a1b", "a1c"), ("a", "a.0")],
)
def test_numbers_sort_by_value(first, second):
    assert natural(first) < natural(second)


def test_numbers_of_any_length_sort():
    assert natural("a" + "9" * 5000) < natural("a1" + "0" * 5000)


def table() -> GroupTable:
    return TemplateTable(Listing("x", TENSORS), GROUPS, OF_KEY)


def names(rows: GroupTable) -> list[str]:
    return [KEYS[row] if row >= 0 else rows.groups[-1 - row].name for row in rows.rows]


QUERY, KEY = "encoder.layers.{0-11}.attn.query.weight", "encoder.layers.{0-11}.attn.key.weight"


def test_rows_are_groups_and_single_keys():
    rows = table()
    assert names(rows) == [QUERY, KEY, "encoder.norm.weight", "Head.Weight"]
    rows.toggle(1)
    assert names(rows)[2:14] == [f"encoder.layers.{i}.attn.key.weight" for i in range(12)]
    assert rows.row_of(1) == 2
    assert rows.row_of(0) == 0
    rows.expand_all(True)
    assert len(rows.rows) == 28
    rows.expand_all(False)
    assert len(rows.rows) == 4


def test_a_search_leaves_groups_with_what_it_found():
    rows = table()
    rows.search("layers.1. key")
    assert names(rows) == [KEY]
    assert list(rows.members(-2)) == [3]
    assert rows.shown_groups == 1
    assert rows.shown_places() == [3]
    assert rows.row_of(0) == -1
    rows.search("")
    assert not rows.filtered
    assert len(rows.members(-2)) == 12


@pytest.mark.parametrize("plain", [True, False])
def test_codes_choose_rows(plain):
    rows = table()
    rows = GroupTable(Listing("x", TENSORS), GROUPS, OF_KEY) if plain else rows
    rows.codes = bytearray(1 if "norm" in key or key.endswith("3.attn.key.weight") else 0 for key in KEYS)
    rows.choose(1)
    assert names(rows) == [KEY, "encoder.norm.weight"]
    rows.search("norm")
    assert names(rows) == ["encoder.norm.weight"]
    rows.choose(None)
    rows.search("")
    assert len(rows.rows) == 4


def test_rows_sort():
    rows = table()
    rows.sort(Order.NAME)
    assert names(rows) == [KEY, QUERY, "encoder.norm.weight", "Head.Weight"]
    rows.sort(Order.SIZE)
    assert names(rows) == [QUERY, KEY, "encoder.norm.weight", "Head.Weight"]
    rows.toggle(0)
    rows.sort(Order.DTYPE)
    rows.sort(Order.FILE)
    assert names(rows)[1:13] == [f"encoder.layers.{i}.attn.query.weight" for i in range(12)]
    rows.sort(Order.NAME)
    assert names(rows)[2:5] == [f"encoder.layers.{i}.attn.query.weight" for i in range(3)]


def test_groups_know_their_shape():
    listing = Listing("x", [TensorSpec("a.0", (1,)), TensorSpec("a.1", (1,))])
    rows = GroupTable(listing, *group_listing(listing, {"a.0": 0, "a.1": 0}))
    assert rows.group_shape(0) == (1,)
    listing = Listing("x", [TensorSpec("a.0", (1,)), TensorSpec("a.1", (2,))])
    rows = GroupTable(listing, *group_listing(listing, {"a.0": 0, "a.1": 0}))
    assert rows.group_shape(0) is None
