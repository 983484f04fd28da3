"""Inputs of a save: the files that tensors are read from, and what each tensor of the output is made of."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from wmtui.core.plan import Operation
from wmtui.errors import FormatError, InputError
from wmtui.files.atomic import scratch_file
from wmtui.files.disk import Tick
from wmtui.files.dtypes import BITS
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Piece, Place, Source, no_data
from wmtui.files.writing.elements import Elements, is_row_major, pieces, row_major

_OPEN = 32
UNCHANGED = Operation("rename", "", "")
_PACKED = ("float4_e2m1fn_x2", "bits1x8", "bits2x4", "bits4x2")
"""Types of which torch counts whole bytes, each with several elements."""
_COMPLEX = ("complex32", "complex64", "complex128")


class Wanted(NamedTuple):
    """One tensor of the output.

    Attributes:
        key: its new name.
        dtype: torch's name without the module.
        shape: of the result.
        place: the storage that its elements are in.
        elements: where they are; ``start`` counts from the storage's first byte.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    place: Place
    elements: Elements

    @property
    def nbytes(self) -> int:
        return self.elements.nbytes

    @property
    def begin(self) -> int:
        """Its first byte in the file."""
        return self.place.offset + self.elements.start


class Scattered(Place, frozen=True, gc=False):
    """A tensor that lies in several places; marked as packed, as it must be put together before it is used."""

    parts: tuple[Piece, ...] = ()


def place_of(source: Source, key: str) -> Place:
    """Where a tensor's elements lie, also if that is in several places.

    Raises:
        InputError: they are not there as plain elements.
    """
    parts = source.pieces(key)
    if len(parts) == 1:
        return parts[0].place
    first = parts[0].place
    ends = (tuple(o + n for o, n in zip(part.offsets, part.place.shape, strict=True)) for part in parts)
    shape = tuple(max(lengths) for lengths in zip(*ends, strict=True))
    if sum(prod(part.place.shape) for part in parts) != prod(shape) or BITS[first.dtype] % 8:
        raise no_data(key, "its parts do not make up a whole")
    return Scattered(first.path, 0, 0, key, first.dtype, shape, byteorder=first.byteorder, compressed=True, parts=parts)


def wanted(key: str, op: Operation, place: Place) -> Wanted:
    """What an operation makes of a tensor.

    Raises:
        InputError: its elements are packed too densely for what is asked.
    """
    bits = BITS[place.dtype]
    strides = place.strides if place.strides is not None else row_major(place.shape)
    first_bit = place.storage_offset * bits
    if (bits % 8 or place.dtype in _PACKED) and (
        op.permutation is not None or not is_row_major(place.shape, strides) or first_bit % 8
    ):
        raise InputError(
            f"{op.source!r} is of type {place.dtype}, whose elements share bytes: it cannot be rearranged",
            "Reject the pair, or convert the tensor first.",
        )
    if bits % 8:
        nbytes = (prod(place.shape) * bits + 7) // 8
        elements = Elements(first_bit // 8, 1, (nbytes,), (1,))
    else:
        itemsize = bits // 8
        swap = itemsize // 2 if place.dtype in _COMPLEX else itemsize
        elements = Elements(
            first_bit // 8, itemsize, place.shape, strides, swap if place.byteorder == "big" and swap > 1 else 1
        )
        if op.permutation is not None:
            elements = elements.permuted(op.permutation)
    return Wanted(key, place.dtype, op.result(place.shape), place, elements)


class Inputs:
    """The files that are read from, opened when they are needed; a context manager that closes them.

    Args:
        scratch: a folder in which packed storages are unpacked, into files without a name.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._open: OrderedDict[Path, RegularFile] = OrderedDict()
        self._unpacked: dict[tuple[Path, int, str], RegularFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for file in self._open.values():
            file.__exit__(None, None, None)
        self._stack.close()

    def file(self, path: Path) -> RegularFile:
        """An open file."""
        file = self._open.get(path)
        if file is None:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)[1].__exit__(None, None, None)
            file = self._open[path] = RegularFile(path)
        self._open.move_to_end(path)
        return file

    def storage(self, place: Place, tick: Tick) -> tuple[RegularFile, int]:
        """A file that holds a storage's bytes as they are, and where in it they begin.

        Raises:
            FormatError: a packed storage is damaged.
        """
        if not place.compressed:
            return self.file(place.path), place.offset
        name = (place.path, place.offset, place.storage)
        if name not in self._unpacked:
            if isinstance(place, Scattered):
                self._unpacked[name] = self._join(place, tick)
            else:
                self._unpacked[name] = self._unpack(place, tick)
        return self._unpacked[name], 0

    def _join(self, place: Scattered, tick: Tick) -> RegularFile:
        """Put a tensor's parts together; each lands where its rows belong in the whole."""
        strides = row_major(place.shape)
        with scratch_file(self._scratch / place.path.name) as output:
            for part in place.parts:
                made = wanted(place.storage, UNCHANGED, part.place)
                source, base = self.storage(part.place, tick)
                size, shape = made.elements.itemsize, made.shape
                inner = len(shape)
                while inner > 1 and shape[inner - 1] == place.shape[inner - 1]:
                    inner -= 1
                row = prod(shape[max(inner - 1, 0) :]) * size  # what lies in one piece in part and whole
                starts = row_major(shape[: max(inner - 1, 0)])
                for offset, data in pieces(source, made.elements._replace(start=base + made.elements.start, swap=1)):
                    done = 0
                    while done < data.nbytes:
                        number, within = divmod(offset + done, row)
                        index = [number // s % n for s, n in zip(starts, shape, strict=False)]
                        at = sum((i + o) * s for i, o, s in zip(index, part.offsets, strides, strict=False))
                        at += sum(o * s for o, s in zip(part.offsets[len(index) :], strides[len(index) :], strict=True))
                        length = min(row - within, data.nbytes - done)
                        output.write_at(at * size + within, data[done : done + length])
                        done += length
                    tick(0)
            output.flush()
            return self._stack.enter_context(RegularFile(output.path))

    def _unpack(self, place: Place, tick: Tick) -> RegularFile:
        source = self.file(place.path)
        with scratch_file(self._scratch / place.path.name) as output:
            unpacker = zlib.decompressobj(-15)
            try:
                for at in range(place.offset, place.offset + place.nbytes, 1 << 18):
                    packed = source.read_at(at, min(1 << 18, place.offset + place.nbytes - at))
                    while packed:
                        output.append(unpacker.decompress(packed, 1 << 20))
                        packed = unpacker.unconsumed_tail
                        tick(0)
                output.append(unpacker.flush())
            except zlib.error as e:
                raise FormatError(
                    f"{place.path}: {place.storage!r} cannot be unpacked: {e}", "copy or download the file again"
                ) from e
            output.flush()
            return self._stack.enter_context(RegularFile(output.path))
