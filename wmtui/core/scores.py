"""The documented composite: how alike two tensors look, taken by themselves, with its parts kept.

``total = 0.5 shape + 0.3 name + 0.2 hierarchy`` (the weights can be set). The parts, each 0 to 1:

* shape: 1.0 the same (within the relative tolerance), 0.7 the same lengths in another order, 0.0 different.
* name: 0.35 Jaccard overlap of the tokens + 0.25 Levenshtein likeness + 0.20 longest common substring (over the shorter
  name) + 0.20 the same parameter type (weight, bias, ...). The two string measures see the names without their numbers.
* hierarchy: 0.30 likeness of depth + 0.40 module path (segments in order) + 0.30 common parents (Jaccard of the modules
  above). Execution order, where it is known on both sides, only adds: a quarter of what is missing to 1, times the
  likeness of the relative positions.

Wrapper segments (``module``, ``_orig_mod``, ...) count nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from math import isclose

import msgspec

from wmtui.core.listing import TensorSpec
from wmtui.core.proposal import Score
from wmtui.core.wrappers import without_wrappers
from wmtui.errors import InputError

SHAPE_SAME, SHAPE_TRANSPOSED, SHAPE_DIFFERENT = 1.0, 0.7, 0.0
_JACCARD, _EDIT, _SUBSTRING, _TYPE = 0.35, 0.25, 0.20, 0.20
_DEPTH, _PATH, _PARENTS = 0.30, 0.40, 0.30
_EXECUTION = 0.25

_TOKENS = re.compile(r"[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W0-9_A-Za-z]+")
_NUMBERS = re.compile(r"[0-9]+")
_RUNS = re.compile(r"([0-9]+)")
_SEPARATORS = re.compile(r"[./]")
_BETWEEN = "\n"


class ScoreWeights(msgspec.Struct, frozen=True):
    """Weights of the three parts of the composite."""

    shape: float = 0.5
    name: float = 0.3
    hierarchy: float = 0.2


def score_weights(given: Mapping[str, float]) -> ScoreWeights:
    """Weights of which some are given and the others keep their defaults, in proportion so that they make 1.

    Raises:
        InputError: there is no such weight, one is negative, or all are 0.
    """
    for name, value in given.items():
        if name not in ScoreWeights.__struct_fields__:
            raise InputError(f"there is no weight {name!r}", "The weights are shape, name and hierarchy.")
        if not 0 <= value < float("inf"):
            raise InputError(f"the weight {name!r} is {value}", "Give a number that is not negative.")
    made = msgspec.structs.replace(ScoreWeights(), **given)
    total = made.shape + made.name + made.hierarchy
    if total == 0:
        raise InputError("all weights are 0", "Give at least one of them.")
    if isclose(total, 1):
        return made
    return ScoreWeights(made.shape / total, made.name / total, made.hierarchy / total)


def tokens(key: str) -> tuple[str, ...]:
    """Lower-case words and numbers of a key, wrappers left out.

    >>> tokens("module.layer1.selfAttn.q_proj.weight")
    ('layer', '1', 'self', 'attn', 'q', 'proj', 'weight')
    """
    return tuple(part.lower() for part in _TOKENS.findall(without_wrappers(key)))


def shape_score(a: tuple[int, ...], b: tuple[int, ...], tolerance: float = 0.0) -> float:
    """1.0 where the shapes are equal within the relative tolerance, 0.7 where transposed, else 0.0."""
    if a == b:
        return SHAPE_SAME
    if len(a) != len(b):
        return SHAPE_DIFFERENT
    if tolerance > 0 and all(abs(x - y) <= tolerance * max(x, y) for x, y in zip(a, b, strict=True)):
        return SHAPE_SAME
    if len(a) >= 2 and sorted(a) == sorted(b):
        return SHAPE_TRANSPOSED
    return SHAPE_DIFFERENT


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    union = len(a | b)
    return len(a & b) / union if union else 1.0


@lru_cache(maxsize=16384)
def _string_likeness(a: str, b: str) -> tuple[float, float]:
    """Levenshtein likeness and longest common substring over the shorter name, both 0 to 1."""
    from rapidfuzz.distance import Levenshtein

    edit = float(Levenshtein.normalized_similarity(a, b))
    short, long = sorted((a[:500], b[:500]), key=len)
    low, high = 0, len(short)
    while low < high:
        middle = (low + high + 1) // 2
        pieces = {short[k : k + middle] for k in range(len(short) - middle + 1)}
        if any(long[k : k + middle] in pieces for k in range(len(long) - middle + 1)):
            low = middle
        else:
            high = middle - 1
    return edit, low / len(short) if short else float(not long)


def _segments(key: str) -> tuple[str, ...]:
    return tuple(_SEPARATORS.split(key))


def name_score(source: str, target: str) -> float:
    """How alike two keys' names are, 0 to 1 (see the module's text)."""
    a, b = without_wrappers(source), without_wrappers(target)
    if a == b:
        return 1.0
    overlap = _jaccard(frozenset(tokens(a)), frozenset(tokens(b)))
    edit, substring = _string_likeness(_NUMBERS.sub("", a), _NUMBERS.sub("", b))
    same_type = _segments(a)[-1] == _segments(b)[-1]
    return _JACCARD * overlap + _EDIT * edit + _SUBSTRING * substring + _TYPE * same_type


def hierarchy_score(source: str, target: str) -> float:
    """How alike two keys' places in their modules are, 0 to 1, as far as names tell."""
    a, b = _segments(without_wrappers(source))[:-1], _segments(without_wrappers(target))[:-1]
    deepest = max(len(a), len(b))
    depth = 1 - abs(len(a) - len(b)) / deepest if deepest else 1.0
    same = sum(x == y for x, y in zip(a, b, strict=False))
    same = max(same, sum(x == y for x, y in zip(reversed(a), reversed(b), strict=False)))
    path = same / deepest if deepest else 1.0
    return _DEPTH * depth + _PATH * path + _PARENTS * _jaccard(frozenset(a), frozenset(b))


