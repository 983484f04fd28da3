"""The values of tensors: from the places where they lie in files to torch tensors that share the file's pages.

Files are mapped copy-on-write: nothing is read before it is used, and what a user changes stays in memory.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Sequence
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from wmtui.errors import FormatError
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Piece, Place

if TYPE_CHECKING:
    import torch


class Values:
    """Makes tensors; those that share a storage in the file share one in memory."""

    def __init__(self) -> None:
        self._maps: dict[Path, mmap.mmap] = {}
        self._storages: dict[tuple[Path, int, str], torch.UntypedStorage] = {}

    def whole(self, pieces: Sequence[Piece], key: str) -> torch.Tensor:
        """A tensor that lies in one or several pieces, on the CPU.

        Raises:
            FormatError: as for `tensor`, or the pieces do not make up a whole.
        """
        parts = [self.tensor(piece.place, key) for piece in pieces]
        if len(parts) == 1:
            return parts[0]
        ends = [tuple(map(add, piece.offsets, part.shape)) for piece, part in zip(pieces, parts, strict=True)]
        made = parts[0].new_empty([max(lengths) for lengths in zip(*ends, strict=True)])
        if sum(part.numel() for part in parts) != made.numel():
            raise FormatError(f"the parts of {key!r} do not make up a whole", "Copy the checkpoint again.")
        for piece, part, end in zip(pieces, parts, ends, strict=True):
            made[tuple(slice(at, to) for at, to in zip(piece.offsets, end, strict=True))] = part
        return made

    def tensor(self, place: Place, key: str) -> torch.Tensor:
        """The tensor at a place, on the CPU.

        Raises:
            FormatError: its type is unknown to this torch, or the file holds too little of it.
        """
        import torch

        dtype = getattr(torch, place.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise FormatError(f"{key!r} has the type {place.dtype}, which this torch does not know", "Update torch.")
        strides = place.strides if place.strides is not None else _contiguous(place.shape)
        storage = self._storage(place, dtype)
        empty = torch.empty(0, dtype=dtype)
        try:
            return empty.set_(storage, place.storage_offset, place.shape, strides)
        except RuntimeError as error:
            raise FormatError(f"{place.path} holds too little of {key!r}: {error}", "Copy the file again.") from None

    def _storage(self, place: Place, dtype: torch.dtype) -> torch.UntypedStorage:
        name = (place.path, place.offset, place.storage)
        storage = self._storages.get(name)
        if storage is None:
            storage = self._storages[name] = self._read(place, dtype)
        return storage

    def _read(self, place: Place, dtype: torch.dtype) -> torch.UntypedStorage:
        import torch

        if place.nbytes == 0:
            return torch.empty(0, dtype=torch.uint8).untyped_storage()
        mapped = self._map(place.path)
        if place.offset + place.nbytes > len(mapped):
            raise FormatError(f"{place.path} ends before byte {place.offset + place.nbytes}", "Copy the file again.")
        if place.compressed:
            data = bytearray(_unpacked(place, mapped[place.offset : place.offset + place.nbytes]))
            flat = torch.frombuffer(data, dtype=torch.uint8)
        else:
            flat = torch.frombuffer(mapped, dtype=torch.uint8, count=place.nbytes, offset=place.offset)
        swapped = place.byteorder == "big" and dtype.itemsize > 1
        if swapped or place.offset % dtype.itemsize:
            flat = flat.clone()
        storage = flat.untyped_storage()
        if swapped:
            storage.byteswap(dtype)  # type: ignore[no-untyped-call]
        return storage

    def _map(self, path: Path) -> mmap.mmap:
        if path not in self._maps:
            with RegularFile(path) as file:
                self._maps[path] = mmap.mmap(file.fd, 0, access=mmap.ACCESS_COPY)
        return self._maps[path]


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(1, length)
    return tuple(reversed(strides))


def _unpacked(place: Place, data: bytes) -> bytes:
    try:
        return zlib.decompress(data, wbits=-15)
    except zlib.error:
        raise FormatError(f"{place.path}: the packed data of {place.storage} are damaged", "Copy it again.") from None
