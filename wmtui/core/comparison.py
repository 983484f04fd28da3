"""Comparing two listings key by key: which keys only one has, and where shape, dtype or values differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from .groups import group_listing
from .listing import Listing, TensorSpec
from .ports import CancelledCall, Progress, ProgressCall
from .table import TemplateTable


class Difference(StrEnum):
    """What the two sides say of one key."""

    HERE = "only here"
    THERE = "only there"
    SHAPE = "other shape"
    DTYPE = "other dtype"
    VALUES = "other values"
    SAME = "same shape and dtype"
    EQUAL = "equal values"


DIFFERENCES = tuple(Difference)
CODE = {difference: code for code, difference in enumerate(DIFFERENCES)}


class Comparison:
    """Two listings, key by key.

    Args:
        here, there: the listings.

    Attributes:
        both: the keys of both, those of ``here`` first; a key that both have stands as it is here.
        table: their rows, whose codes are places of DIFFERENCES.
    """

    def __init__(self, here: Listing, there: Listing) -> None:
        self.here = here
        self.there = there
        tensors = [*here.tensors, *(spec for spec in there.tensors if spec.key not in here.index)]
        self.both = Listing(f"{here.name} and {there.name}", tensors)
        codes = bytearray(CODE[self._difference(spec.key)] for spec in tensors)
        index, others = self.both.index, there.index

        def apart(spec: TensorSpec) -> object:
            other = there.tensors[others[spec.key]] if spec.key in others else spec
            return spec.dtype, other.shape, other.dtype, codes[index[spec.key]]

        groups, of_key = group_listing(self.both, apart=apart)
        self.table = TemplateTable(self.both, groups, of_key)
        self.table.codes = codes

    def _difference(self, key: str) -> Difference:
        if key not in self.there.index:
            return Difference.HERE
        if key not in self.here.index:
            return Difference.THERE
        here, there = self.here[key], self.there[key]
        if here.shape != there.shape:
            return Difference.SHAPE
        return Difference.SAME if here.dtype == there.dtype else Difference.DTYPE

    def difference(self, place: int) -> Difference:
        """What stands of the key at a place of ``both``."""
        return DIFFERENCES[self.table.codes[place]]

    def other(self, place: int) -> TensorSpec | None:
        """The tensor of ``there`` with the key at a place of ``both``."""
        key = self.both.tensors[place].key
        return self.there[key] if key in self.there.index else None

    @property
    def counts(self) -> dict[Difference, int]:
        """How many keys there are of each."""
        return {difference: self.table.codes.count(code) for code, difference in enumerate(DIFFERENCES)}

    @property
    def alike(self) -> bool:
        """Whether nothing differs, as far as has been looked."""
        return all(
            not count or difference in (Difference.SAME, Difference.EQUAL) for difference, count in self.counts.items()
        )

    def learn(self, place: int, equal: bool | None) -> None:
        """Take in whether the values at a place are equal; ``None`` where that cannot be told."""
        if self.difference(place) in (Difference.SAME, Difference.VALUES, Difference.EQUAL) and equal is not None:
            self.table.codes[place] = CODE[Difference.EQUAL if equal else Difference.VALUES]


def compare_values(
    comparison: Comparison,
    equal: Callable[[str, str], bool | None],
    progress: ProgressCall,
    cancelled: CancelledCall,
) -> Iterator[tuple[int, bool | None]]:
    """Compare the values of all keys with the same shape and dtype; what is found is yielded, to be learned.

    Args:
        comparison: what is compared; it is only read.
        equal: whether two tensors hold the same values, by their keys here and there.
        progress: called before each tensor.
        cancelled: asked before each tensor.

    Yields:
        The place of each key, and whether its values are equal; ``None`` where that cannot be told.
    """
    places = [p for p, code in enumerate(comparison.table.codes) if DIFFERENCES[code] is Difference.SAME]
    tensors = comparison.both.tensors
    size = sum(tensors[place].nbytes or 0 for place in places)
    done = 0
    for place in places:
        if cancelled():
            return
        progress(Progress("comparing values", done, size))
        yield place, equal(tensors[place].key, tensors[place].key)
        done += tensors[place].nbytes or 0
    progress(Progress("comparing values", size, size))
