"""Listings as JSON, both ways."""

from __future__ import annotations

import json

import pytest
import torch

from tests.files.reading import side
from wmtui.core.listing import Listing, TensorSpec
from wmtui.errors import FormatError, KeyMissingError
from wmtui.files.listing_json import listing_to_json, read_listing

LISTING = Listing(
    "net.pt",
    [
        TensorSpec("a.weight", (2, 3), "float32", "parameter", 24),
        TensorSpec("b", (), "int64", "buffer", 8),
        TensorSpec("c", (2, 3), "float32", None, 24, shares="a.weight"),
        TensorSpec("odd \u202e\x1b[/]\ud800", (0, 3), "bfloat16", None, 0, type_name="DTensor"),
        TensorSpec("custom", (3,), "my_type", None, None),
    ],
)


def test_a_listing_comes_back_as_it_was(tmp_path):
    path = tmp_path / "l.json"
    path.write_text(listing_to_json(LISTING))
    read = read_listing(path)
    assert (read.name, read.tensors) == (LISTING.name, LISTING.tensors)
    assert read.digest == LISTING.digest


def test_it_is_the_documented_format_one_tensor_a_line():
    lines = listing_to_json(LISTING).splitlines()
    assert len(lines) == len(LISTING) + 2
    parsed = json.loads("\n".join(lines))
    assert (parsed["format"], parsed["name"]) == ("wmtui-listing/1", "net.pt")
    assert parsed["tensors"][0] == {"key": "a.weight", "shape": [2, 3], "dtype": "float32", "kind": "parameter"}
    assert parsed["tensors"][2]["shares"] == "a.weight"
    assert "shares" not in parsed["tensors"][1]
    assert json.loads(listing_to_json(Listing("none", [])))["tensors"] == []


def test_wherever_a_checkpoint_is_taken_a_listing_is_too(tmp_path):
    torch.save({"w": torch.zeros(2, 2)}, tmp_path / "w.pt")
    path = tmp_path / "l.json"
    path.write_text(listing_to_json(side(tmp_path / "w.pt").listing))
    assert side(path).listing.tensors == side(tmp_path / "w.pt").listing.tensors
    assert side(path).format == "listing"
    with pytest.raises(KeyMissingError):
        side(path, weights_key="model")


def listing(*tensors: object, **more: object) -> str:
    return json.dumps({"format": "wmtui-listing/1", "name": "x", "tensors": list(tensors)} | more)


A = {"key": "a", "shape": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (listing(A, A), "'a' stands twice"),
        (listing(), "no tensors"),
        (listing(A, format="wmtui-listing/9"), "unknown format"),
        (listing({"shape": [1]}), "no listing"),
        (listing({"key": "a", "shape": [-1]}), "negative or too large"),
        (listing({"key": "a", "shape": [1 << 40, 1 << 40]}), "negative or too large"),
        (listing({"key": "a", "shape": [1.5]}), "no listing"),
        (listing({"key": "a", "shape": "x"}), "no listing"),
        (listing({"key": 1}), "no listing"),
        (listing({"key": "a", "kind": "weight"}), "no listing"),
        (listing({"key": "a", "shares": "b"}), "does not stand before it"),
        (listing({"key": "a", "shares": "a"}), "does not stand before it"),
        ('{"format": "wmtui-report/1", "mappings": []}', "no listing"),
        ("{", "no listing"),
        ("[" * 100_000, "no listing"),
        ('{"a": "b"}', "no listing"),
        ("[]", "no listing"),
    ],
)
def test_a_broken_listing_is_refused_with_a_remedy(tmp_path, text, message):
    path = tmp_path / "l.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        side(path)
    assert "wmtui inspect" in caught.value.remedy
