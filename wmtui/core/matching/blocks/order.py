"""Order evidence: how much a pair would cost the best alignment that keeps both listings' orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SOFTNESS = 0.35
_MOST_WITNESSES = 60
_MOST_WEIGHT = 12


def prefix_sums(weights: Floats) -> Floats:
    """Best order-preserving sum for every pair of prefixes, shape (m + 1, n + 1) for weights of shape (m, n)."""
    rows, columns = weights.shape
    sums: Floats = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        best = np.maximum(sums[i, 1:], sums[i, :-1] + weights[i])
        sums[i + 1, 1:] = np.maximum.accumulate(best)
    return sums


def best_alignment(weights: Floats) -> list[tuple[int, int]]:
    """Cells of the best order-preserving alignment; of several the one that comes last."""
    sums = prefix_sums(weights)
    i, j = weights.shape
    cells = []
    while i and j:
        gain, total = float(weights[i - 1, j - 1]), float(sums[i, j])
        if gain > 0 and abs(total - sums[i - 1, j - 1] - gain) < 1e-9 * max(1.0, total):
            i, j = i - 1, j - 1
            cells.append((i, j))
        elif total == sums[i - 1, j]:
            i -= 1
        else:
            j -= 1
    return cells[::-1]


def closeness(weights: Floats) -> Floats:
    """For each cell exp(-loss / 0.35), with the loss of forcing it into the best order-preserving alignment; 0 to 1."""
    before = prefix_sums(weights)
    after = prefix_sums(weights[::-1, ::-1])[::-1, ::-1]
    loss = before[-1, -1] - (before[:-1, :-1] + weights + after[1:, 1:])
    result: Floats = np.exp(-loss / _SOFTNESS)
    return result


def global_closeness(
    weights: Floats,
    places_a: Sequence[float],
    places_b: Sequence[float],
    anchors: Sequence[tuple[int, int]],
) -> Floats:
    """:func:`closeness` of units at the given places, with matched blocks as anchors.

    Args:
        weights: shape (m, n), above zero where a pair can be.
        places_a, places_b: m and n places in the order of the listing.
        anchors: places (source, target) where matched blocks begin.
    """
    rows = sorted(
        [(float(p), k) for k, p in enumerate(places_a)] + [(p - 0.5, -1 - k) for k, (p, _) in enumerate(anchors)]
    )
    columns = sorted(
        [(float(p), k) for k, p in enumerate(places_b)] + [(p - 0.5, -1 - k) for k, (_, p) in enumerate(anchors)]
    )
    row_of, column_of = np.array([k for _, k in rows]), np.array([k for _, k in columns])
    real_rows, real_columns = np.flatnonzero(row_of >= 0), np.flatnonzero(column_of >= 0)
    full: Floats = np.zeros((len(rows), len(columns)))
    full[np.ix_(real_rows, real_columns)] = weights[np.ix_(row_of[real_rows], column_of[real_columns])]
    for i in np.flatnonzero(row_of < 0):
        for j in np.flatnonzero(column_of < 0):
            if row_of[i] == column_of[j]:
                full[i, j] = 3.0
    close = closeness(full)
    result: Floats = np.zeros_like(weights)
    result[np.ix_(row_of[real_rows], column_of[real_columns])] = close[np.ix_(real_rows, real_columns)]
    result[weights <= 0] = 0.0
    return result


def concordance(pairs: Sequence[tuple[float, float, bool]]) -> tuple[float, float]:
    """How many pairs of sure pairs stand in the same order on both sides, and how many there are, at most 12.

    Args:
        pairs: (source place, target place, kind); only pairs of one kind are compared.
    """
    by_kind: defaultdict[bool, list[tuple[float, float]]] = defaultdict(list)
    for i, j, kind in pairs:
        by_kind[kind].append((i, j))
    agree = total = 0
    for members in by_kind.values():
        members = sorted(members)[:_MOST_WITNESSES]
        for k, (_, j) in enumerate(members):
            for _, other in members[k + 1 :]:
                total += 1
                agree += j < other
    scale = min(total, _MOST_WEIGHT) / total if total else 0.0
    return agree * scale, total * scale
