"""Search: which tensors of a listing a few typed words mean, fast enough for every key press at 94,000 tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from .groups import Group
from .listing import TensorSpec

_TERM = re.compile(r"(shape|dtype):(\S*)|(\S+)")
_SPLIT_NUMBERS = re.compile(r"([0-9]+)").split


class Query(msgspec.Struct, frozen=True):
    """A search: all words must occur in the key, whatever their case; so must the parts of shape and dtype.

    A dtype may be short: ``bf16``, ``fp32``, ``i64``.
    """

    words: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read ``attn weight shape:768x dtype:bf16``."""
        found: dict[str, list[str]] = {"shape": [], "dtype": [], "": []}
        for field, value, word in _TERM.findall(text.lower()):
            found[field].append(value if field else word)
        return cls(tuple(found[""]), tuple(found["shape"]), tuple(found["dtype"]))

    def narrows(self, other: Query) -> bool:
        """Whether it can find nothing that the other does not."""
        return all(
            len(wide) <= len(narrow) and all(w in n for w, n in zip(wide, narrow, strict=False))
            for wide, narrow in ((other.words, self.words), (other.shapes, self.shapes), (other.dtypes, self.dtypes))
        )

    def __bool__(self) -> bool:
        return bool(self.words or self.shapes or self.dtypes)


def natural(text: str) -> list[tuple[int, str]]:
    """A key for sorting by which ``layer.2`` comes before ``layer.10``."""
    parts = _SPLIT_NUMBERS(text.lower())
    parts[1::2] = (number.lstrip("0") for number in parts[1::2])
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)]


class Finder:
    """Finds tensors by text, and narrows the last result where the text grows."""

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        self._tensors = tensors
        self._lowered = [spec.key.lower() for spec in tensors]
        self._query = Query()
        self._worded = self._found = list(range(len(tensors)))

    def find(self, text: str, groups: Sequence[Group] = ()) -> list[int]:
        """Places of the tensors that a text finds, ascending.

        Args:
            text: see :class:`Query`.
            groups: groups of all tensors. Where they are given and no key holds all words, the letters of each word
                need only occur in their order.
        """
        query = Query.parse(text)
        if query == self._query:
            return self._found
        hits: Iterable[int] = self._worded if query.narrows(self._query) else range(len(self._tensors))
        lowered, tensors = self._lowered, self._tensors
        for word in query.words:
            hits = [place for place in hits if word in lowered[place]]
        self._query, self._worded = query, list(hits)
        found = self._worded or (self._loosely(query.words, groups) if query.words else [])
        if query.shapes or query.dtypes:
            found = [place for place in found if _fits(tensors[place], query)]
        self._found = found
        return found

    def _loosely(self, words: Sequence[str], groups: Sequence[Group]) -> list[int]:
        """Places whose key holds the letters of each word in their order; groups are tried before their members.

        Letters that go on or begin a word of the key (``attnq`` in ``attn.query``) win over scattered ones.
        """
        lowered = self._lowered
        letters = ["".join(c for c in word if not c.isdigit()) for word in words]
        matches = [_in_order(word) for word in letters]
        fitting = [g for g in groups if all(match(lowered[g.members[0]]) for match in matches)]
        close = [g for g in fitting if all(_by_starts(word, lowered[g.members[0]]) for word in letters)]
        numbered = [_in_order(word) for word in words if any(map(str.isdigit, word))]
        found: list[int] = []
        for group in close or fitting:
            found += (p for p in group.members if all(match(lowered[p]) for match in numbered))
        return sorted(found)


def _by_starts(letters: str, key: str) -> bool:
    """Whether each letter goes on from the one before it, or begins a word of the key."""
    ends: set[int] = set()
    for n, letter in enumerate(letters):
        first = min(ends) if ends else -1
        ends = {
            at
            for at, c in enumerate(key)
            if c == letter and (at - 1 in ends or ((n == 0 or at > first) and (at == 0 or not key[at - 1].isalpha())))
        }
        if not ends:
            return False
    return True


def _in_order(letters: str) -> Callable[[str], object]:
    """A test for a text that holds these letters in this order; possessive, so that it never goes back."""
    return re.compile("".join(f"[^{re.escape(c)}]*+{re.escape(c)}" for c in letters), re.DOTALL).match


def _fits(spec: TensorSpec, query: Query) -> bool:
    shape = "x".join(map(str, spec.shape))
    short = spec.dtype.replace("float", "f").replace("uint", "u").replace("int", "i")
    return all(part in shape for part in query.shapes) and all(
        part in spec.dtype or part.replace("fp", "f") in short for part in query.dtypes
    )
