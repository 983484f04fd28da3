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
    -11.060, 3.195, 1.023, 4.192, 0.235, 4.029, 0.022, 3.888, 3.132,
    9.870, 1.256, -0.297, -1.925, -1.123, 1.486, 0.528, -2.983, 1.476,
    -0.533, -2.428, 1.473, -0.218, -0.399, 3.825, -0.309,
)  # fmt: skip
"""Of a fit to all pairs and orders; the first is 0.23 higher, since strays are doubted apart (`of_stray`)."""


_STRAY = 1.0
"""In the log odds."""


def clip(value: float, low: float, high: float) -> float:
    """``value`` within ``low`` and ``high``."""
    return min(max(value, low), high)


def confidence(features: Sequence[float]) -> float:
    """Chance that a pair with these features is right, 0 to 1."""
    z = sum(weight * value for weight, value in zip(WEIGHTS, features, strict=True))
    return 1 / (1 + math.exp(-clip(z, -30.0, 30.0)))


def of_stray(chance: float) -> float:
    """Chance that a pair is right where most keys of its group go to another group.

    Of the decisions at 0.9 and more on 213 pairs in six forms one of 22 was wrong where that was so, else one of 230.
    """
    odds = chance / max(1 - chance, 1e-9) * math.exp(-_STRAY)
    return odds / (1 + odds)
