"""Name evidence: weighted words of a path, how alike two paths are, and which words tell competitors apart."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wmtui.core.matching.reading.tree import Node, Tree
from wmtui.core.matching.reading.vocabulary import BINDING, OPPOSITES
from wmtui.core.matching.reading.words import ENDS, alike, is_unknown, words

Phrase = tuple[tuple[str, float], ...]

_DECAY = 0.65
_LEAST = 0.2
_RANK_WEIGHT = 0.8
_CONTEXT_WEIGHT = 0.3
_RANK_RARITY = 0.6
_MOST_WORDS = 16
_STRANGE = 0.3
_BOND = 0.5
_ONE_SIDED = 0.3
_MOST_INITIALS = 4
_SPARSE = 4
_APART = 0.4
"""Of a likeness where a telling word sets two apart."""

_AS_MANY = 0.7

_NAMED = 0.7
"""Likeness to ``in`` or ``out`` of a word that means it."""

_PLAIN = frozenset({"norm", "layer", "fc", "conv", "proj"})


class Names:
    """Phrases (weighted words) of the nodes of two trees, interned, and their similarities.

    The last segment of a path weighs most; words that stand in most paths of a listing weigh little.
    """

    def __init__(self, source: Tree, target: Tree) -> None:
        self._ids: dict[Phrase, int] = {}
        self.phrases: list[Phrase] = []
        self._of_node: dict[tuple[int, int], int] = {}
        self._known: dict[tuple[int, int], float] = {}
        self._rarity = _rarity(source, target)
        self._initials = _initials(source, target)
        self._lettered = _lettered(source) | _lettered(target)
        self._bounds: dict[tuple[int, str], tuple[int, bool]] = {}

    def of(self, node: Node, root: Node) -> int:
        """Number of the phrase of a node's path, relative to ``root``."""
        key = (id(node), id(root))
        found = self._of_node.get(key)
        if found is None:
            phrase = self._phrase(node, root)
            found = self._ids.setdefault(phrase, len(self.phrases))
            if found == len(self.phrases):
                self.phrases.append(phrase)
            self._of_node[key] = found
        return found

    def _phrase(self, node: Node, root: Node) -> Phrase:
        found: dict[str, float] = {}
        weight = 1.0
        at: Node | None = node
        while at is not None and at is not root and len(found) < _MOST_WORDS:
            own = _shortened(words(at.stem), self._initials)
            if not self._lettered.isdisjoint(own):
                own = tuple(
                    part
                    for word in own
                    for part in (words(f"{word[0]}_{word[1:]}") if word in self._lettered else (word,))
                )
            own = _modalities(own, at)
            binding = words(at.parent.stem) if at.parent is not None and at.parent is not root else ()
            if own and len(binding) == 1 and binding[0] in BINDING and not own[0].startswith(("#", "norm")):
                own = (f"{binding[0]}:{own[0]}", *own[1:])
            for word in own:
                found.setdefault(word, weight)
            if at.index is not None and at.kin > 1:
                found.setdefault(f"#{at.rank}/{at.kin}/{self._number(at)}", weight * _RANK_WEIGHT)
            if own or at.kin > 1:
                weight = max(weight * _DECAY, _LEAST)
            at = at.parent
        parent = node.parent
        if (
            parent is not None
            and parent is not root
            and set(words(node.stem)) <= _PLAIN
            and 2 <= len(parent.children) <= 4
        ):
            for sibling in parent.children.values():
                if sibling is not node and sibling.index is None and sibling.numel != node.numel:
                    for word in words(sibling.stem):
                        if word not in _PLAIN:
                            found.setdefault(word, _CONTEXT_WEIGHT)
        return tuple(found.items())

    def _number(self, node: Node) -> str:
        """The number of a node in its list, counted from the first; empty where the list leaves out most numbers."""
        key = (id(node.parent), node.stem)
        bounds = self._bounds.get(key)
        if bounds is None:
            siblings = node.parent.children.values() if node.parent is not None else (node,)
            numbers = [other.index for other in siblings if other.index is not None and other.stem == node.stem]
            first = min(numbers)
            bounds = self._bounds[key] = (first, max(numbers) - first <= _SPARSE * len(numbers))
        return str(node.index - bounds[0]) if node.index is not None and bounds[1] else ""

    def rarity(self, word: str) -> float:
        """Weight of a word: the rarer in both listings, the more."""
        return _RANK_RARITY if word[0] == "#" else self._rarity.get(word, 1.23)

    def similarity(self, a: int, b: int) -> float:
        """How alike two phrases are, 0 to 1."""
        found = self._known.get((a, b))
        if found is None:
            found = self._known[a, b] = self._overlap(self.phrases[a], self.phrases[b], None)
        return found

    def contrasted(self, a: int, b: int, among: Contrast) -> tuple[float, bool]:
        """The same as competitors see it, and whether a telling word sets the two apart: one of them alone has it."""
        ours, theirs = self.phrases[a], self.phrases[b]
        apart = any(
            word in among.telling and all(alike(word, other) < _STRANGE for other, _ in there)
            for here, there in ((_own_words(ours), _own_words(theirs)), (_own_words(theirs), _own_words(ours)))
            for word, _ in here
        )
        return self._overlap(ours, theirs, among) * (_APART if apart else 1.0), apart

    def _overlap(self, ours: Phrase, theirs: Phrase, among: Contrast | None) -> float:
        total = hit = 0.0
        for here, there in ((ours, theirs), (theirs, ours)):
            first, last = _own_rank(here), _own_rank(there)
            ends = bool(first) != bool(last) and _ends_named(here, there)
            for word, depth in here:
                weight = depth * (self.rarity(word) if among is None else among.weights.get(word, 1.0))
                strange = among is not None and word in among.strangers
                best = 0.0
                for other, other_depth in there:
                    if word[0] == "#" and first and last and (word == first) != (other == last):
                        continue
                    if ends and (word == first or other == last):
                        continue
                    value = alike(word, other)
                    if strange and among is not None and other in among.strangers and not _opposite(word, other):
                        value = max(value, _BOND)
                    if value:
                        value *= min(1.0, 0.5 + 0.5 * other_depth / depth)
                        best = max(best, value)
                hit += weight * best
                total += weight
        return hit / total if total else 0.0


