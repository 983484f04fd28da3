"""Calibrated confidence: a logistic model over what decided a pair.

The weights come from ``benchmarks/fit_confidence.py``; :data:`FEATURES` names them in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FEATURES = (
    "one",
    "still margin below 0",
    "still margin to 0.05",
    "still margin to 0.3",
    "margin to 0.06",
    "margin to 0.3",
    "family margin to 0.06",
    "family margin to 0.3",
    "support",
    "shape",
    "order",
    "contrasted name",
    "trust",
    "votes",
    "name",
    "name or votes",
    "elsewhere",
    "elsewhere x name",
    "elsewhere x role taken",
    "at the root",
    "at the root x name or votes",
    "at the root x name",
    "rarity",
    "at the root x rarity",
    "balanced",
)
"""``still`` margins are without the evidence of order and roles."""

WEIGHTS = (
    -3.452, 1.437, -0.293, 4.359, 1.430, 2.438, 2.324, 6.141, 5.233,
    0.381, 0.946, -2.242, -1.961, 0.040, 3.564, -0.601, -1.677, -0.190,
    -1.904, -1.658, 0.831, -0.479, 3.326, 3.145, 0.543,
)  # fmt: skip


def clip(value: float, low: float, high: float) -> float:
    """``value`` within ``low`` and ``high``."""
    return min(max(value, low), high)


def confidence(features: Sequence[float]) -> float:
    """Chance that a pair with these features is right, 0 to 1."""
    z = sum(weight * value for weight, value in zip(WEIGHTS, features, strict=True))
    return 1 / (1 + math.exp(-clip(z, -30.0, 30.0)))
