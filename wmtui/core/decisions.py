"""Decisions: what a user does to a session, as plain data that a journal can hold.

Keys are told by their places in the two listings, which the journal is bound to by digest, and runs of
consecutive places are folded, so that accepting 90,000 keys is one line of some kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from .proposal import Transform

TRANSFORMS = (Transform.NONE, Transform.TRANSPOSE, Transform.RESHAPE)


class PairRun(NamedTuple):
    """``length`` pairs: source ``source + n`` with target ``target + n``, all with one transform (see TRANSFORMS)."""

    source: int
    target: int
    length: int = 1
    transform: int = 0


class Run(NamedTuple):
    """``length`` consecutive places of one listing."""

    start: int
    length: int = 1


class Accept(msgspec.Struct, frozen=True, tag="accept"):
    """The matcher's pairs are right."""

    pairs: tuple[PairRun, ...]


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """The user's own pairs. Whoever else held one of the targets loses it and is open again."""

    pairs: tuple[PairRun, ...]


class Reject(msgspec.Struct, frozen=True, tag="reject"):
    """These pairs are wrong; their sources stay without a partner until one is assigned."""

    pairs: tuple[PairRun, ...]


class Ignore(msgspec.Struct, frozen=True, tag="ignore"):
    """These keys are to be left out, on either side."""

    sources: tuple[Run, ...] = ()
    targets: tuple[Run, ...] = ()


class Reopen(msgspec.Struct, frozen=True, tag="reopen"):
    """Forget what was decided about these keys, refusals included."""

    sources: tuple[Run, ...] = ()
    targets: tuple[Run, ...] = ()


class Undo(msgspec.Struct, frozen=True, tag="undo"):
    """Take the last decision back that is not yet taken back."""


class Redo(msgspec.Struct, frozen=True, tag="redo"):
    """Do again what the last undo took back."""


Decision: TypeAlias = Accept | Assign | Reject | Ignore | Reopen | Undo | Redo


def fold_pairs(pairs: Iterable[tuple[int, int, Transform]]) -> tuple[PairRun, ...]:
    """Fold (source place, target place, transform) into runs, in the order of the sources."""
    runs: list[PairRun] = []
    for source, target, transform in sorted(pairs):
        code = TRANSFORMS.index(transform)
        if runs:
            last = runs[-1]
            if (source - last.source, target - last.target, code) == (last.length, last.length, last.transform):
                runs[-1] = last._replace(length=last.length + 1)
                continue
        runs.append(PairRun(source, target, 1, code))
    return tuple(runs)


def unfold_pairs(runs: Iterable[PairRun]) -> Iterator[tuple[int, int, Transform]]:
    """The (source place, target place, transform) that the runs stand for.

    Raises:
        ValueError: a run with a transform that is not in TRANSFORMS.
    """
    for run in runs:
        if not 0 <= run.transform < len(TRANSFORMS):
            raise ValueError(f"no such transform: {run.transform}")
        for n in range(run.length):
            yield run.source + n, run.target + n, TRANSFORMS[run.transform]


def fold(places: Iterable[int]) -> tuple[Run, ...]:
    """Fold places into runs, in order."""
    runs: list[Run] = []
    for place in sorted(set(places)):
        if runs and place == runs[-1].start + runs[-1].length:
            runs[-1] = Run(runs[-1].start, runs[-1].length + 1)
        else:
            runs.append(Run(place))
    return tuple(runs)


def unfold(runs: Iterable[Run]) -> Iterator[int]:
    """The places that the runs stand for."""
    for run in runs:
        yield from range(run.start, run.start + run.length)
