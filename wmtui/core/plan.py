"""Plans: the checked list of what a renamed checkpoint will hold, before a byte is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Literal

import msgspec

from wmtui.errors import KeyMissingError, PlanError

from .listing import Listing
from .proposal import Transform

Unmapped = Literal["keep", "drop"]
Shape = tuple[int, ...]

PERMUTATIONS: tuple[tuple[int, ...], ...] = (
    (1, 0),
    (2, 1, 0),
    (2, 0, 1),
    (1, 2, 0),
    (0, 2, 1),
    (3, 2, 0, 1),
    (2, 3, 1, 0),
    (2, 3, 0, 1),
    (1, 0, 2, 3),
    (4, 3, 0, 1, 2),
    (2, 3, 4, 1, 0),
)
"""Transpositions between conventions, by rank, the likelier first.

Two dimensions: Linear against Conv1D and Dense. Three: a Conv1d kernel, width last against width first. Four: height
and width first (TensorFlow, Flax) against last (PyTorch), its depthwise form, and a transposed convolution.
"""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One step of a plan.

    Attributes:
        kind: ``rename`` (also where the name stays), ``alias`` (one storage under a further name), ``transpose``
            or ``reshape``.
        source, target: keys.
        permutation: of the dimensions, for ``transpose``.
        shape: of the result, for ``reshape``, and after a transposition between different numbers of dimensions.
    """

    kind: Literal["rename", "alias", "transpose", "reshape"]
    source: str
    target: str
    permutation: tuple[int, ...] | None = None
    shape: Shape | None = None

    def result(self, shape: Shape) -> Shape:
        """The shape that a tensor of this shape comes out with."""
        if self.shape is not None:
            return self.shape
        return tuple(shape[d] for d in self.permutation) if self.permutation is not None else shape


class Plan(msgspec.Struct, frozen=True):
    """What to write, in the source's order.

    Attributes:
        operations: for every key that will be written.
        kept: unmapped source keys that are written under their own names (each has its ``rename`` operation too).
        dropped: source keys that are not written.
    """

    operations: tuple[Operation, ...]
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def aliases(self) -> dict[str, str]:
        """Further name -> source key whose storage it gets."""
        return {op.target: op.source for op in self.operations if op.kind == "alias"}

    @property
    def mapping(self) -> dict[str, str]:
        """Source key -> target key of the mapped pairs, without aliases and kept keys."""
        kept = set(self.kept)
        return {op.source: op.target for op in self.operations if op.kind != "alias" and op.source not in kept}

    def outputs(self) -> Iterator[tuple[str, Operation]]:
        """(key in the new checkpoint, its operation) in the order of writing."""
        return ((op.target, op) for op in self.operations)


def permutation_between(source: Shape, target: Shape) -> tuple[int, ...] | None:
    """The likeliest transposition that turns one shape into the other; ``None`` where there is none.

    Where the numbers of dimensions differ, those of length 1 are put first and the others transposed, so that a
    reshape to the target is left (a 1x1 convolution ``[1, 1, in, out]`` against a linear layer ``[out, in]``).
    """
    for permutation in PERMUTATIONS:
        if len(permutation) == len(source) and tuple(source[d] for d in permutation) == target:
            return permutation
    if len(source) == len(target):
        return None
    wide = tuple(d for d, length in enumerate(source) if length != 1)
    squeezed = tuple(length for length in target if length != 1)
    inner = permutation_between(tuple(source[d] for d in wide), squeezed) if len(wide) == len(squeezed) else None
    if inner is None:
        return None
    return (*(d for d, length in enumerate(source) if length == 1), *(wide[d] for d in inner))


def transform_between(source: Shape, target: Shape) -> Transform | None:
    """The plainest transform from one shape to the other; ``None`` where they hold different numbers of elements."""
    if source == target:
        return Transform.NONE
    only_ones_differ = [d for d in source if d != 1] == [d for d in target if d != 1] and len(source) != len(target)
    if not only_ones_differ and permutation_between(source, target) is not None:
        return Transform.TRANSPOSE
    return Transform.RESHAPE if prod(source) == prod(target) else None


