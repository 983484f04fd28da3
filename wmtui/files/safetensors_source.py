"""Sides that lie in safetensors files: one file, or the shards of one checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wmtui.core.listing import TensorSpec
from wmtui.errors import FormatError, KeyMissingError
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.safetensors_header import Header, torch_view
from wmtui.files.source import Place, Source


class SafetensorsSource(Source):
    """One or more safetensors files whose tensors make one listing.

    Attributes:
        headers: of the files, in order.
        index: the index file of a sharded checkpoint; else ``None``.
        order: all keys in the listing's order -> number of the header that holds them.
    """

    def __init__(
        self, location: Path, headers: Sequence[Header], index: Path | None = None, order: Sequence[str] = ()
    ) -> None:
        self.location = location
        self.headers = tuple(headers)
        self.index = index
        self.files = tuple(header.path for header in headers)
        held: dict[str, int] = {}
        for i, header in enumerate(headers):
            for key in header.entries:
                if key in held:
                    raise FormatError(
                        f"{header.path}: {key!r} is in {headers[held[key]].path.name} too",
                        "remove the file that does not belong",
                    )
                held[key] = i
        self.order = {key: held[key] for key in order} | held if order else held

    def place(self, key: str) -> Place:
        if key not in self.order:
            raise KeyMissingError(f"{self.location.name} has no tensor {key!r}", "take a key of its listing")
        header = self.headers[self.order[key]]
        entry = header.entries[key]
        begin, end = entry.data_offsets
        dtype, shape = torch_view(entry)
        return Place(header.path, header.data_start + begin, end - begin, key, dtype, shape)

    def changed(self) -> Path | None:
        return next((header.path for header in self.headers if not header.unchanged()), None)

    def specs(self) -> list[TensorSpec]:
        """The tensors in order."""
        sharded = self.index is not None
        specs = []
        with no_garbage_collection():
            for key, number in self.order.items():
                header = self.headers[number]
                entry = header.entries[key]
                dtype, shape = torch_view(entry)
                begin, end = entry.data_offsets
                where = header.path.name if sharded else None
                specs.append(TensorSpec(key, shape, dtype, None, end - begin, None, None, where))
        return specs
