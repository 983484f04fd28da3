"""The best one-to-one assignment of a matrix, and by how much each of its pairs is the best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


def assign(weights: Floats) -> dict[int, int]:
    """Row -> column of the assignment with the largest sum; cells of zero are no pair."""
    if weights.size == 0:
        return {}
    rows, columns = linear_sum_assignment(-weights)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if weights[i, j] > 0}


def margins(weights: Floats, chosen: Mapping[int, int]) -> dict[int, float]:
    """Loss of the best alternative to each chosen pair, in which the displaced partner takes our seat; at most 1e18.

    Args:
        weights: shape (m, n), 0 where a pair cannot be.
        chosen: row -> column.
    """
    back = {j: i for i, j in chosen.items()}
    found: dict[int, float] = {}
    for i, j in chosen.items():
        own = weights[i, j]
        best = 1e18
        row = weights[i]
        for other in np.flatnonzero(row > 0).tolist():
            if other != j:
                rival = back.get(other)
                loss = own - row[other]
                if rival is not None:
                    loss += weights[rival, other] - weights[rival, j]
                best = min(best, loss)
        column = weights[:, j]
        for free in np.flatnonzero(column > 0).tolist():
            if free != i and free not in chosen:
                best = min(best, own - column[free])
        found[i] = float(best)
    return found
