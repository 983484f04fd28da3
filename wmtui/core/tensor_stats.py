"""What is known of one tensor's data, for the details view and for checks of whole files."""

from __future__ import annotations

import msgspec


class TensorStats(msgspec.Struct, frozen=True):
    """Statistics of one tensor, over its finite elements where floats are concerned.

    Attributes:
        key: the tensor.
        shape: lengths of the dimensions.
        dtype: torch's name without the module.
        numel: number of elements, finite or not.
        minimum: least finite element; ``None`` where there is none (as for the next three).
        maximum: largest finite element.
        mean: mean of the finite elements.
        std: their standard deviation (population).
        nan: number of NaNs.
        inf: number of infinities of either sign.
        zeros: number of zeros.
        histogram: counts in equal bins from ``minimum`` to ``maximum``; empty where there is no finite element.
        first: the first elements in row-major order, as text ready for the screen.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    numel: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    nan: int
    inf: int
    zeros: int
    histogram: tuple[int, ...] = ()
    first: tuple[str, ...] = ()


class ScanResult(msgspec.Struct, frozen=True):
    """What a check of all tensors found.

    Attributes:
        checked: number of tensors whose data were read.
        nbytes: bytes that were read.
        bad: key -> (number of NaNs, number of infinities), only where there are any.
        skipped: key -> why its data could not be read.
    """

    checked: int
    nbytes: int
    bad: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}
