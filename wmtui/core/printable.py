"""Text from files made fit for plain lines: messages, reports and analyses that are printed without a screen."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything escaped that could steer a terminal or turn the reading direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(text: str, width: int) -> str:
    """The text cut in the middle to a number of characters, so that both telling ends stay."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def encodable(text: str, encoding: str | None) -> str:
    """The text with what an output's encoding lacks replaced: arrow and ellipsis by one like sign, the rest escaped."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        plain = text.replace("→", ">").replace("…", "~")
        return plain.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")
    return text


def plural(count: int, one: str, many: str = "") -> str:
    """``1 tensor``, ``94,000 tensors``; with both forms given ``1 tensor is``, ``2 tensors are``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