def _modalities(own: tuple[str, ...], node: Node) -> tuple[str, ...]:
    """Words of a node, with ``v`` and ``l`` for vision and language where two siblings differ in them alone."""
    for letter, other, meant in (("v", "l", "vis"), ("l", "v", "txt")):
        if letter in own and node.parent is not None:
            place = len(own) - 1 - own[::-1].index(letter)
            twin = (*own[:place], other, *own[place + 1 :])
            if any(words(sibling.stem) == twin for sibling in node.parent.children.values()):
                return (*own[:place], meant, *own[place + 1 :])
    return own


def _opposite(word: str, other: str) -> bool:
    return any(word in some and other in some for some in OPPOSITES)


def _own_rank(phrase: Phrase) -> str:
    """The rank of the last segment, which the rank of a module above is no answer to; empty where it has none."""
    return next((word for word, depth in phrase if word[0] == "#" and "/" in word and depth >= _RANK_WEIGHT), "")


def _ends_named(ours: Phrase, theirs: Phrase) -> bool:
    """Whether both phrases have a word like ``in`` or like ``out``, so that no rank has to stand for it."""
    return any(all(any(alike(end, word) >= _NAMED for word, _ in phrase) for phrase in (ours, theirs)) for end in ENDS)


def _own_words(phrase: Phrase) -> Phrase:
    """The words of a phrase that stand in the path, not lent by siblings."""
    return tuple(part for part in phrase if part[1] != _CONTEXT_WEIGHT)


class Contrast(NamedTuple):
    """What words say among competitors.

    Attributes:
        weights: word -> weight, 0.02 to 1: what all have says nothing, what few have says much.
        strangers: words that tell competitors apart, but have no counterpart on the other side. Where both sides have
            such, they probably mean the same (``k_img``, ``add_k``); where one side has, its others are the unnamed.
        telling: words that about as many competitors have on either side, though not all (``self`` where the others
            are ``cross`` and ``context``): who has it belongs to who has it.
    """

    weights: dict[str, float]
    strangers: frozenset[str]
    telling: frozenset[str]


