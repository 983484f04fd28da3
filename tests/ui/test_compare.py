"""Two files on one screen, by its keys; and both as plain text."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.ui.inspected import HOSTILE, Values, hostile, screen_lines, settle, spec, transformer
from tests.ui.test_inspect import LARGE, SMALL, shows
from wmtui.core.comparison import Comparison, compare_values
from wmtui.core.listing import Listing
from wmtui.core.side import Side, SideSpec
from wmtui.core.tensor_stats import ScanResult
from wmtui.ui.inspect.compare import ACTIONS, CompareApp
from wmtui.ui.inspect.plain import render_comparison, render_plain, render_scan
from wmtui.ui.terminal import Terminal
from wmtui.ui.text import safe


def changed() -> Side:
    """The transformer with a larger vocabulary, other norms, halves for keys and one more head."""
    tensors = []
    for old in transformer().listing:
        if old.key == "embed.weight":
            tensors.append(spec(old.key, 1010, 64))
        elif "norm" in old.key:
            tensors.append(spec(old.key.replace("norm", "ln"), *old.shape))
        elif old.key == "layers.3.attn.key.weight":
            tensors.append(spec(old.key, *old.shape, dtype="float16"))
        else:
            tensors.append(old)
    return Side(SideSpec("new.pt"), Listing("new.pt", tensors), "safetensors", 700_000)


def app_of(describe=None, **options):
    return CompareApp(transformer(), changed(), describe, terminal=Terminal(), **options)


async def test_differences_are_told_by_group():
    async with app_of().run_test(size=SMALL) as pilot:
        shows(
            screen_lines(pilot),
            "small.pt ↔ new.pt",
            "here 14 tensors",
            "[all 18] only here 4  only there 4  shape 1  dtype 1  same 8",
            "7 groups  18 keys",
            "1000x64 -> 1010x64",
            "here 1000x64 float32, there 1010x64 float32",
            "float32 -> float16",
        )
        await pilot.press("f")
        shows(screen_lines(pilot), "[only here 4]", "1 of 7 groups  4 of 18 keys", "< ▸ layers.{0-3}.norm.weight")
        await pilot.press("F", "F")
        shows(screen_lines(pilot), "[same 8]", "layers.{0-2}.attn.key.weight")
        await pilot.press("c")
        shows(screen_lines(pilot), "one side has no values")
        await pilot.press("escape", "slash", *"lnw", "enter")
        shows(screen_lines(pilot), "2 of 7 groups", "> ▸ layers.{0-3}.ln.weight")
        await pilot.press("enter", "j", "o", "o", "E", "y")
        shows(screen_lines(pilot), "copied: layers.")


async def test_values_are_compared_when_asked_for():
    values = Values(lambda key: None if key == "head.weight" else "1" not in key)
    async with app_of(values).run_test(size=LARGE) as pilot:
        await pilot.press("j", "j")
        shows(screen_lines(pilot), "c compares the values")
        await pilot.press("c")
        lines = await settle(pilot)
        shows(lines, "2 tensors of 8 with other values; 1 could not be read", "values 2  same 1  equal 5")
        shows(lines, "! ▸ layers.{0-3}.attn.query.weight", "1/4", "1/3")
        await pilot.press("question_mark")
        shows(screen_lines(pilot), *(action.title for action in ACTIONS))
        await pilot.press("q", "q")
    assert pilot.app.return_code == 0


async def test_equal_files_are_said_to_be_equal():
    app = CompareApp(transformer(), transformer(), Values(), values=True, terminal=Terminal())
    async with app.run_test(size=SMALL) as pilot:
        shows(await settle(pilot), "0 tensors of 14 with other values", "[all 14] equal 14")


@pytest.mark.parametrize("size", [(80, 24), (24, 8)])
async def test_hostile_names_harm_no_comparison(size):
    app = CompareApp(hostile(), changed(), Values(), terminal=Terminal())
    async with app.run_test(size=size) as pilot:
        for keys in (["f"], ["f"], ["f", "E"], ["escape", "G"], ["c"], ["y"]):
            await pilot.press(*keys)
            for line in await settle(pilot):
                assert line.isprintable()
                assert cell_len(line) == size[0]


def test_an_inspection_as_text_has_whole_keys():
    text = render_plain(transformer())
    lines = text.splitlines()
    assert lines[0] == "small.pt: torch zip checkpoint, 600 KB"
    assert lines[1] == "14 tensors  97.0 K elements  388 KB  float32 +1  in model (1 of 2)"
    assert "also in the file: ema, 14 tensors (--weights-key)" in lines
    assert "note: a note" in lines
    assert "layers.{0-3}.attn.query.weight  64x64    float32  65.5 KB        4" in lines
    assert lines[-9:] == [
        "tied:", "  embed.weight = head.weight", "", "metadata:", "  format: pt", "", "contents:", "  epoch: 3",
        "  optimizer: dict of 2 (lr, betas and 2 more)",
    ]  # fmt: skip


def test_hostile_names_as_text():
    both = Comparison(hostile().listing, changed().listing)
    scan = ScanResult(1, 2, dict.fromkeys(HOSTILE, (1, 2)), dict.fromkeys(HOSTILE, "\x1b"))
    for text in (render_plain(hostile()), render_comparison(both), render_scan(scan)):
        assert all(line.isprintable() for line in text.split("\n"))
    assert all(safe(name) in render_plain(hostile()) for name in HOSTILE)


def test_an_empty_file_as_text():
    side = Side(SideSpec("x"), Listing("empty", []), "listing")
    assert render_plain(side) == "empty: listing\n0 tensors  0 elements  0 bytes\n"


def test_a_comparison_as_text():
    comparison = Comparison(transformer().listing, changed().listing)
    for place, equal in compare_values(comparison, lambda key, _: "1" not in key, lambda _: None, lambda: False):
        comparison.learn(place, equal)
    text = render_comparison(comparison)
    assert "only here: 4 tensors\n  key                       shape  dtype    tensors\n" in text
    assert "  layers.{0-3}.norm.weight  64     float16        4\n" in text
    assert "  embed.weight  1000x64 -> 1010x64  float32\n" in text
    assert "  layers.3.attn.key.weight  64x64  float32 -> float16\n" in text
    assert "other values: 2 tensors\n" in text
    assert "equal values: 6 tensors\n" in text
    assert text.endswith("\nthey differ\n")
    assert render_comparison(Comparison(Listing("a", []), Listing("b", []))).endswith("nothing differs\n")


def test_a_scan_as_text():
    scan = ScanResult(14, 600_000, {"a": (3, 0)}, {"b": "it is quantized"})
    assert render_scan(scan) == (
        "checked 14 tensors, 600 KB\n  a: 3 NaN, 0 infinite\n  b: not read, it is quantized\n"
        "1 tensor with NaN or infinity\n"
    )
    assert render_scan(ScanResult(1, 0)).endswith("no NaN and no infinity\n")
