"""What a match can be asked for."""

from __future__ import annotations

import msgspec

from wmtui.core.scores import ScoreWeights


class MatchOptions(msgspec.Struct, frozen=True):
    """Options of a match.

    Attributes:
        weights: of the documented composite, as candidates show it; they do not move the proposal.
        shape_tolerance: relative difference of lengths at which leftover tensors may still pair.
        allow_transforms: also propose transposed and reshaped tensors.
    """

    weights: ScoreWeights = ScoreWeights()
    shape_tolerance: float = 0.0
    allow_transforms: bool = True
