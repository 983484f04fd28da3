"""Sources: the files behind a side, and where in them each tensor's bytes lie.

`wmtui.files.open.open_side` makes one; the writer and the readers of tensor data use it. One subclass a layout:

* `wmtui.files.safetensors_source.SafetensorsSource`: single files and shards;
* `wmtui.files.torch_source.TorchSource`: zip, legacy and tar files of ``torch.save``, and shards of them;
* `wmtui.files.dcp.DcpSource`: PyTorch Distributed Checkpoint folders;
* `wmtui.files.listing_json.ListingSource` and `wmtui.files.models.ModelSource`: no bytes at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import msgspec

from wmtui.core.side import Side
from wmtui.errors import InputError


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a tensor's elements lie: a view of one storage, which tied tensors share.

    Attributes:
        path: the file.
        offset: first byte of the storage in the file.
        nbytes: bytes of the storage (of the stored form, where ``compressed``).
        storage: name of the storage, unique within the file: a zip member, a key of an old-format file, a tensor.
        dtype: torch's name without the module.
        shape: of the tensor.
        strides: in elements; ``None`` for a contiguous tensor.
        storage_offset: the tensor's first element, in elements from the start of the storage.
        byteorder: of the elements.
        compressed: the bytes are a raw deflate stream (never by torch itself, but zip tools do it).
    """

    path: Path
    offset: int
    nbytes: int
    storage: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    storage_offset: int = 0
    byteorder: str = "little"
    compressed: bool = False


class Piece(NamedTuple):
    """A part of a tensor that lies in one place; ``offsets`` is its first element's place in the whole."""

    offsets: tuple[int, ...]
    place: Place


class Source(ABC):
    """The files behind a side.

    Attributes:
        location: the file or folder that was opened.
        files: all files that hold tensors, in their order; the index of a sharded checkpoint is not among them.
        refusal: why this cannot be renamed, one line; ``None`` where it can.
    """

    location: Path
    files: tuple[Path, ...] = ()
    refusal: str | None = None

    @abstractmethod
    def place(self, key: str) -> Place:
        """Where the data of a listed tensor lie; ``key`` as in the listing.

        Raises:
            InputError: no such tensor, or its data do not lie in a file as plain elements.
        """

    def changed(self) -> Path | None:
        """A file that is not as it was when it was opened any more; ``None`` where all are.

        Raises:
            InputError: one cannot be read.
        """
        return None

    def pieces(self, key: str) -> tuple[Piece, ...]:
        """The parts of a tensor, for formats that spread one over several places; see `place` for the errors."""
        place = self.place(key)
        return (Piece((0,) * len(place.shape), place),)


class OpenedSide(NamedTuple):
    """A side and the files behind it."""

    side: Side
    source: Source


def no_data(key: str, why: str) -> InputError:
    """The error for a tensor whose data cannot be read."""
    return InputError(f"the data of {key!r} cannot be read: {why}", "convert it with the library that wrote it")
