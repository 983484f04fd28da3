"""An inspection and a comparison as plain text, for where there is no terminal. Nothing here imports textual."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wmtui.core.comparison import DIFFERENCES, Comparison, Difference
from wmtui.core.groups import Group, common_name
from wmtui.core.inspection import inspection_table
from wmtui.core.outline import Node, contents_outline, left_out
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.core.table import TemplateTable
from wmtui.core.tensor_stats import ScanResult
from wmtui.ui.inspect.facts import side_facts
from wmtui.ui.text import bytes_text, clip, safe, shape_text, width

WIDEST = 100
"""Cells that a column is padded to; longer texts stand out of it."""
MOST = 20
"""Rows of contents on one level."""


def render_plain(side: Side) -> str:
    """A whole inspection: what the file is, its groups with full keys, tied tensors, and everything else in it."""
    size = f", {bytes_text(side.nbytes)}" if side.nbytes is not None else ""
    lines = [safe(f"{side.name}: {side.format}{size}"), safe("  ".join(side_facts(side)))]
    for name, count in side.weights_keys.items():
        if name != side.weights_key:
            lines.append(
                safe(f"also in the file: {name or 'the top level'}, {plural(count, 'tensor')} (--weights-key)")
            )
    lines += [safe(f"note: {note}") for note in side.notes]
    table = inspection_table(side.listing)
    if table.groups:
        lines += ["", *_columns(("key", "shape", "dtype", "bytes", "tensors"), (_row(table, g) for g in table.groups))]
    if side.listing.ties:
        lines += ["", "tied:"]
        lines += [safe(f"  {first} = " + " = ".join(keys[1:])) for first, keys in side.listing.ties.items()]
    others = contents_outline(Side(side.spec, side.listing, "", contents=side.contents)).rows
    if side.metadata:
        lines += ["", "metadata:", *(f"  {safe(name)}: {clip(text, 200)}" for name, text in side.metadata.items())]
    if others:
        lines += ["", "contents:"]
        lines += [f"  {_content(node)}" for node in others[:MOST]]
        lines += [f"  and {len(others) - MOST:,} more"] if len(others) > MOST else []
    return "\n".join(lines) + "\n"


def _content(node: Node) -> str:
    content = node.content
    assert content is not None
    inside = ", ".join(name for name, _ in content.items[:MOST])
    missing = max(0, len(content.items) - MOST) + left_out(content)
    more = f" and {missing:,} more" if missing else ""
    return f"{safe(node.name)}: {clip(content.text, 200)}" + (f" ({clip(inside, 200)}{more})" if inside else "")


def _row(table: TemplateTable, group: Group) -> tuple[str, ...]:
    specs = [table.listing.tensors[place] for place in group.members]
    sizes = [spec.nbytes for spec in specs if spec.nbytes is not None]
    return (
        group.name,
        shape_text(specs[0].shape),
        specs[0].dtype,
        bytes_text(sum(sizes) if sizes else None),
        str(len(specs)) if len(specs) > 1 else "",
    )


def _columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows in columns, the first two to the left; made safe."""
    shown = [tuple(heads), *(tuple(map(safe, row)) for row in rows)]
    widths = [min(WIDEST, max(width(row[n]) for row in shown)) for n in range(len(heads))]
    lines = []
    for row in shown:
        cells = [
            text + " " * (cells - width(text)) if n < 3 else " " * (cells - width(text)) + text
            for n, (text, cells) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def render_scan(result: ScanResult) -> str:
    """What a check of all tensors found."""
    lines = [f"checked {plural(result.checked, 'tensor')}, {bytes_text(result.nbytes)}"]
    lines += [f"  {safe(key)}: {nan:,} NaN, {inf:,} infinite" for key, (nan, inf) in result.bad.items()]
    lines += [f"  {safe(key)}: not read, {safe(why)}" for key, why in result.skipped.items()]
    bad = len(result.bad)
    lines.append(f"{plural(bad, 'tensor')} with NaN or infinity" if bad else "no NaN and no infinity")
    return "\n".join(lines) + "\n"


def render_comparison(comparison: Comparison) -> str:
    """What differs between two sides, by group; keys that are alike are only counted."""
    counts = comparison.counts
    lines = [
        safe(f"here:  {comparison.here.name}, {plural(len(comparison.here), 'tensor')}"),
        safe(f"there: {comparison.there.name}, {plural(len(comparison.there), 'tensor')}"),
    ]
    for difference in DIFFERENCES:
        if not counts[difference]:
            continue
        lines += ["", f"{difference}: {plural(counts[difference], 'tensor')}"]
        if difference not in (Difference.SAME, Difference.EQUAL):
            lines += [
                f"  {line}"
                for line in _columns(("key", "shape", "dtype", "tensors"), _differing(comparison, difference))
            ]
    lines += ["", "nothing differs" if comparison.alike else "they differ"]
    return "\n".join(lines) + "\n"


def _differing(comparison: Comparison, difference: Difference) -> Iterable[tuple[str, ...]]:
    for group in comparison.table.groups:
        places = [place for place in group.members if comparison.difference(place) is difference]
        if not places:
            continue
        yield (
            common_name([comparison.both.tensors[place].key for place in places]),
            *shape_and_dtype(comparison, places[0]),
            str(len(places)) if len(places) > 1 else "",
        )


def shape_and_dtype(comparison: Comparison, place: int) -> tuple[str, str]:
    """Shape and dtype of a key, here and there where they differ."""
    spec, other = comparison.both.tensors[place], comparison.other(place)
    shapes = [shape_text(spec.shape)]
    dtypes = [spec.dtype]
    if other is not None and other.shape != spec.shape:
        shapes.append(shape_text(other.shape))
    if other is not None and other.dtype != spec.dtype:
        dtypes.append(other.dtype)
    return " -> ".join(shapes), " -> ".join(dtypes)
