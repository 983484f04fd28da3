"""Shape evidence: which units can be the same tensor, and whether this pair of listings transposes its matrices."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import NamedTuple, TypeVar

from rapidfuzz import fuzz

from wmtui.core.matching.reading.leaves import FREE_LEAVES, MAGNITUDE, is_float
from wmtui.core.matching.reading.tree import Tree
from wmtui.core.matching.reading.words import words
from wmtui.core.proposal import Transform

Shape = tuple[int, ...]
Style = tuple[tuple[str, tuple[bool, ...]], ...]
Label = TypeVar("Label")

_NAME_SHARE = 0.5
_CONVENTION_SHARE = 0.5
_TABLE_WORDS = frozenset({"embed", "pos", "tok", "vocab"})
_MAP_WORDS = frozenset({"linear", "proj", "fc", "conv"})
_KERNELS = ("kernel", "kernel:0")
"""Matrices of this name are kept (in, out), those called ``weight`` (out, in)."""

_MOST_KINDS = 24
"""Of one size, that are tried for what is usual."""

_LEAST_USUAL = 0.75
"""Factor below which a fit is no convention, even if no other is better."""


class Fit(NamedTuple):
    """How well two units fit by shape alone.

    Attributes:
        factor: 0 (cannot be) to 1.
        transform: of the unit's main tensor.
        leaves: leaf classes that pair, as (source leaf, target leaf); the main ones first, unless ``normed``.
        normed: one side keeps its weight as magnitude and direction (weight norm), so that the weights are not one to
            one.
    """

    factor: float
    transform: Transform
    leaves: tuple[tuple[str, str], ...]
    normed: bool = False


NO_FIT = Fit(0.0, Transform.NONE, ())


_TURNED_WINDOW = 0.3
"""A window of three by one is no window of one by three, though one library may have turned all images."""


def squeezed(shape: Shape) -> Shape:
    """The shape without dimensions of length one."""
    return tuple(d for d in shape if d != 1)


class Shapes:
    """Shape compatibility of the units of two trees.

    The transpose mode is decided once: for each unordered pair of lengths, count the units that could pair as they
    are and as transposes, keyed by the bias's length too, since that tells which axis is the output.

    Attributes:
        known_convention: the names of the weights (``kernel``, ``weight``) say that one side keeps them transposed.

    Args:
        allow_transforms: also pair transposed and reshaped tensors.
    """

    def __init__(self, source: Tree, target: Tree, allow_transforms: bool = True) -> None:
        self.source = source
        self.target = target
        self.allow_transforms = allow_transforms
        self.known_convention = False
        self._modes: Mapping[Shape, float] = {}
        self._overall: float = 0
        self._mixed: frozenset[Shape] = frozenset()
        self._shape_fits: dict[tuple[Shape, Shape], tuple[float, Transform]] = {}
        self._fits: dict[tuple[int, int], Fit] = {}
        self._signatures: dict[object, int] = {}
        self._usual: tuple[dict[Style, float], ...] = ()
        kept, turned = _tables(source, target)
        self._tables_stay, self._kept_tables = len(kept) >= len(turned), kept - turned
        self._kinds = (self._classify(source), self._classify(target))
        if allow_transforms:
            self._decide_modes()

    def _classify(self, tree: Tree) -> list[int]:
        """A number per unit that units with equal leaves share."""
        specs, numbers = tree.specs, self._signatures
        return [
            numbers.setdefault(
                (
                    main,
                    tuple((leaf, specs[row].shape, is_float(specs[row].dtype)) for leaf, row in leaves.items()),
                    _is_table(tree, unit),
                ),
                len(numbers),
            )
            for unit, (main, leaves) in enumerate(zip(tree.main, tree.leaves, strict=True))
        ]

    def _decide_modes(self) -> None:
        ours, theirs = _matrices(self.source), _matrices(self.target)
        by_size = _agreement(ours.sizes, theirs.sizes)
        by_name = _agreement(ours.names, theirs.names)
        self.known_convention = ours.kernels != theirs.kernels
        habit = _CONVENTION_SHARE * self.known_convention
        modes: dict[Shape, float] = {}
        for lengths, (count, same, turned) in by_size.items():
            _, named_same, named_turned = by_name.get(lengths, (0.0, 0.0, 0.0))
            modes[lengths] = turned - same + (named_turned - named_same) * _NAME_SHARE + habit * count
        self._modes = modes
        self._overall = sum(modes.values()) or habit
        self._mixed = frozenset(
            lengths for lengths, (count, same, turned) in by_size.items() if same and turned and same + turned <= count
        )

    def transposes(self, shape: Shape) -> bool:
        """Whether matrices of these lengths are kept transposed on the other side."""
        return (self._modes.get((min(shape), max(shape)), 0) or self._overall) > 0

    def of_shapes(self, a: Shape, b: Shape) -> tuple[float, Transform]:
        """Factor 0 to 1 and transform for a tensor of shape ``a`` to become one of shape ``b``."""
        found = self._shape_fits.get((a, b))
        if found is None:
            found = self._shape_fits[a, b] = self._judge(a, b)
        return found

    def _judge(self, a: Shape, b: Shape) -> tuple[float, Transform]:
        if not self.allow_transforms:
            return (1.0, Transform.NONE) if a == b else (0.0, Transform.NONE)
        matrices = len(a) == len(b) == 2 and min(a, default=0) > 1 and min(b, default=0) > 1
        mixed = matrices and (min(a), max(a)) in self._mixed
        if a == b:
            if matrices and self.transposes(a) and not mixed:
                return (0.97, Transform.TRANSPOSE) if a[0] == a[1] else (0.6, Transform.NONE)
            return 1.0, Transform.NONE
        if matrices and a == b[::-1]:
            return (0.95 if mixed else 0.97 if self.transposes(a) else 0.3), Transform.TRANSPOSE
        if len(a) == len(b) > 2 and a[:-2] == b[:-2] and a[-2:] == b[:-3:-1]:
            return _TURNED_WINDOW, Transform.TRANSPOSE
        short_a, short_b = squeezed(a), squeezed(b)
        if short_a == short_b:
            return 0.95, Transform.RESHAPE
        if len(a) == len(b) and sorted(a) == sorted(b):
            return (0.9 if _kernels_last(a, b) else 0.6), Transform.TRANSPOSE
        if len(a) != len(b) and len(short_a) == len(short_b) > 2 and _kernels_last(short_a, short_b):
            return 0.85, Transform.TRANSPOSE
        if len(short_a) == len(short_b) == 2 and short_a == short_b[::-1]:
            first = any(len(one) > 2 and one[-2:] == short for one, short in ((a, short_a), (b, short_b)))
            return (0.9 if first else 0.5), Transform.TRANSPOSE
        if len(short_a) != len(short_b):
            return (0.75 if _joined(short_a, short_b) else 0.5), Transform.RESHAPE
        return 0.0, Transform.NONE

    def fit(self, i: int, j: int) -> Fit:
        """How source unit ``i`` fits target unit ``j``; they have equal numbers of elements."""
        key = (self._kinds[0][i], self._kinds[1][j])
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = self._fit(i, j)
        return found

    def factor_by_convention(self, i: int, j: int) -> float:
        """The factor of a fit, save for what every unit written like one of the two meets on the other side.

        Where no norm of one listing has a scale, or every bias is ``[1, d]``, that says nothing against one pair.
        """
        if not self._usual:
            self._usual = self._best_factors()
        best = max(usual.get(_style(tree, unit), 1.0) for usual, tree, unit in self._sides(i, j))
        return min(1.0, self.fit(i, j).factor / best)

    def _sides(self, i: int, j: int) -> Iterator[tuple[dict[Style, float], Tree, int]]:
        return zip(self._usual, (self.source, self.target), (i, j), strict=True)

    def _best_factors(self) -> tuple[dict[Style, float], dict[Style, float]]:
        """Of each side, for each style of unit, the best factor that one of them has with any unit of its size."""
        kinds: tuple[defaultdict[int, dict[int, int]], ...] = (defaultdict(dict), defaultdict(dict))
        for side, tree, own in zip(kinds, (self.source, self.target), self._kinds, strict=True):
            for unit, kind in enumerate(own):
                some = side[tree.numels[unit]]
                if len(some) < _MOST_KINDS:
                    some.setdefault(kind, unit)
        found: tuple[dict[Style, float], dict[Style, float]] = ({}, {})
        for numel, ours in kinds[0].items():
            for i, j in product(ours.values(), kinds[1].get(numel, {}).values()):
                factor = self.fit(i, j).factor
                for best, tree, unit in zip(found, (self.source, self.target), (i, j), strict=True):
                    style = _style(tree, unit)
                    best[style] = max(best.get(style, _LEAST_USUAL), factor)
        return found

    def _fit(self, i: int, j: int) -> Fit:
        source, target = self.source, self.target
        main_a, main_b = source.main[i], target.main[j]
        factor, transform = self.of_shapes(source.shapes[i], target.shapes[j])
        if not factor:
            return NO_FIT
        if transform is Transform.TRANSPOSE and self._tables_stay and (_is_table(source, i) or _is_table(target, j)):
            if source.shapes[i] == target.shapes[j]:
                transform = Transform.NONE
            elif {source.shapes[i], target.shapes[j]} & self._kept_tables:
                return NO_FIT
        ours, theirs = source.leaves[i], target.leaves[j]
        spec_a, spec_b = source.specs[ours[main_a]], target.specs[theirs[main_b]]
        if is_float(spec_a.dtype) != is_float(spec_b.dtype):
            return NO_FIT
        if main_a != main_b:
            shared = main_a if main_a in theirs else main_b if main_b in ours else None
            if shared is None or source.specs[ours[shared]].shape != target.specs[theirs[shared]].shape:
                factor *= 0.15
            else:
                main_a = main_b = shared
        normed = main_a == main_b == "weight" and (MAGNITUDE in ours) != (MAGNITUDE in theirs)
        pairs = [] if normed else [(main_a, main_b)]
        open_a = [leaf for leaf in ours if leaf != main_a and not (normed and leaf == MAGNITUDE)]
        open_b = [leaf for leaf in theirs if leaf != main_b and not (normed and leaf == MAGNITUDE)]
        for leaf in [leaf for leaf in open_a if leaf in open_b]:
            a, b = source.specs[ours[leaf]].shape, target.specs[theirs[leaf]].shape
            if a != b and not (self.allow_transforms and (squeezed(a) == squeezed(b) or _flattened(a, b))):
                return NO_FIT
            pairs.append((leaf, leaf))
            open_a.remove(leaf)
            open_b.remove(leaf)
        for leaf in [leaf for leaf in open_a if leaf in open_a]:
            spec = source.specs[ours[leaf]]
            near = [
                other
                for other in open_b
                if ("x:" in (leaf[:2], other[:2]))
                and target.specs[theirs[other]].shape == spec.shape
                and target.specs[theirs[other]].dtype == spec.dtype
            ]
            if near:
                best = max(near, key=lambda other: fuzz.ratio(other, leaf))
                pairs.append((leaf, best))
                open_a.remove(leaf)
                open_b.remove(best)
                factor *= 0.95
        for leaf in (*open_a, *open_b):
            factor *= 0.97 if leaf in FREE_LEAVES else 0.9 if leaf[:2] == "x:" else 0.7
        return Fit(factor, transform, tuple(pairs), normed)


def _style(tree: Tree, unit: int) -> Style:
    """How a unit is written: its leaves, and which dimensions of each have a length of one."""
    specs = tree.specs
    return tuple(sorted((leaf, tuple(d == 1 for d in specs[row].shape)) for leaf, row in tree.leaves[unit].items()))


def _flattened(a: Shape, b: Shape) -> bool:
    """Whether one shape is the other with all its dimensions made one (heads of a bias)."""
    return 1 in (len(a), len(b)) and prod(a) == prod(b)


def _joined(a: Shape, b: Shape) -> bool:
    """Whether one shape is the other with neighbouring dimensions made one (heads and their width), turned or not."""
    short, long = sorted((a, b), key=len)
    if len(short) < 2:
        return bool(short) and short[0] == long[0]
    return not {prod(long[:cut]) for cut in range(1, len(long))}.isdisjoint((short[0], short[-1]))


def _kernels_last(a: Shape, b: Shape) -> bool:
    """Whether one shape is (window, in, out) of a convolution and the other (out, in, window) or (in, out, window)."""
    return any(
        last == (out, into, *window) or last == (into, out, *window) for (*window, into, out), last in ((a, b), (b, a))
    )


def _is_table(tree: Tree, unit: int) -> bool:
    """Whether a matrix without a bias is a table of embeddings by its name, which keeps its rows where others turn."""
    node = tree.nodes[unit]
    if len(tree.shapes[unit]) != 2 or len(tree.leaves[unit]) > 1:
        return False
    own = words(node.stem) or (words(node.parent.stem) if node.parent is not None else ())
    named = _TABLE_WORDS.intersection(own) and not _MAP_WORDS.intersection(own)
    return bool(named) and (not node.indices or "embed" in own)


def _tables(source: Tree, target: Tree) -> tuple[set[Shape], set[Shape]]:
    """Shapes of embedding tables of unequal sides that both listings have, and those that one of them has turned."""
    ours, theirs = ({tree.shapes[u] for u in range(len(tree.nodes)) if _is_table(tree, u)} for tree in (source, target))
    oblong = {shape for shape in ours if shape[0] != shape[1]}
    return oblong & theirs, {shape for shape in oblong if shape[::-1] in theirs}


class _Matrices(NamedTuple):
    """Oblong weight matrices: by shape and length of the bias, by shape and own name; and what weights are called."""

    sizes: Counter[tuple[Shape, int | None]]
    names: Counter[tuple[Shape, tuple[str, ...]]]
    kernels: bool


def _agreement(
    ours: Counter[tuple[Shape, Label]], theirs: Counter[tuple[Shape, Label]]
) -> dict[Shape, tuple[float, float, float]]:
    """For each pair of lengths: matrices, how many could pair as they are, and how many as transposes.

    Each side's counts are taken as shares, so that missing layers change nothing.
    """
    totals: tuple[Counter[Shape], Counter[Shape]] = (Counter(), Counter())
    for side, counts in zip(totals, (ours, theirs), strict=True):
        for (shape, _), count in counts.items():
            side[min(shape), max(shape)] += count
    found: dict[Shape, tuple[float, float, float]] = {}
    for (shape, label), count in ours.items():
        lengths = (min(shape), max(shape))
        if not totals[1][lengths]:
            continue
        scale = totals[0][lengths] / totals[1][lengths]
        all_, same, turned = found.get(lengths, (0.0, 0.0, 0.0))
        same += min(count, theirs[shape, label] * scale)
        turned += min(count, theirs[shape[::-1], label] * scale)
        found[lengths] = (all_ + count, same, turned)
    return found


def _matrices(tree: Tree) -> _Matrices:
    found = _Matrices(Counter(), Counter(), 4 * sum(s.key.endswith(_KERNELS) for s in tree.specs) > len(tree.specs))
    for leaves, main, shape, node in zip(tree.leaves, tree.main, tree.shapes, tree.nodes, strict=True):
        if main == "weight" and len(shape) == 2 and shape[0] != shape[1] and min(shape) > 1:
            bias = tree.specs[leaves["bias"]].shape if "bias" in leaves else ()
            found.sizes[shape, bias[0] if len(bias) == 1 else None] += 1
            found.names[shape, (*words(node.stem), str(node.index))] += 1
    return found