def contrast(ours: Sequence[Phrase], theirs: Sequence[Phrase]) -> Contrast:
    """Weights of words among competitors, and their strangers."""
    share: dict[str, float] = {}
    sides: list[set[str]] = []
    tally: dict[str, list[int]] = {}
    for phrases in (ours, theirs):
        counts: Counter[str] = Counter()
        told: Counter[str] = Counter()
        for phrase in phrases:
            counts.update({word for word, _ in phrase})
            told.update({word for word, _ in _own_words(phrase)})
        sides.append(set(counts))
        for word, count in told.items():
            tally.setdefault(word, []).append(count)
        for word, count in counts.items():
            part = count / len(phrases) if len(phrases) > 1 else 0.0
            share[word] = max(share.get(word, 0.0), part)
    weights = {word: max(0.02, 1.0 - part) * (0.6 if word[0] == "#" else 1.0) for word, part in share.items()}
    strange = [
        {
            word
            for word in own - other
            if word[0] != "#" and share[word] < 1 and max((alike(word, b) for b in other), default=0.0) < _STRANGE
        }
        for own, other in (sides, sides[::-1])
    ]
    if not (strange[0] and strange[1]):
        for word in strange[0] | strange[1]:
            weights[word] *= _ONE_SIDED
    telling = {
        word
        for word in tally
        if len(tally[word]) == len(sides)
        and word[0] != "#"
        and word not in _PLAIN
        and all(number < len(phrases) for number, phrases in zip(tally[word], (ours, theirs), strict=True))
        and min(tally[word]) >= _AS_MANY * max(tally[word])
    }
    return Contrast(weights, frozenset(strange[0] | strange[1]), frozenset(telling))


Initials = Mapping[tuple[str, ...], str]


def _initials(source: Tree, target: Tree) -> Initials:
    """Words in a row that one side writes out and the other as their initials (``aspect_ratio``, ``ar``).

    Only where they are the only ones that begin so, and where neither side has both.
    """
    sides = [{words(node.stem) for node in tree.walk()} for tree in (source, target)]
    vocabularies = [{word for segment in segments for word in segment} for segments in sides]
    found: dict[tuple[str, ...], str] = {}
    for own, other in ((0, 1), (1, 0)):
        short = {
            word
            for word in vocabularies[own] - vocabularies[other]
            if 2 <= len(word) <= _MOST_INITIALS and is_unknown(word)
        }
        if not short:
            continue
        rows: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        for segments, rest in ((sides[other], False), (sides[own], True)):
            for segment in segments:
                for count in range(2, 1 + min(_MOST_INITIALS, len(segment))):
                    for k in range(len(segment) - count + 1):
                        row = segment[k : k + count]
                        if (letters := "".join(word[0] for word in row)) in short:
                            rows[letters].add(() if rest else row)
        found |= {next(iter(some)): letters for letters, some in rows.items() if len(some) == 1 and () not in some}
    return found


def _lettered(tree: Tree) -> set[str]:
    """Words that begin with the letter of a projection, where others do with another (``qcontent``, ``kcontent``)."""
    vocabulary = {word for node in tree.walk() for word in words(node.stem) if word[0] in "qkv" and len(word) > 3}
    rests = Counter(word[1:] for word in vocabulary)
    return {word for word in vocabulary if rests[word[1:]] > 1}


def _shortened(found: tuple[str, ...], initials: Initials) -> tuple[str, ...]:
    """Words of a segment with those that the other side writes as initials replaced by them."""
    for row, letters in initials.items():
        for k in range(len(found) - len(row) + 1):
            if found[k : k + len(row)] == row:
                return _shortened((*found[:k], letters, *found[k + len(row) :]), initials)
    return found


def _rarity(source: Tree, target: Tree) -> dict[str, float]:
    """Weight of each word by the share of the templates that have it, on the side where it is commoner."""
    share: dict[str, float] = {}
    for tree in (source, target):
        templates: dict[str, Node] = {}
        for node in tree.nodes:
            templates.setdefault(node.template, node)
        counts: Counter[str] = Counter()
        for node in templates.values():
            here: set[str] = set()
            at: Node | None = node
            for _ in range(_MOST_WORDS):
                if at is None:
                    break
                here.update(words(at.stem))
                at = at.parent
            counts.update(here)
        for word, count in counts.items():
            share[word] = max(share.get(word, 0.0), count / max(1, len(templates)))
    return {word: 0.25 + math.log(1 / max(0.02, part)) / 4 for word, part in share.items()}
