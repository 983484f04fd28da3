"""Forecast: what ``load_state_dict`` would say of a plan's result."""

from __future__ import annotations

import msgspec

from .listing import Listing
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
    written = {key: op.result(source[op.sources[0]].shape) for key, op in plan.outputs()}
    return Forecast(
        tuple(spec.key for spec in target if spec.key not in written),
        tuple(key for key in written if key not in target),
        tuple(key for key, shape in written.items() if key in target and not _loads(shape, target[key].shape)),
    )


def _loads(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether ``Module.load_state_dict`` takes the shape; it gives a scalar the element of a vector of one."""
    return given == wanted or (given == (1,) and wanted == ())
