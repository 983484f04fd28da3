"""Rules from corrections: what like pairs of the user's have in common, and which other keys it would pair.

``enc.0.attn.query.weight`` given to ``layers.0.q_proj.weight`` says of names: words that stand on both sides are
copied, numbers are carried over, the rest is put in place of the rest. Two corrections are alike where they say the
same; the rule is then tried on all keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from .decisions import Assign, Decision, unfold_pairs
from .listing import Listing
from .plan import transform_between
from .proposal import Transform
from .session import Session, Settled, Status

_TOKEN = re.compile(r"([\W_]*)([0-9]+|[^\W_0-9]+|$)")
_DIGITS = 9
"""Nobody counts further."""
_CELLS = 4096
"""Pairs of tokens up to which two keys are compared; longer ones are no names that a rule is found in."""
SAMPLE = 8
"""Pairs of a correction that are looked at: a group of thousands says no more than some of it."""
LOOK_BACK = 8
"""Corrections among which one that is like the last is looked for."""
_NUMBERS, _WORDS = "ijklmn", "ABCDEF"


class Token(NamedTuple):
    """A word or a number of a key, with the separators before it."""

    before: str
    text: str


class Part(NamedTuple):
    """A part of a rule's side: its separators, and a text or, where that is empty, the number of a hole."""

    before: str
    text: str
    hole: int = -1


class Change(msgspec.Struct, frozen=True):
    """What a pair of keys says of names.

    Attributes:
        source, target: the parts of the two keys; holes are numbered in their order.
        numeric: for each hole whether it takes numbers, else words.
    """

    source: tuple[Part, ...]
    target: tuple[Part, ...]
    numeric: tuple[bool, ...]


class Carry(NamedTuple):
    """How a number is carried over: ``times`` it and ``plus``."""

    times: int = 1
    plus: int = 0


class NameRule:
    """A rule that makes a target key of a source key.

    Args:
        change: the parts of both sides.
        carries: how each numeric hole's number is carried over.
        words: for each hole the only words or numbers that it takes; empty for any.

    Attributes:
        source, target: templates for people: ``{i}`` is a number, ``{A}`` a word.
    """

    def __init__(self, change: Change, carries: Sequence[Carry], words: Sequence[frozenset[str]]) -> None:
        self._change = change
        self._carries = carries
        pattern = ""
        for part in change.source:
            pattern += re.escape(part.before)
            if part.hole < 0:
                pattern += re.escape(part.text)
            elif words[part.hole]:
                pattern += f"({'|'.join(map(re.escape, sorted(words[part.hole])))})"
            else:
                pattern += f"([0-9]{{1,{_DIGITS}}})" if change.numeric[part.hole] else r"([^\W_0-9]+)"
        self._match = re.compile(pattern).fullmatch
        self._holes = [part.hole + 1 for part in change.target if part.hole >= 0]
        self._copies = bool(self._holes) and all(carry == Carry() for carry in carries)
        self._text = "".join(
            (p.before + p.text).replace("%", "%%") + ("" if p.hole < 0 else "%s") for p in change.target
        )
        names: list[str] = []
        for hole, numeric in enumerate(change.numeric):
            letters = _NUMBERS if numeric else _WORDS
            only = next(iter(words[hole])) if len(words[hole]) == 1 else ""
            names.append(only or f"{{{letters[change.numeric[:hole].count(numeric) % len(letters)]}}}")
        self.source = "".join(p.before + (p.text if p.hole < 0 else names[p.hole]) for p in change.source)
        self.target = "".join(
            p.before + (p.text if p.hole < 0 else _carried(names[p.hole], carries[p.hole])) for p in change.target
        )

    def apply(self, key: str) -> str | None:
        """The target key that the rule gives a source key, ``None`` where it says nothing of it."""
        found = self._match(key)
        if found is None:
            return None
        if self._copies:  # as nearly always, and 94,000 keys are to be tried within a frame or two
            return self._text % found.group(*self._holes)
        text = ""
        for part in self._change.target:
            text += part.before
            if part.hole < 0:
                text += part.text
                continue
            value, (times, plus) = found[part.hole + 1], self._carries[part.hole]
            if self._change.numeric[part.hole] and (times, plus) != (1, 0):
                number = int(value) * times + plus
                if number < 0:
                    return None
                value = str(number)
            text += value
        return text

    def takes(self, key: str) -> bool:
        """Whether the rule says something of a source key."""
        return self._match(key) is not None


