"""Writes a checkpoint as the command line's options ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from wmtui.core.plan import Plan, Unmapped
from wmtui.core.ports import CancelledCall, ProgressCall
from wmtui.core.side import Side
from wmtui.errors import InputError, WmtuiError

if TYPE_CHECKING:
    from wmtui.cli.loading import Loaded
    from wmtui.files.source import OpenedSide
    from wmtui.files.writing import Written


def check_comparison(args: argparse.Namespace) -> None:
    """See that a source model will be run, rather than say nothing of it and seem content.

    Raises:
        InputError: it would not be.
    """
    missing = [name for name, given in (("--strict-load", args.strict_load), ("--input", args.input)) if not given]
    if args.source_model and missing:
        raise InputError(f"--source-model needs {' and '.join(missing)} too", "Give that, or leave out the model.")


class WriteOptions(msgspec.Struct, frozen=True):
    """How a checkpoint is written: the options of the command line that no screen changes."""

    format: Literal["source", "safetensors", "torch"] = "source"
    shard_size: int | None = None
    also: tuple[str, ...] = ()
    optimizer: bool = False
    verify: bool = False
    source_model: str | None = None
    inputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, args: argparse.Namespace) -> WriteOptions:
        """As the command line gives them."""
        return cls(
            args.format,
            args.shard_size,
            tuple(args.also),
            args.optimizer,
            args.verify,
            args.source_model,
            tuple(args.input),
        )

    def problems(
        self, source: OpenedSide, plan: Plan, path: Path, *, unmapped: Unmapped, force: bool
    ) -> tuple[WmtuiError, ...]:
        """Why :meth:`write` would refuse; writes nothing."""
        from wmtui.files.writing import check_write

        return check_write(
            source,
            plan,
            path,
            format=self.format,
            shard_size=self.shard_size,
            also=self.also,
            optimizer=self.optimizer,
            others=unmapped,
            force=force,
        )

    def warnings(self, source: OpenedSide, plan: Plan, target: Side | None) -> tuple[str, ...]:
        """What the result would hold that does not fit any more, one line each."""
        if not source.source.files:
            return ()
        from wmtui.files.writing import warnings_of

        return warnings_of(source, plan, target, format=self.format, shard_size=self.shard_size)

    def write(
        self,
        source: OpenedSide,
        plan: Plan,
        path: Path,
        *,
        unmapped: Unmapped,
        force: bool,
        progress: ProgressCall,
        cancelled: CancelledCall | None = None,
    ) -> Written:
        """Write the renamed checkpoint, whole or not at all.

        Raises:
            WmtuiError: it could not be written, or was stopped; what was there before is untouched.
        """
        from wmtui.files.writing import write_checkpoint

        return write_checkpoint(
            source,
            plan,
            path,
            format=self.format,
            shard_size=self.shard_size,
            also=self.also,
            optimizer=self.optimizer,
            others=unmapped,
            force=force,
            verify=self.verify,
            progress=progress,
            cancelled=cancelled,
        )

    def load(self, written: Path, source: OpenedSide, target: OpenedSide) -> Loaded:
        """Load what was written into the target."""
        from wmtui.cli.loading import strict_load

        return strict_load(written, target, source=source, source_model=self.source_model, inputs=self.inputs)
