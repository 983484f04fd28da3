"""Ports: what the screen asks of the outside world. The command line plugs files into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:  # whoever only reads a file needs none of them
    from .decisions import Decision
    from .forecast import Forecast
    from .match_options import MatchOptions
    from .plan import Unmapped
    from .proposal import Facts, Proposal
    from .session import Session
    from .tensor_stats import ScanResult, TensorStats

SideName = Literal["source", "target"]


class Progress(msgspec.Struct, frozen=True):
    """How far long work has come.

    Attributes:
        stage: what is done now, in plain words.
        done, total: bytes, or keys where no bytes are moved; ``total`` 0 where it is not known.
    """

    stage: str
    done: int = 0
    total: int = 0


ProgressCall = Callable[[Progress], None]
CancelledCall = Callable[[], bool]


class SaveRequest(msgspec.Struct, frozen=True):
    """What to save; an empty path leaves that output out. ``strict_load``: load the checkpoint into the target."""

    mapping_path: str = ""
    report_path: str = ""
    checkpoint_path: str = ""
    unmapped: Unmapped = "drop"
    include_pending: bool = False
    force: bool = False
    strict_load: bool = False


class Saved(msgspec.Struct, frozen=True):
    """One output that was written: what it is, where, how large, and what to know about it."""

    what: str
    path: str
    nbytes: int
    notes: tuple[str, ...] = ()


class JournalPort(Protocol):
    """Keeps decisions as they are taken."""

    def append(self, decision: Decision) -> None:
        """Make the decision durable, before it is applied.

        Raises:
            WriteError: it could not be written; it is kept and tried again with the next one.
        """

    def take_over(self) -> None:
        """Keep the earlier decisions as this pair's own, where they are about other files with equal keys.

        Raises:
            WriteError: they could not be written; they are kept and tried again with the next decision.
        """

    def start_afresh(self) -> None:
        """Put the earlier decisions aside; what is appended from now on begins a new journal.

        Raises:
            WriteError: it could not.
        """


class MatchPort(Protocol):
    """Runs the matcher for the two sides of the session; called in a worker."""

    def __call__(self, facts: Facts, progress: ProgressCall, cancelled: CancelledCall) -> Proposal: ...

    def tune(self, options: MatchOptions) -> None:
        """Work with other options from the next call on."""


class SavePreview(msgspec.Struct, frozen=True):
    """What a save would do, shown before it is done.

    Attributes:
        outputs: what would be written, with the bytes it takes.
        problems: why it cannot be done (output exists, folder not writable, disk full, two sources to one target).
        renamed, transformed, aliased, kept, dropped: counts of keys.
        forecast: what ``load_state_dict`` would say of the result.
    """

    outputs: tuple[Saved, ...]
    problems: tuple[str, ...]
    renamed: int
    transformed: int
    aliased: int
    kept: int
    dropped: int
    forecast: Forecast


class SavePort(Protocol):
    """Writes the outputs of a session; called in a worker while the session stands still."""

    def suggest(self) -> SaveRequest:
        """The paths that the save screen starts with; no checkpoint where the source has no weights."""

    def preview(self, request: SaveRequest, session: Session) -> SavePreview:
        """What the request would do; writes nothing."""

    def save(
        self, request: SaveRequest, session: Session, progress: ProgressCall, cancelled: CancelledCall
    ) -> tuple[Saved, ...]:
        """Write what was asked for; each file appears whole or not at all.

        Raises:
            WmtuiError: it could not; Cancelled: it was stopped. What was there before is untouched.
        """


class DescribePort(Protocol):
    """Looks into tensors without loading the rest; called in a worker."""

    def stats(self, side: SideName, key: str) -> TensorStats | None:
        """Statistics of one tensor; ``None`` where the side holds no values (a listing, a model)."""

    def equal(self, source: str, target: str) -> bool | None:
        """Whether two tensors hold the same values; ``None`` where one side has none."""


class ScanPort(Protocol):
    """Looks for NaN and infinity in all tensors; called in a worker."""

    def __call__(self, progress: ProgressCall, cancelled: CancelledCall) -> ScanResult:
        """Read all data.

        Raises:
            Cancelled: it was stopped.
        """