def _carried(name: str, carry: Carry) -> str:
    if carry == Carry():
        return name
    inner = name.strip("{}")
    head = {1: inner, -1: f"-{inner}"}.get(carry.times, f"{carry.times}{inner}")
    if carry.times == -1 and carry.plus > 0:
        return f"{{{carry.plus}-{inner}}}"
    return f"{{{head}{carry.plus:+d}}}" if carry.plus else f"{{{head}}}"


class Rest(msgspec.Struct, frozen=True):
    """What rules would do beyond the corrections that they come from.

    Attributes:
        pairs: source place, target place and transform of each key that is still open.
        other: how many of these keys have another target now, or none; the others are proposed as the rules say.
        kept: how many keys the rules speak of that stay as they are, because they or their targets are decided.
    """

    pairs: tuple[tuple[int, int, Transform], ...]
    other: int
    kept: int


class Offer(msgspec.Struct, frozen=True):
    """Rules that like corrections follow, and what is left for them to do.

    Attributes:
        rules: what the corrections say for any words in their holes.
        rest: what these would do.
        near: what is left of that with the words of the corrections themselves, and with their numbers where these
            become others; empty where that is all or nothing.
    """

    rules: tuple[NameRule, ...]
    rest: Rest
    near: Rest

    @property
    def name(self) -> str:
        """What tells these rules from others."""
        return "\n".join(f"{rule.source} {rule.target}" for rule in self.rules)


def last_corrections(done: Iterable[Decision]) -> list[Assign]:
    """The corrections among decisions that stand, the last first."""
    return list(islice((d for d in reversed(list(done)) if isinstance(d, Assign)), LOOK_BACK))


def offer(session: Session, corrections: Sequence[Assign], alone: bool = False) -> Offer | None:
    """The rules that the last correction and an earlier one follow, if there is something left to do.

    Args:
        corrections: the last one first.
        alone: one correction is enough.
    """
    if not corrections:
        return None
    last, *earlier = (_changes(session.source, session.target, decision) for decision in corrections)
    for before in [{}] if alone else earlier:
        # The same keys corrected twice say it once.
        shared = [c for c in last if alone or any(example not in last[c] for example in before.get(c, ()))]
        wide, narrow = [], []
        for change in shared:
            examples = [*last[change], *before.get(change, [])]
            carries = _fit(change, examples)
            if carries is not None:
                wide.append(NameRule(change, carries, [frozenset()] * len(change.numeric)))
                narrow.append(NameRule(change, carries, _words(change, carries, examples)))
        found = _rest(session, wide, narrow)
        if found is not None:
            return Offer(tuple(wide), *found)
    return None


def _rest(session: Session, wide: Sequence[NameRule], narrow: Sequence[NameRule]) -> tuple[Rest, Rest] | None:
    """What rules would do with the keys that are open, and what of it with the words of the corrections only."""
    tensors, targets = session.source.tensors, session.target.tensors
    pairs: list[tuple[int, int, Transform]] = []
    near: list[tuple[int, int, Transform]] = []
    spoken: set[int] = set()
    claimed: set[int] = set()
    other = near_other = kept = 0
    for rule, closer in zip(wide, narrow, strict=True):
        for s, t in _said(rule, session.source, session.target):
            transform = transform_between(tensors[s].shape, targets[t].shape)
            if transform is None or s in spoken:
                continue
            settled = session.settled(s)
            if settled is not None and settled.status is Status.ACCEPTED and settled.target == t:
                continue
            if t in claimed or _is_decided(settled, t) or session.target_status(t) in (Status.ACCEPTED, Status.IGNORED):
                kept += 1
                continue
            spoken.add(s)
            claimed.add(t)
            pairs.append((s, t, transform))
            differs = session.partner(s) != t
            other += differs
            if closer.takes(tensors[s].key):
                near.append(pairs[-1])
                near_other += differs
    if not pairs:
        return None
    some = Rest(tuple(near), near_other, 0) if len(near) < len(pairs) else Rest((), 0, 0)
    return Rest(tuple(pairs), other, kept), some


def _is_decided(settled: Settled | None, target: int) -> bool:
    return settled is not None and (settled.status is not None or target in settled.refused)


