"""Forecast: what ``load_state_dict`` would say of a plan's result."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from .listing import Listing, TensorSpec
from .plan import Plan


class Forecast(msgspec.Struct, frozen=True):
    """Keys that the target would not get, would not know, or would get in another shape."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    @property
    def loads(self) -> bool:
        """Whether ``load_state_dict(strict=True)`` would succeed."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        missing, unexpected, mismatched = map(len, (self.missing, self.unexpected, self.mismatched))
        return f"{missing:,} missing, {unexpected:,} unexpected, {mismatched:,} mismatched"


def forecast(plan: Plan, source: Listing, target: Listing) -> Forecast:
    """Compare what a plan writes with what the target asks for."""
    written = {key: op.result(source[op.source].shape) for key, op in plan.outputs()}
    return Forecast(
        tuple(spec.key for spec in target if spec.key not in written),
        tuple(key for key in written if key not in target),
        tuple(key for key, shape in written.items() if key in target and not _loads(shape, target[key].shape)),
    )


def tie_hint(found: Forecast, plan: Plan, target: Listing) -> str | None:
    """What to do where a tensor is missing that the source may tie to another one, which files may hold once only."""
    for missing in found.missing:
        shape = target[missing].shape
        alike = [op for key, op in plan.outputs() if key in target and target[key].shape == shape]
        if len(shape) > 1 and len(alike) == 1 and alike[0].kind == "rename":
            return (
                f"{missing!r} is missing: where the source ties it to {alike[0].source!r}, put "
                f'"aliases": {{"{missing}": "{alike[0].source}"}} into the report and apply that'
            )
    return None


def _loads(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether ``Module.load_state_dict`` takes the shape; it gives a scalar the element of a vector of one."""
    return given == wanted or (given == (1,) and wanted == ())


def first_moved(plan: Plan, source: Listing, target: Listing) -> tuple[int, str | None, str | None] | None:
    """Where the parameters begin to come in another order, for whatever is kept by their number.

    Returns:
        A number, and the source's and the target's parameter of that number, ``None`` where there is none; ``None``
        where all parameters keep their numbers. Tied parameters count once, as ``Module.parameters()`` counts them.
    """
    names = {op.source: op.target for op in plan.operations if op.kind != "alias"}
    here: list[tuple[str, str | None]] = []
    for spec in source:
        new = names.get(spec.key)
        known = target[new] if new is not None and new in target else None
        judged = known if known is not None and spec.kind is None else spec
        if spec.shares is None and _is_parameter(judged):
            here.append((spec.key, None if known is None else known.shares or known.key))
    there = [spec.key for spec in target if spec.shares is None and _is_parameter(spec)]
    for number, (mine, theirs) in enumerate(zip_longest(here, there)):
        if mine is None or mine[1] != theirs:
            return number, mine and mine[0], theirs
    return None


def _is_parameter(spec: TensorSpec) -> bool:
    return not spec.is_buffer and (spec.kind is not None or "float" in spec.dtype or "complex" in spec.dtype)
