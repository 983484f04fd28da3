"""Names made harmless and cut to cells; numbers and bars."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from wmtui.ui.text import (
    bar,
    bytes_text,
    clip,
    clip_start,
    count_text,
    fit,
    number_text,
    safe,
    shape_text,
    shorten,
    spark,
    to_ascii,
    width,
)

HOSTILE = st.text(
    st.one_of(
        st.characters(codec=None, categories=None),
        st.sampled_from("\x1b\x00\x07\x9b\u202e\u2066\u200b\u200d\ufeff\u0301\ud800\udfff模🙂[]/.{}0123456789ا"),
    ),
    max_size=80,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("encoder.layer.0.weight", "encoder.layer.0.weight"),
        ("a[/b].w", "a[/b].w"),
        ("[red]x", "[red]x"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("e\u0301", r"e\u0301"),
        ("é", "é"),
        ("\ud800x", r"\ud800x"),
        ("שלום", r"\u05e9\u05dc\u05d5\u05dd"),
        ("层.0.权重", "层.0.权重"),
        ("a\xa0b\u3000", r"a\xa0b\u3000"),
        ("\U000e0041", r"\U000e0041"),
        ("", ""),
    ],
)
def test_names_are_written_out_where_they_could_harm(name, shown):
    assert safe(name) == shown


@given(HOSTILE)
@example("\x1b]52;c;aGk=\x07")
@example("\u0604\U00011100")
def test_safe_text_is_printable_and_as_wide_as_it_says(name):
    shown = safe(name)
    assert shown.isprintable()
    assert width(shown) == cell_len(shown) == sum(map(cell_len, shown))
    assert not any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in shown)
    assert safe(shown) == shown


@given(HOSTILE, st.integers(-3, 60))
def test_shortened_names_fit_and_padded_ones_fill(name, cells):
    assert width(shorten(name, cells)) <= max(cells, 0)
    assert shorten(name, cells).isprintable()
    assert width(fit(name, max(cells, 0))) == max(cells, 0)
    assert width(fit(name, max(cells, 0), "right")) == max(cells, 0)
    assert width(clip(name, cells)) <= max(cells, 0)
    assert width(clip_start(name, cells)) <= max(cells, 0)


@settings(max_examples=200)
@given(st.lists(st.text("abcdefgh_", min_size=1, max_size=12) | st.integers(0, 99).map(str), min_size=1, max_size=9))
def test_a_name_that_fits_is_left_alone(segments):
    name = ".".join(segments)
    assert shorten(name, len(name)) == name


KEY = "model.encoder.layers.12.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("name", "cells", "shown"),
    [
        (KEY, 46, "model.encoder.layer…12.self_attn.q_proj.weight"),
        (KEY, 40, "model.encoder…12.self_attn.q_proj.weight"),
        (KEY, 32, "model…12.self_attn.q_proj.weight"),
        (KEY, 24, "m…12…_attn.q_proj.weight"),
        (KEY, 16, "m…12…proj.weight"),
        (KEY, 8, "…weight"),
        (KEY, 1, "…"),
        (KEY, 0, ""),
        ("model.layers.{0-31}.moe.experts.{0-7}.w1.weight", 40, "model.layers.{0-31}…{0-7}.w1.weight"),
        ("model.layers.{0-31}.moe.experts.{0-7}.w1.weight", 24, "m…{0-31}…{0-7}.w1.weight"),
        ("model.layers.{0-47}.input_layernorm.weight", 30, "m…{0-47}…nput_layernorm.weight"),
        ("a" * 50, 12, "aaa…aaaaaaaa"),
    ],
)
def test_the_telling_part_stays(name, cells, shown):
    assert shorten(name, cells) == shown


@given(st.integers(0, 999), st.integers(22, 47))
def test_the_number_of_the_layer_stays_visible(number, cells):
    assert str(number) in shorten(f"model.encoder.layers.{number}.self_attn.q_proj.weight", cells)


def test_prose_is_cut_at_its_end_and_typed_text_at_its_start():
    assert (clip("abcdef", 4), clip_start("abcdef", 4), clip("ab", 4), clip_start("模型x", 4)) == (
        "abc…",
        "…def",
        "ab",
        "…型x",
    )


def test_very_long_names_are_cut_too():
    assert len(shorten("x" * 5000, 40)) == 40
    assert len(shorten(".".join(["block"] * 1000), 40)) <= 40


@given(HOSTILE)
def test_ascii_text_takes_the_same_cells(name):
    shown = safe(name)
    assert to_ascii(shown).isascii()
    assert width(to_ascii(shown)) == width(shown)


def test_glyphs_have_likes_in_ascii():
    assert to_ascii("│─╭╮▸▾█·…✓→ ▁▂▃▄▅▆▇█") == "|-++>v#.~+> _.:-=+*#"
    assert to_ascii("模é") == "???"


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (None, "?"), (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 KB"), (999_949, "1.0 MB"),
        (1_234_567_890, "1.2 GB"), (99_940_000, "99.9 MB"), (99_960_000, "100 MB"), (5 * 10**18, "5000 PB"),
    ],
)  # fmt: skip
def test_bytes(nbytes, shown):
    assert bytes_text(nbytes) == shown


def test_numbers():
    assert [count_text(n) for n in (0, 999, 1000, 7_241_000_000, 999_960)] == ["0", "999", "1.0 K", "7.2 B", "1.0 M"]
    assert [number_text(v) for v in (None, 0.0, 1 / 3, 1e-20, float("nan"), float("-inf"))] == [
        "-", "0", "0.3333", "1e-20", "nan", "-inf",
    ]  # fmt: skip
    assert (shape_text(()), shape_text((768,)), shape_text((0, 3))) == ("scalar", "768", "0x3")


@given(st.floats() | st.floats(0, 1), st.integers(0, 40))
def test_a_bar_has_its_length(value, cells):
    assert len(bar(value, cells)) == cells


def test_bars_and_histograms():
    assert bar(0.74, 4) == "███·"
    assert (bar(float("nan"), 3), bar(9, 3), bar(-1, 3)) == ("···", "███", "···")
    assert spark([0, 1, 50, 100]) == " ▂▅█"
    assert (spark([]), spark([0, 0])) == ("", "  ")
    assert spark([1, 1, 2, 2], cells=2) == "▅█"
    assert len(spark([1] * 64, cells=10)) == 10


def test_spare_segments_go_first_and_as_one():
    name = "model.encoder.layers.{0-5}.self_attn.q_proj.weight"
    assert shorten(name, 50, (0, 2)) == name
    assert shorten(name, 46, (0, 2)) == "…encoder.layers.{0-5}.self_attn.q_proj.weight"
    assert shorten(name, 40, (0, 2)) == "…encoder…{0-5}.self_attn.q_proj.weight"
    assert shorten(name, 36, (0, 1, 2)) == "…{0-5}.self_attn.q_proj.weight"
    for cells in range(1, 60):
        assert width(shorten(name, cells, (0, 2, 4))) <= cells
        assert "……" not in shorten(name, cells, (0, 2, 4))