def _said(rule: NameRule, source: Listing, target: Listing) -> Iterator[tuple[int, int]]:
    """The pairs of places that a rule speaks of."""
    apply, index = rule.apply, target.index
    for place, spec in enumerate(source.tensors):
        key = apply(spec.key)
        if key is not None and (there := index.get(key)) is not None:
            yield place, there


# ---- reading corrections

Example = tuple[tuple[str, ...], tuple[str, ...]]
"""What stands in the holes of a change: in the source, in the target."""


def _changes(source: Listing, target: Listing, decision: Assign) -> dict[Change, list[Example]]:
    """What some pairs of a correction say, with what stands in the holes."""
    total = sum(run.length for run in decision.pairs)
    found: dict[Change, list[Example]] = {}
    for s, t, _ in islice(unfold_pairs(decision.pairs), 0, None, -(-total // SAMPLE)):
        change, example = compare(source.tensors[s].key, target.tensors[t].key)
        found.setdefault(change, []).append(example)
    return found


def compare(source: str, target: str) -> tuple[Change, Example]:
    """What a pair of keys says of names, and what stands in its holes."""
    here, there = _tokens(source), _tokens(target)
    joined = _join(here, there)
    hole_of = {s: n for n, (s, _) in enumerate(joined)}
    hole_there = {t: n for n, (_, t) in enumerate(joined)}
    change = Change(
        tuple(_part(token, hole_of.get(n, -1)) for n, token in enumerate(here)),
        tuple(_part(token, hole_there.get(n, -1)) for n, token in enumerate(there)),
        tuple(_is_number(here[s].text) for s, _ in joined),
    )
    return change, (tuple(here[s].text for s, _ in joined), tuple(there[t].text for _, t in joined))


def _tokens(key: str) -> list[Token]:
    return [Token(before, text) for before, text in _TOKEN.findall(key) if before or text]


def _part(token: Token, hole: int) -> Part:
    return Part(token.before, token.text if hole < 0 else "", hole)


def _join(here: Sequence[Token], there: Sequence[Token]) -> list[tuple[int, int]]:
    """Which tokens of two keys are the same, in order: as many as can be, equal ones before other numbers."""
    rows, columns = len(here), len(there)
    if rows * columns > _CELLS:
        return []
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for a in range(rows - 1, -1, -1):
        for b in range(columns - 1, -1, -1):
            with_both = best[a + 1][b + 1] + _likeness(here[a].text, there[b].text)
            best[a][b] = max(best[a + 1][b], best[a][b + 1], with_both)
    found: list[tuple[int, int]] = []
    a = b = 0
    while a < rows and b < columns:
        same = _likeness(here[a].text, there[b].text)
        if same and best[a][b] == best[a + 1][b + 1] + same:
            found.append((a, b))
            a, b = a + 1, b + 1
        elif best[a][b] == best[a + 1][b]:
            a += 1
        else:
            b += 1
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _likeness(one: str, other: str) -> int:
    if _is_number(one) and _is_number(other):
        return 3 if one == other else 2
    return 3 if one == other and one else 0


def _fit(change: Change, examples: Sequence[Example]) -> list[Carry] | None:
    """How numbers are carried over so that all examples come out, ``None`` where there is no such way."""
    carries: list[Carry] = []
    for hole, numeric in enumerate(change.numeric):
        points = {(here[hole], there[hole]) for here, there in examples}
        if not numeric or all(x == y for x, y in points):
            carries.append(Carry())
            continue
        (x, y), *others = sorted((int(x), int(y)) for x, y in points)
        times = 1
        if others:
            run, rise = others[-1][0] - x, others[-1][1] - y
            if not run or not rise or rise % run:
                return None
            times = rise // run
        carry = Carry(times, y - times * x)
        if any(b != times * a + carry.plus for a, b in others):
            return None
        carries.append(carry)
    return carries


def _words(change: Change, carries: Sequence[Carry], examples: Sequence[Example]) -> list[frozenset[str]]:
    """What the examples have in each hole; any number fits, but where one number alone was seen to become another.

    ``norm2`` that becomes ``norm3`` in every layer says nothing of ``norm1``.
    """
    seen = [frozenset(here[hole] for here, _ in examples) for hole in range(len(change.numeric))]
    return [
        frozenset() if numeric and (carry == Carry() or len(found) > 1) else found
        for numeric, carry, found in zip(change.numeric, carries, seen, strict=True)
    ]