def _likeness(source: str, target: str) -> tuple[float, float]:
    """Name and hierarchy score of two keys, of thousands that differ in their numbers alone computed once.

    Both scores see of a number only which others it equals, so that any other numbers with the same equalities do.
    """
    if _BETWEEN in source:
        return name_score(source, target), hierarchy_score(source, target)
    parts = _RUNS.split(f"{source}{_BETWEEN}{target}")
    numbers: dict[str, str] = {}
    for at in range(1, len(parts), 2):
        parts[at] = numbers.setdefault(parts[at], str(len(numbers)))
    return _likeness_of("".join(parts))


@lru_cache(maxsize=16384)
def _likeness_of(names: str) -> tuple[float, float]:
    source, _, target = names.partition(_BETWEEN)
    return name_score(source, target), hierarchy_score(source, target)


def composite(
    source: TensorSpec,
    target: TensorSpec,
    weights: ScoreWeights = ScoreWeights(),  # noqa: B008 - frozen
    shape_tolerance: float = 0.0,
    ordered: tuple[int, int] | None = None,
) -> Score:
    """The documented score of a pair.

    Args:
        ordered: how many tensors of either side have a place in the execution order; None where no order is known.
    """
    shape = shape_score(source.shape, target.shape, shape_tolerance)
    name, hierarchy = _likeness(source.key, target.key)
    if ordered is not None and source.order is not None and target.order is not None:
        here = source.order / max(1, ordered[0] - 1)
        there = target.order / max(1, ordered[1] - 1)
        hierarchy += _EXECUTION * (1 - hierarchy) * max(0.0, 1 - abs(here - there))
    total = weights.shape * shape + weights.name * name + weights.hierarchy * hierarchy
    return Score(total, shape, name, hierarchy)
