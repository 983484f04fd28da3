"""The ports that look into tensors without loading the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmtui.core.ports import CancelledCall, ProgressCall, SideName
from wmtui.core.tensor_stats import ScanResult, TensorStats
from wmtui.errors import InputError

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


class Describer:
    """The describe port of one or two sides; files are read when it is asked.

    Args:
        source: the side that is called the source; the only one where there is one.
        target: the other one.
    """

    def __init__(self, source: OpenedSide, target: OpenedSide | None = None) -> None:
        self._source = source
        self._target = target if target is not None else source

    def stats(self, side: SideName, key: str) -> TensorStats | None:
        """Statistics of one tensor, ``None`` where the side holds no values."""
        from wmtui.files.tensors import describe

        opened = self._source if side == "source" else self._target
        if not opened.source.files:
            return None
        return describe(opened.source, opened.side.listing[key])

    def equal(self, source: str, target: str) -> bool | None:
        """Whether two tensors hold the same values, ``None`` where one side has none."""
        from wmtui.files.tensors import equal_values

        if not (self._source.source.files and self._target.source.files):
            return None
        try:
            return equal_values(self._source.source, source, self._target.source, target)
        except InputError:
            return None


class Scanner:
    """The scan port: NaN and infinity in all tensors of a side."""

    def __init__(self, opened: OpenedSide) -> None:
        self._opened = opened

    def __call__(self, progress: ProgressCall, cancelled: CancelledCall) -> ScanResult:
        """Read all data.

        Raises:
            Cancelled: it was stopped.
        """
        from wmtui.files.tensors import scan

        return scan(self._opened.source, self._opened.side.listing, progress, cancelled)
