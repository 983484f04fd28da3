"""Search: which tensors of a listing a few typed words mean, fast enough for every key press at 94,000 tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from .groups import Group
from .listing import TensorSpec

_TERM = re.compile(r"(shape|dtype):\s*(\S*)|(\S+)")
_SPLIT_NUMBERS = re.compile(r"([0-9]+)").split


class Query(msgspec.Struct, frozen=True):
    """A search: all words must occur in the key, whatever their case; so must the parts of shape and dtype.

    A dtype may be spelled as torch, safetensors or people do: ``torch.bfloat16``, ``BF16``, ``fp32``, ``i64``.
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

    def find(self, text: str) -> list[int]:
        """Places of the tensors that a text finds, ascending; see :class:`Query`."""
        query = Query.parse(text)
        if query == self._query:
            return self._found
        hits: Iterable[int] = self._worded if query.narrows(self._query) else range(len(self._tensors))
        lowered, tensors = self._lowered, self._tensors
        for word in query.words:
            hits = [place for place in hits if word in lowered[place]]
        self._query, self._worded = query, list(hits)
        found = self._worded
        if query.shapes or query.dtypes:
            found = [place for place in found if _fits(tensors[place], query)]
        self._found = found
        return found


class TemplateFinder:
    """Finds tensors by group, where the keys of a group differ in their numbers only.

    What has no digits is then the same for all keys of a group.

    Args:
        loose: where no key holds all words of a search, their letters need only occur in their order, numbers as they
            are.
        uniform: the tensors of a group do not differ in shape and dtype either.
    """

    def __init__(
        self, tensors: Sequence[TensorSpec], groups: Sequence[Group], *, loose: bool = True, uniform: bool = True
    ) -> None:
        self._tensors = tensors
        self._groups = groups
        self._loose, self._uniform = loose, uniform
        self._lowered = [spec.key.lower() for spec in tensors]

    def find(self, text: str) -> dict[int, list[int]]:
        """Group -> places of its tensors that a text finds, both ascending; see :class:`Query`."""
        query = Query.parse(text)
        whole = self._fitting(query)
        found = whole
        for word in query.words:
            found = self._narrow(found, _pieces(word), lambda key, word=word: word in key)  # type: ignore[misc]
        return found if found or not (self._loose and query.words) else self._loosely(query.words, whole)

    def _fitting(self, query: Query) -> dict[int, list[int]]:
        tensors = self._tensors
        if not (query.shapes or query.dtypes):
            return {g: list(group.members) for g, group in enumerate(self._groups)}
        known: dict[tuple[tuple[int, ...], str], bool] = {}

        def fits(place: int) -> bool:
            spec = tensors[place]
            kind = (spec.shape, spec.dtype)
            if kind not in known:
                known[kind] = _fits(spec, query)
            return known[kind]

        found: dict[int, list[int]] = {}
        for g, group in enumerate(self._groups):
            members = group.members
            left = list(members) if self._uniform and fits(members[0]) else []
            if not self._uniform:
                left = [place for place in members if fits(place)]
            if left:
                found[g] = left
        return found

    def _narrow(
        self, groups: dict[int, list[int]], pieces: Sequence[str], matches: Callable[[str], object]
    ) -> dict[int, list[int]]:
        """What of some groups matches; all of it holds the pieces, of which those without digits are tried first."""
        lowered = self._lowered
        found: dict[int, list[int]] = {}
        plain = [piece for piece in pieces if not piece.isdigit()]
        digits = [piece for piece in pieces if piece.isdigit()]
        for g, places in groups.items():
            first = lowered[places[0]]
            if not all(piece in first for piece in plain):
                continue
            if not digits:
                left = places if matches(first) else []
            else:
                left = places
                for piece in digits:
                    left = [place for place in left if piece in lowered[place]]
                left = [place for place in left if matches(lowered[place])]
            if left:
                found[g] = left
        return found

    def _loosely(self, words: Sequence[str], groups: dict[int, list[int]]) -> dict[int, list[int]]:
        """Letters that go on or begin a word of the key (``attnq`` in ``attn.query``) win over scattered ones."""
        found = groups
        for word in words:
            pieces = _pieces(word)
            units = [unit for piece in pieces for unit in ([piece] if piece.isdigit() else piece)]
            found = self._narrow(found, [piece for piece in pieces if piece.isdigit()], _in_order(units))
        letters = ["".join(piece for piece in _pieces(word) if not piece.isdigit()) for word in words]
        close = {
            g: places
            for g, places in found.items()
            if all(_by_starts(word, self._lowered[places[0]]) for word in letters)
        }
        return close or found


def _pieces(word: str) -> list[str]:
    """Its runs of digits, and what is between them."""
    return [piece for piece in _SPLIT_NUMBERS(word) if piece]


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


def _in_order(units: Sequence[str]) -> Callable[[str], object]:
    """A test for a text that holds letters and numbers in this order; it never goes back, so no text is slow."""
    parts = (f"(?>.*?{unit})" if len(unit) > 1 else f"[^{re.escape(unit)}]*+{re.escape(unit)}" for unit in units)
    return re.compile("".join(parts), re.DOTALL).match


_SHORT = re.compile(r"^(?:fp|float)|(?<=^b)float|^int|^uint|^complex")
_OTHER_NAMES = {"half": "f16", "double": "f64", "long": "i64"}


def _short_dtype(name: str) -> str:
    """A dtype, or the beginning of one as short as in safetensors: ``f32``, ``bf16``, ``i64``, ``f8_e4m3fn``."""
    short = name.lower().removeprefix("torch.")
    return _OTHER_NAMES.get(short) or _SHORT.sub(lambda found: found[0][0], short)


def _is_dtype(dtype: str, part: str) -> bool:
    """Whether a dtype begins like what was typed, or one of its parts does: ``float8_e4m3fn`` like ``e4``."""
    short = _short_dtype(dtype)
    names = (f"torch.{dtype}", dtype, short, *short.split("_"))
    return any(name.startswith((part, _short_dtype(part))) for name in names)


def _fits(spec: TensorSpec, query: Query) -> bool:
    shape = "x".join(map(str, spec.shape))
    return all(part in shape for part in query.shapes) and all(_is_dtype(spec.dtype, part) for part in query.dtypes)
