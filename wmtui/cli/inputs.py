"""What a run reads: mappings, and what no output may replace, not even by force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wmtui.core.report import MAX_BYTES
from wmtui.errors import InputError, MissingError
from wmtui.files.regular_file import unreachable

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


class Inputs:
    """The files of both sides: checkpoints with all their shards, indexes and metadata, listings, and models' code."""

    def __init__(self, *sides: OpenedSide | None) -> None:
        self._known: set[tuple[int, int]] = set()
        for side in sides:
            if side is not None:
                self._known.update(found for path in _files(side) if (found := _identity(path)) is not None)

    def problem(self, path: Path) -> InputError | None:
        """Why nothing may be written there."""
        if _identity(path) not in self._known:
            return unreachable(path)
        return InputError(f"{path} is an input", "Choose another output: no input is ever written to.")


def read_small(path: str) -> bytes:
    """The bytes of a mapping or a report.

    Raises:
        MissingError: there is no such file.
        InputError: it cannot be read or is too large for one.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MissingError(f"there is no file {path}", "Check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "Give a mapping or a report.") from None


def _files(opened: OpenedSide) -> list[Path]:
    location = opened.source.location
    code, _, name = str(location).rpartition(":")
    index = getattr(opened.source, "index", None)
    named = [location, location / ".metadata", *([Path(code)] if name else []), *([index] if index else [])]
    return [*named, *opened.source.files]


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file by whatever name it is reached; ``None`` for what is no file."""
    try:
        info = path.stat()
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if path.is_file() else None
