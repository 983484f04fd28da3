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
    -1.355, -0.509, -2.019, 9.941, -3.533, 3.003, -5.07, 3.402, 5.322, 0.145, 0.965, -1.907, -0.94,
    -0.984, 2.036, 0.175, -4.877, 4.459, -1.801, -1.283, 3.495, 0.497, 1.722, -0.956, 0.727,
)  # fmt: skip


def clip(value: float, low: float, high: float) -> float:
    """``value`` within ``low`` and ``high``."""
    return min(max(value, low), high)


def confidence(features: Sequence[float]) -> float:
    """Chance that a pair with these features is right, 0 to 1."""
    z = sum(weight * value for weight, value in zip(WEIGHTS, features, strict=True))
    return 1 / (1 + math.exp(-clip(z, -30.0, 30.0)))
