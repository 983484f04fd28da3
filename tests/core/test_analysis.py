"""The analysis in the documented layout."""

from __future__ import annotations

import pytest

from wmtui.core.analysis import Line, SideSummary, analysis_lines
from wmtui.core.printable import encodable, printable, shortened

DOCUMENTED = """\
================================================================================
Weight Mapping Analysis
================================================================================

Source model: OldModel
  Total parameters: 8

Target model: NewModel
  Total parameters: 8

Matching results:
  Matched: 8
  Coverage: 100.0%

----------------------------Top suggested mappings:------------------------------
Source                                   → Target                        Score
--------------------------------------------------------------------------------
classifier.0.weight                      → head.0.weight                 0.780
classifier.2.weight                      → head.2.weight                 0.780
classifier.0.bias                        → head.0.bias                   0.773
backbone.0.weight                        → feature_extractor.0.weight    0.759
  ... and 4 more matches
================================================================================"""

PAIRS = [
    Line("backbone.0.weight", "feature_extractor.0.weight", 0.7591),
    Line("classifier.0.weight", "head.0.weight", 0.78),
    Line("classifier.2.weight", "head.2.weight", 0.78),
    Line("classifier.0.bias", "head.0.bias", 0.7734),
    *[Line(f"backbone.{n}.bias", f"feature_extractor.{n}.bias", 0.7) for n in range(4)],
]


def text(source: SideSummary, target: SideSummary, pairs: list[Line], **options: object) -> str:
    return "\n".join(analysis_lines(source, target, pairs, **options))  # type: ignore[arg-type]


def test_the_documented_example_to_the_letter():
    assert text(SideSummary("OldModel", 8, []), SideSummary("NewModel", 8, []), PAIRS, top_n=4) == DOCUMENTED


def test_unmatched_keys_are_listed_with_shapes_and_the_rest_is_counted():
    source = SideSummary("a", 12, [(f"k.{n}", (n, 3)) for n in range(12)])
    shown = text(source, SideSummary("b", 1, [("head", ())]), [])
    assert "Unmatched source parameters:" in shown
    assert any(line.split() == ["k.3", "[3,", "3]"] for line in shown.splitlines())
    assert "k.10" not in shown
    assert "  ... and 2 more" in shown
    assert any(line.split() == ["head", "[]"] for line in shown.splitlines())
    assert "Unmatched" not in text(source, SideSummary("b", 1, [("head", ())]), [], show_unmatched=False)


def test_without_pairs_there_is_no_table_and_no_division_by_zero():
    shown = text(SideSummary("a", 0, []), SideSummary("b", 0, []), [])
    assert "  Coverage: 0.0%" in shown
    assert "Score" not in shown


@pytest.mark.parametrize("key", ["k" * 5000, "a\x1b[31mb\x07", "a\u202eb", "a\nb", "\ud800", "a[/b].w"])
def test_hostile_names_stay_on_their_line_and_in_their_column(key):
    shown = text(SideSummary(key, 1, [(key, (1,))]), SideSummary("b", 1, []), [Line(key, key, 0.5)])
    assert len(shown.splitlines()) == len(
        text(SideSummary("a", 1, [("a", (1,))]), SideSummary("b", 1, []), [Line("a", "a", 0.5)]).splitlines()
    )
    table = [line for line in shown.splitlines() if "→" in line]
    assert all(line.index("→") == 41 and len(line) == 78 for line in table)
    assert all(c.isprintable() for line in shown.splitlines() for c in line)
    shown.encode()


def test_both_ends_of_a_long_name_stay():
    cut = shortened("encoder.layers.11.self_attn.q_proj.weight", 24)
    assert len(cut) == 24
    assert cut.startswith("encoder")
    assert cut.endswith("q_proj.weight")


def test_printable_text_is_left_alone():
    assert printable("größe.権.weight") == "größe.権.weight"


def test_what_an_encoding_lacks_is_replaced_in_the_same_width():
    assert encodable("a → b…c", "ascii") == "a > b~c"
    assert encodable("größe", "ascii") == "gr\\xf6\\xdfe"
    assert encodable("größe →", "utf-8") == "größe →"
    assert encodable("größe", None) == "größe"