def make_plan(
    source: Listing,
    pairs: Iterable[tuple[str, str, Transform]],
    *,
    unmapped: Unmapped,
    target: Listing | None = None,
    representable: Callable[[str], str | None] | None = None,
) -> Plan:
    """Check pairs of (source key, target key, transform) and lay them out as a plan.

    Where the target is known, a pair whose target is tied serves the tied names of its shape that get nothing of
    their own (neither a pair nor a kept key) as aliases, and a transform is carried out to the target's shape.

    Args:
        unmapped: whether source keys without a pair are written under their own names or left out.
        representable: why a format cannot hold a key, ``None`` where it can.

    Raises:
        KeyMissingError: a source key that is not in the listing.
        PlanError: two sources for one target, a source twice, a kept key in the way of a target, shapes that no
            transform joins, a transform to a shape that is not known, a tensor of an unusual kind that must change,
            a key that the format cannot hold.
    """
    steps: dict[str, Operation] = {}
    taken: dict[str, str] = {}
    for s, t, transform in pairs:
        if s not in source:
            raise KeyMissingError(f"the source has no key {s!r}", "Check the mapping against the checkpoint's listing.")
        if s in steps:
            raise PlanError(f"the source key {s!r} is mapped twice", "Give each source key one target.")
        if t in taken:
            raise PlanError(f"{taken[t]!r} and {s!r} would both become {t!r}", "Give each target key one source.")
        s = source[s].key  # the same text, which the listing keeps anyway
        taken[t] = s
        steps[s] = _operation(source, s, t, transform, target)
    stays = set() if unmapped == "drop" else {spec.key for spec in source if spec.key not in steps}
    aliases: dict[str, list[Operation]] = {}
    if target is not None:
        for t, s in list(taken.items()):
            for further in target.tied_to(t) if t in target else ():
                if further not in taken and further not in stays and target[further].shape == target[t].shape:
                    taken[further] = s
                    aliases.setdefault(s, []).append(msgspec.structs.replace(steps[s], kind="alias", target=further))
    operations: list[Operation] = []
    kept: list[str] = []
    dropped: list[str] = []
    for spec in source:
        step = steps.get(spec.key)
        if step is not None:
            operations += [step, *aliases.get(spec.key, ())]
        elif spec.key not in stays:
            dropped.append(spec.key)
        elif spec.key in taken:
            raise PlanError(
                f"{taken[spec.key]!r} would become {spec.key!r}, which stays as it is",
                f"Map {spec.key!r} too, or drop what is not mapped.",
            )
        else:
            kept.append(spec.key)
            operations.append(Operation("rename", spec.key, spec.key))
    plan = Plan(tuple(operations), tuple(kept), tuple(dropped))
    if representable is not None:
        for key, _ in plan.outputs():
            reason = representable(key)
            if reason is not None:
                raise PlanError(f"the key {key!r} cannot be written: {reason}", "Choose another target name or format.")
    return plan


def _operation(source: Listing, s: str, t: str, transform: Transform, target: Listing | None) -> Operation:
    spec = source[s]
    if transform is Transform.NONE:
        return Operation("rename", s, t)
    if target is None or t not in target:
        raise PlanError(
            f"{s!r} needs a {transform} to become {t!r}, whose shape is not known", "Give the target, or a report."
        )
    wanted = target[t].shape
    if spec.type_name is not None:
        raise PlanError(
            f"{s!r} is a {spec.type_name}, which cannot be changed in shape", "Convert it to a plain tensor first."
        )
    if transform is Transform.TRANSPOSE:
        permutation = permutation_between(spec.shape, wanted)
        if permutation is not None:
            shape = wanted if len(wanted) != len(spec.shape) else None
            return Operation("transpose", s, t, permutation=permutation, shape=shape)
    elif prod(spec.shape) == prod(wanted):
        return Operation("reshape", s, t, shape=wanted)
    raise PlanError(
        f"no {transform} turns {s!r} {list(spec.shape)} into {t!r} {list(wanted)}", "Choose another target for it."
    )
