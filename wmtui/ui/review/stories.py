"""What the explain, details and help windows say, as lines of parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap

from rich.style import Style

from wmtui.core.fused import source_story, target_story
from wmtui.core.listing import TensorSpec
from wmtui.core.printable import plural
from wmtui.core.proposal import Candidate
from wmtui.core.review import Review
from wmtui.core.session import Status
from wmtui.core.tensor_stats import TensorStats
from wmtui.ui.actions import ACTIONS, Situation
from wmtui.ui.lines import Part
from wmtui.ui.review.bars import glyph_legend
from wmtui.ui.review.panes import percent
from wmtui.ui.text import bar, bytes_text, clip, count_text, fit, number_text, safe, shape_text, spark
from wmtui.ui.theme import Palette
from wmtui.ui.windows import key_lines

Line = Sequence[Part]


def explain(review: Review, lead: int, count: int, looks: Palette, cells: int) -> list[Line]:
    """Why the first candidate of a key stands first, and how the next one differs."""
    spec = review.source.tensors[lead]
    status = review.session.status(lead)
    lines: list[Line] = [
        [("Source  ", looks.muted), (safe(spec.key), looks.strong), (f"  {shape_text(spec.shape)}", looks.muted)],
        [(f"        {status}" + (f", speaks for {count} keys" if count > 1 else ""), looks.muted)],
    ]
    partner = review.session.partner(lead)
    found = review.candidates(lead, 3)
    proposed = review.session.proposal.pairs.get(spec.key)
    if partner >= 0 and (proposed is None or review.target.tensors[partner].key != proposed.target):
        lines += [[], [("You gave it  ", looks.accent), (safe(review.target.tensors[partner].key), None)]]
    fusion = review.fused.of_source(lead)
    if fusion is not None and partner < 0:
        lines += [[], *_told(source_story(fusion, spec.key), looks, cells)]
    if not found and fusion is not None and partner < 0:
        return lines
    if not found:
        return [*lines, [], [("No target is as large as this tensor, or all of them are taken.", None)]]
    for place, candidate in enumerate(found):
        title = ("Proposed" if place == 0 else "Runner-up" if place == 1 else "Third") + "  "
        if place == 0 and status is Status.AMBIGUOUS:
            title = "One of several that fit equally well  "
        lines += [[], [(title, looks.accent + looks.strong), (safe(candidate.target), looks.strong)]]
        lines += _candidate(candidate, looks)
    if len(found) > 1:
        lines += [[], *_difference(found[0], found[1], looks, cells)]
    return lines


def explain_free(review: Review, target: int, looks: Palette, cells: int) -> list[Line]:
    """What there is to say of a target that no source key has."""
    spec = review.target.tensors[target]
    lines: list[Line] = [
        [("Target  ", looks.muted), (safe(spec.key), looks.strong), (f"  {shape_text(spec.shape)}", looks.muted)],
        [(f"        {review.session.target_status(target)}", looks.muted)],
        [],
        [("No source key goes there.", None)],
    ]
    fusion = review.fused.of_target(target)
    if fusion is not None:
        return [*lines, [], *_told(target_story(fusion, spec.key), looks, cells)]
    alike = [place for place, other in enumerate(review.source.tensors) if other.numel == spec.numel]
    free = sum(review.session.partner(place) < 0 for place in alike)
    text = f"{plural(len(alike), 'source key is', 'source keys are')} as large, {free:,} without a target."
    if not alike:
        text = "No source key is as large: it keeps what the model gives it, and load_state_dict needs strict=False."
    return [*lines, *([(text, looks.muted)] for text in wrap(text, max(12, cells)))]


def _told(story: str, looks: Palette, cells: int) -> list[Line]:
    """The story of a fusion, and what it means for the mapping."""
    texts = wrap(safe(story) + ".", max(20, cells))
    rest = "A mapping renames one tensor to one other: fuse or split these before, or ignore them with i."
    return [*([(text, looks.warn)] for text in texts), *([(text, looks.muted)] for text in wrap(rest, max(20, cells)))]


def _candidate(candidate: Candidate, looks: Palette) -> list[Line]:
    score = candidate.score
    lines: list[Line] = [
        [
            (f"  confidence {percent(candidate.confidence)} {bar(candidate.confidence, 20)}", None),
            (f"   score {percent(score.total)}", None),
        ]
    ]
    for label, value in (("shape", score.shape), ("name", score.name), ("hierarchy", score.hierarchy)):
        lines.append([(f"  {label:10} {percent(value)} {bar(value, 20)}", looks.muted)])
    if candidate.transform != "none":
        lines.append([(f"  the tensor is changed: {candidate.transform}", looks.warn)])
    for evidence in sorted(candidate.evidence, key=lambda evidence: -abs(evidence.weight)):
        sign, style = ("+", looks.good) if evidence.weight >= 0 else ("-", looks.bad)
        lines.append([(f"  {sign} {safe(evidence.label):10} ", style), (safe(evidence.text), None)])
    return lines


def _difference(first: Candidate, second: Candidate, looks: Palette, cells: int) -> list[Line]:
    pairs = (
        ("shape", first.score.shape - second.score.shape),
        ("name", first.score.name - second.score.name),
        ("hierarchy", first.score.hierarchy - second.score.hierarchy),
    )
    ahead = [f"{label} by {percent(gap)}" for label, gap in pairs if gap >= 0.005]
    behind = [f"{label} by {percent(-gap)}" for label, gap in pairs if gap <= -0.005]
    texts = []
    if ahead:
        texts.append("the first is ahead in " + ", ".join(ahead))
    if behind:
        texts.append("the second is ahead in " + ", ".join(behind))
    labels = {evidence.label for evidence in first.evidence} - {evidence.label for evidence in second.evidence}
    if labels:
        texts.append("only the first has " + ", ".join(sorted(labels)))
    told, *more = wrap(safe("; ".join(texts) or "none that scores can tell"), max(12, cells - 12))
    return [[("Difference  ", looks.accent), (told, None)], *([(" " * 12 + text, None)] for text in more)]


def details(
    sides: Sequence[TensorSpec | None],
    stats: Sequence[TensorStats | None],
    equal: bool | None,
    loading: bool,
    looks: Palette,
    cells: int,
) -> list[Line]:
    """Source and target tensor side by side."""
    half = (cells - 14) // 2
    lines: list[Line] = [_row("", ("source", "target"), half, looks, looks.accent)]
    specs = [spec for spec in sides if spec is not None]

    def of_spec(label: str, values: Sequence[str]) -> None:
        if any(values):
            differ = len(specs) == 2 and values[0] != values[1] and label in ("shape", "dtype")
            lines.append(_row(label, values, half, looks, looks.warn if differ else None))

    of_spec("key", [spec.key if spec else "no partner" for spec in sides])
    of_spec("shape", [shape_text(spec.shape) if spec else "" for spec in sides])
    of_spec("elements", [count_text(spec.numel) if spec else "" for spec in sides])
    of_spec("dtype", [spec.dtype if spec else "" for spec in sides])
    of_spec("bytes", [bytes_text(spec.nbytes) if spec else "" for spec in sides])
    of_spec("kind", [spec.kind or "" if spec else "" for spec in sides])
    of_spec("class", [spec.type_name or "" if spec else "" for spec in sides])
    of_spec("tied to", [spec.shares or "" if spec else "" for spec in sides])
    of_spec("file", [spec.where or "" if spec else "" for spec in sides])
    lines.append([])
    if loading:
        return [*lines, [("reading the values …", looks.muted)]]
    if not any(stats):
        return [*lines, [("no values: neither side is a checkpoint with data", looks.muted)]]
    rows: tuple[tuple[str, Callable[[TensorStats], str]], ...] = (
        ("minimum", lambda s: number_text(s.minimum)),
        ("maximum", lambda s: number_text(s.maximum)),
        ("mean", lambda s: number_text(s.mean)),
        ("std", lambda s: number_text(s.std)),
        ("NaN", lambda s: str(s.nan)),
        ("infinite", lambda s: str(s.inf)),
        ("zeros", lambda s: count_text(s.zeros)),
        ("histogram", lambda s: spark(s.histogram, min(32, half))),
        ("first", lambda s: " ".join(s.first)),
    )
    for label, text in rows:
        bad = label in ("NaN", "infinite") and any(s is not None and (s.nan or s.inf) for s in stats)
        values = [text(s) if s is not None else "no values" for s in stats]
        lines.append(_row(label, values, half, looks, looks.bad if bad and values != ["0", "0"] else None))
    if equal is not None:
        lines += [[], [("equal by value" if equal else "not equal by value", looks.good if equal else looks.warn)]]
    return lines


def _row(label: str, values: Sequence[str], half: int, looks: Palette, style: Style | None) -> Line:
    shown = [fit(value, half) if label == "key" else clip(value, half).ljust(half) for value in values]
    return [(f"{label:10} ", looks.muted), (shown[0] + "  ", style), (shown[1], style)]


def help_lines(now: Situation, looks: Palette, cells: int) -> list[Line]:
    """The signs and the keys of the review."""
    signs: list[Line] = [[(text, None)] for text in wrap(glyph_legend(), max(12, cells))]
    return [*signs, [], *key_lines(ACTIONS, now, looks, cells)]
