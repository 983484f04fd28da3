"""Markdown tables, as every measurement here prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right; floats with three places."""
    return "\n".join([*opening(head), *map(line, rows)]) + "\n"


def opening(head: Sequence[str]) -> list[str]:
    """The first two lines of a table, for one whose rows are printed as they are found."""
    return [line(head), line(["---", *["---:"] * (len(head) - 1)])]


def line(values: Sequence[object]) -> str:
    """One line of a table."""
    return "| " + " | ".join(map(cell, values)) + " |"


def cell(value: object) -> str:
    """One value in words: floats with three places, nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).replace("|", "\\|")


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
