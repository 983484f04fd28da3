"""Taking names apart into canonical words (:func:`words`), and how alike two words are (:func:`alike`)."""

from __future__ import annotations

import re
from functools import lru_cache

from rapidfuzz import fuzz

from wmtui.core.matching.reading.vocabulary import BINDING, COMPOUNDS, ORDINALS, PHRASES, RELATED, STAGES, SYNONYMS

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+(?=[qkvo](?![a-z]))|[0-9]+[a-z]*|[^\W0-9_A-Za-z]+")
_MOST_WORDS = 40
_SAME_BINDING = 0.4
"""Likeness of ``post:proj`` and ``post:conv``: before or behind something in both."""

_SAME_NUMBER = 0.6
"""Likeness of the members of one number in lists of other lengths, both counted from their first."""

_AN_END = 0.5
"""Likeness of the first of a list and ``in``, of the last and ``out``."""

ENDS = ("in", "out")
"""Words for the first and the last of a list."""

_KNOWN = frozenset(SYNONYMS) | frozenset(COMPOUNDS) | frozenset(BINDING)


_CANONICAL = (
    _KNOWN | frozenset(SYNONYMS.values()) | frozenset(STAGES) | frozenset(word for pair in RELATED for word in pair)
)


def is_unknown(word: str) -> bool:
    """Whether a canonical word is none of the field's that this engine knows."""
    return word not in _CANONICAL and ":" not in word and word.isalpha()


def _divide(word: str) -> tuple[str, ...]:
    """A compound written as one word, where both halves are known (``patchembed``); else the word itself."""
    if word in _KNOWN or not 5 <= len(word) <= 24:
        return (word,)
    for cut in range(len(word) - 2, 1, -1):
        head, tail = word[:cut], word[cut:]
        if len(head) >= 2 and len(tail) >= 3 and head in _KNOWN and tail in _KNOWN and len(head) + len(tail) >= 6:
            return (head, tail)
    return (word,)


@lru_cache(maxsize=65536)
def words(name: str) -> tuple[str, ...]:
    """Canonical words of one segment of a path, without its trailing index.

    ``post_attention_layernorm`` gives ``("post:attn", "norm")``; an ordinal word gives ``#0``, ``#1``.
    """
    if name == "h":
        return ("layer",)
    text = name
    for spelling, joined in PHRASES:
        if spelling in text:
            text = text.replace(spelling, joined)
    found: list[str] = []
    pending = ""
    parts = [half for part in _PARTS.findall(text)[:_MOST_WORDS] for half in _divide(part.lower())]
    for part in parts:
        if part in BINDING:
            pending = BINDING[part]
            continue
        if part in ORDINALS:
            found.append(f"#{ORDINALS[part]}")
            continue
        for word in COMPOUNDS.get(part) or ((SYNONYMS.get(part, part),) if part not in COMPOUNDS else ()):
            if pending and word != "norm":
                found.append(f"{pending}:{word}")
                pending = ""
            else:
                found.append(word)
    if pending:
        found.append(pending)
    return tuple(found)


def _related(a: str, b: str) -> float:
    return RELATED.get((a, b)) or RELATED.get((b, a)) or 0.0


def _ranks_alike(a: str, b: str) -> float:
    """Likeness of two ranks, ``rank`` or ``rank/length/number``: in lists of other lengths they say less."""
    rank_a, length_a, number_a = (*a.split("/"), "", "")[:3]
    rank_b, length_b, number_b = (*b.split("/"), "", "")[:3]
    same_length = length_a == length_b or not length_a or not length_b
    if not same_length and number_a and number_a == number_b:
        return _SAME_NUMBER
    if rank_a == rank_b:
        return 1.0 if same_length else 0.4
    return (0.4 if same_length else 0.2) if abs(int(rank_a) - int(rank_b)) == 1 else 0.0


def _is_end(rank: str, word: str) -> bool:
    """Whether a rank is the first of a list and a word says so (``in``), or the last (``out``, ``final``)."""
    own, length, _ = (*rank[1:].split("/"), "", "")[:3]
    return (
        rank[0] == "#"
        and bool(length)
        and (word == "in" if own == "0" else word in ("out", "final") and int(own) + 1 == int(length))
    )


@lru_cache(maxsize=262144)
def alike(a: str, b: str) -> float:
    """How alike two canonical words are, 0 to 1: equal, related, prefix, contained, or few letters changed."""
    if a == b:
        return 1.0
    if a[0] == "#" or b[0] == "#":
        if a[0] == b[0] == "#":
            return _ranks_alike(a[1:], b[1:])
        if {a.partition("/")[0], b.partition("/")[0]} in ({"#0", "pre"}, {"#1", "post"}):
            return 0.8
        return _AN_END if _is_end(a, b) or _is_end(b, a) else 0.0
    related = _related(a, b)
    if not related and ":" in a and a.partition(":")[0] == b.partition(":")[0]:
        return _SAME_BINDING
    if related or ":" in a or ":" in b:
        return related
    short, long = sorted((len(a), len(b)))
    if short == 1:
        return 0.5 if long > 2 and a[0] == b[0] else 0.0
    if short >= 3 and (a.startswith(b) or b.startswith(a)):
        return 0.85
    if short >= 4 and (a in b or b in a):
        return 0.7
    if short >= 4 and long <= 40:
        ratio = fuzz.ratio(a, b) / 100
        return 0.8 * ratio if ratio > 0.72 else 0.0
    return 0.0
