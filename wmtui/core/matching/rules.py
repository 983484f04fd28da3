"""Rules: pairs again, as templates of keys with the map of their indices; the groups of both sides chosen together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from wmtui.core.proposal import Pair, Rule, Transform

_DIGITS = re.compile(r"([0-9]+)")
_LONGEST = 15

Split = tuple[tuple[str, ...], tuple[str, ...]]
KeyPair = tuple[tuple[str, ...], tuple[str, ...]]
"""The literal parts of a source key and of its target."""


def split_key(key: str) -> Split:
    """Literal parts and numbers of a key; a number that would not come back as written stays in its literal part.

    >>> split_key("layers.3.fc07.weight")
    (('layers.', '.fc07.weight'), ('3',))
    """
    parts = _DIGITS.split(key)
    if any(n[0] == "0" != n or len(n) > _LONGEST for n in parts[1::2]):
        literals, numbers = [parts[0]], []
        for number, literal in zip(parts[1::2], parts[2::2], strict=True):
            if number[0] == "0" != number or len(number) > _LONGEST:
                literals[-1] += number + literal
            else:
                numbers.append(number)
                literals.append(literal)
        return tuple(literals), tuple(numbers)
    return tuple(parts[0::2]), tuple(parts[1::2])


def _template(literals: tuple[str, ...], numbers: tuple[str, ...], varying: list[int]) -> str:
    """The template with a hole for each varying number and the others written out."""
    holes = {place: f"{{{k}}}" for k, place in enumerate(varying)}
    escaped = [part.replace("{", "{{").replace("}", "}}") for part in literals]
    tail = (holes.get(k, number) + part for k, (number, part) in enumerate(zip(numbers, escaped[1:], strict=True)))
    return escaped[0] + "".join(tail)


def _varying(rows: list[tuple[str, ...]]) -> list[int]:
    return [k for k in range(len(rows[0])) if any(row[k] != rows[0][k] for row in rows)]


def make_rules(pairs: Iterable[Pair]) -> tuple[tuple[Rule, ...], Counter[KeyPair]]:
    """The rules that stand for exactly these pairs, in the order of their first pairs, and how many pairs each has.

    Numbers that are the same in all pairs of a rule are written out.
    """
    splits: dict[
        tuple[tuple[str, ...], tuple[str, ...], Transform], list[tuple[tuple[str, ...], tuple[str, ...], float]]
    ]
    splits = {}
    for pair in pairs:
        literals, numbers = split_key(pair.source)
        target_literals, target_numbers = split_key(pair.target)
        splits.setdefault((literals, target_literals, pair.transform), []).append(
            (numbers, target_numbers, pair.confidence)
        )
    rules = []
    for (literals, target_literals, transform), members in splits.items():
        sources, targets = [m[0] for m in members], [m[1] for m in members]
        here, there = _varying(sources), _varying(targets)
        indices = tuple(
            (tuple([int(source[k]) for k in here]), tuple([int(target[k]) for k in there]))
            for source, target in zip(sources, targets, strict=True)
        )
        rules.append(
            Rule(
                source=_template(literals, sources[0], here),
                target=_template(target_literals, targets[0], there),
                indices=indices,
                transform=transform,
                confidence=min(map(itemgetter(2), members)),
            )
        )
    counts: Counter[KeyPair] = Counter()
    for (ours, theirs, _), members in splits.items():
        counts[ours, theirs] += len(members)
    return tuple(rules), counts
