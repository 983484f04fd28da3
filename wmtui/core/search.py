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
        """Places whose key holds the letters of each word in their order; groups are tried before their members."""
        letters = [_in_order("".join(c for c in word if not c.isdigit())) for word in words]
        whole = [_in_order(word) for word in words if any(map(str.isdigit, word))]
        lowered = self._lowered
        found: list[int] = []
        for group in groups:
            if all(matches(lowered[group.members[0]]) for matches in letters):
                members = group.members
                found += [p for p in members if all(matches(lowered[p]) for matches in whole)] if whole else members
        return sorted(found)


def _in_order(letters: str) -> Callable[[str], object]:
    """A test for a text that holds these letters in this order; possessive, so that it never goes back."""
    return re.compile("".join(f"[^{re.escape(c)}]*+{re.escape(c)}" for c in letters), re.DOTALL).match


def _fits(spec: TensorSpec, query: Query) -> bool:
    shape = "x".join(map(str, spec.shape))
    short = spec.dtype.replace("float", "f").replace("uint", "u").replace("int", "i")
    return all(part in shape for part in query.shapes) and all(
        part in spec.dtype or part.replace("fp", "f") in short for part in query.dtypes
    )
