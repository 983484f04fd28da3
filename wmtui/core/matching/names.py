"""Name evidence: weighted words of a path, how alike two paths are, and which words tell competitors apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from wmtui.core.matching.tree import Node, Tree
from wmtui.core.matching.vocabulary import BINDING
from wmtui.core.matching.words import alike, words

Phrase = tuple[tuple[str, float], ...]

_DECAY = 0.65
_LEAST = 0.2
_RANK_WEIGHT = 0.8
_CONTEXT_WEIGHT = 0.3
_RANK_RARITY = 0.6
_MOST_WORDS = 16
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
        self.learned: dict[tuple[str, str], float] = {}

    def of(self, node: Node, root: Node) -> int:
        """Number of the phrase of a node's path, relative to ``root``."""
        key = (id(node), id(root))
        found = self._of_node.get(key)
        if found is None:
            phrase = _phrase(node, root)
            found = self._ids.setdefault(phrase, len(self.phrases))
            if found == len(self.phrases):
                self.phrases.append(phrase)
            self._of_node[key] = found
        return found

    def rarity(self, word: str) -> float:
        """Weight of a word: the rarer in both listings, the more."""
        return _RANK_RARITY if word[0] == "#" else self._rarity.get(word, 1.23)

    def similarity(self, a: int, b: int) -> float:
        """How alike two phrases are, 0 to 1."""
        found = self._known.get((a, b))
        if found is None:
            found = self._known[a, b] = self._overlap(self.phrases[a], self.phrases[b], None)
        return found

    def contrasted(self, a: int, b: int, weights: Mapping[str, float]) -> float:
        """The same with the words' weights given (see :func:`contrast`), 1 where a word is not among them."""
        return self._overlap(self.phrases[a], self.phrases[b], weights)

    def _overlap(self, ours: Phrase, theirs: Phrase, weights: Mapping[str, float] | None) -> float:
        total = hit = 0.0
        for here, there in ((ours, theirs), (theirs, ours)):
            for word, depth in here:
                weight = depth * (self.rarity(word) if weights is None else weights.get(word, 1.0))
                best = 0.0
                for other, other_depth in there:
                    value = alike(word, other)
                    if self.learned and value < 0.9:
                        value = max(value, self.learned.get((word, other) if here is ours else (other, word), 0.0))
                    if value:
                        value *= min(1.0, 0.5 + 0.5 * other_depth / depth)
                        best = max(best, value)
                hit += weight * best
                total += weight
        return hit / total if total else 0.0


def contrast(ours: Sequence[Phrase], theirs: Sequence[Phrase]) -> dict[str, float]:
    """Weights of words among competitors: what all of them have says nothing, what few have says much."""
    share: dict[str, float] = {}
    for phrases in (ours, theirs):
        counts: Counter[str] = Counter()
        for phrase in phrases:
            counts.update({word for word, _ in phrase})
        for word, count in counts.items():
            part = count / len(phrases) if len(phrases) > 1 else 0.0
            share[word] = max(share.get(word, 0.0), part)
    return {word: max(0.02, 1.0 - part) * (0.6 if word[0] == "#" else 1.0) for word, part in share.items()}


def _phrase(node: Node, root: Node) -> Phrase:
    found: dict[str, float] = {}
    weight = 1.0
    at: Node | None = node
    while at is not None and at is not root and len(found) < _MOST_WORDS:
        own = words(at.stem)
        binding = words(at.parent.stem) if at.parent is not None and at.parent is not root else ()
        if own and len(binding) == 1 and binding[0] in BINDING and not own[0].startswith(("#", "norm")):
            own = (f"{binding[0]}:{own[0]}", *own[1:])
        for word in own:
            found.setdefault(word, weight)
        if at.index is not None and at.kin > 1:
            found.setdefault(f"#{at.rank}/{at.kin}", weight * _RANK_WEIGHT)
        if own or at.kin > 1:
            weight = max(weight * _DECAY, _LEAST)
        at = at.parent
    parent = node.parent
    if parent is not None and parent is not root and set(words(node.stem)) <= _PLAIN and 2 <= len(parent.children) <= 4:
        for sibling in parent.children.values():
            if sibling is not node and sibling.index is None:
                for word in words(sibling.stem):
                    if word not in _PLAIN:
                        found.setdefault(word, _CONTEXT_WEIGHT)
    return tuple(found.items())


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
