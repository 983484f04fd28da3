"""Elements of a tensor in row-major order, from wherever and in whatever order they lie in a file.

A transposition, a view with strides, an expanded dimension and foreign byte order are all one thing: a shape and
strides over the bytes of a storage. They are gathered tile by tile: a tile is a box of the result whose elements span
at most some megabytes of the source, so that each byte is read about once and memory stays small for any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from wmtui.files.atomic import OutputFile
from wmtui.files.disk import Tick
from wmtui.files.regular_file import RegularFile

if TYPE_CHECKING:
    import numpy as np

TILE = 16 << 20
"""Bytes that a tile may hold, and span in the source."""

Box = tuple[tuple[int, int], ...]


class Elements(NamedTuple):
    """Where the elements of a result lie.

    Attributes:
        start: byte of the first element in the file.
        itemsize: bytes of an element.
        shape: of the result.
        strides: from one element to the next along each dimension, in elements, not negative.
        swap: bytes of a number that must be reversed (half an element for complex ones); 1 for none.
    """

    start: int
    itemsize: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    swap: int = 1

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.itemsize

    @property
    def plain(self) -> bool:
        """Whether they lie in the file exactly as they are wanted."""
        return self.swap == 1 and is_row_major(self.shape, self.strides)

    @property
    def run(self) -> Elements:
        """All bytes from the first element to the last, whichever of them are elements."""
        if 0 in self.shape:
            return self._replace(itemsize=1, shape=(0,), strides=(1,), swap=1)
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return Elements(self.start, 1, ((last + 1) * self.itemsize,), (1,))

    def permuted(self, permutation: Sequence[int]) -> Elements:
        """The same elements with their dimensions in another order, as ``torch.permute`` counts them."""
        return self._replace(
            shape=tuple(self.shape[d] for d in permutation), strides=tuple(self.strides[d] for d in permutation)
        )


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a contiguous tensor, in elements."""
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = strides[d + 1] * max(1, shape[d + 1])
    return tuple(strides)


def is_row_major(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements with these strides lie one behind the other in order."""
    expected = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length == 0:
            return True
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True


def write_elements(source: RegularFile, elements: Elements, output: OutputFile, at: int, tick: Tick) -> None:
    """Write the result's elements at an offset of the output.

    Raises:
        FormatError: the source ends too early.
    """
    for offset, data in pieces(source, elements):
        output.write_at(at + offset, data)
        tick(data.nbytes)


def pieces(source: RegularFile, elements: Elements) -> Iterator[tuple[int, memoryview]]:
    """The result's bytes in pieces, each with its offset in the result; together they are all of it.

    Raises:
        FormatError: the source ends too early.
    """
    import numpy as np

    kind = np.dtype(f"V{elements.itemsize}")
    byte_strides = [stride * elements.itemsize for stride in elements.strides]
    for box in tiles(elements.shape, elements.strides, TILE // elements.itemsize):
        shape = tuple(stop - begin for begin, stop in box)
        first = sum(begin * stride for (begin, _), stride in zip(box, elements.strides, strict=True))
        span = 1 + sum((n - 1) * stride for n, stride in zip(shape, elements.strides, strict=True))
        raw = source.read_at(elements.start + first * elements.itemsize, span * elements.itemsize)
        view = np.lib.stride_tricks.as_strided(np.frombuffer(raw, kind), shape, byte_strides, writeable=False)
        tile = np.ascontiguousarray(view).reshape(shape or (1,))
        if elements.swap > 1:
            tile = tile.view(f"u{elements.swap}").byteswap().view(kind)
        yield from _parts(tile, box, elements)


def tiles(shape: Sequence[int], strides: Sequence[int], limit: int) -> Iterator[Box]:
    """Boxes that make up the shape, each of at most ``limit`` elements that span at most so many in the source."""
    if 0 in shape:
        return
    axes = sorted((d for d in range(len(shape)) if shape[d] > 1), key=lambda d: -strides[d])
    whole: Box = tuple((0, n) for n in shape)
    split, block = len(axes), 1
    span, count = 1, 1
    for place in range(len(axes) - 1, -1, -1):  # from the axis whose elements lie closest
        axis = axes[place]
        room = (limit - span) // strides[axis] + 1 if strides[axis] else shape[axis]
        fitting = min(shape[axis], room, limit // count)
        if fitting < shape[axis]:
            split, block = place, max(1, fitting)
            break
        span += (shape[axis] - 1) * strides[axis]
        count *= shape[axis]
    if split == len(axes):
        yield whole
        return
    outer = axes[:split]
    axis = axes[split]
    for indices in product(*(range(shape[d]) for d in outer)):
        box = list(whole)
        for d, index in zip(outer, indices, strict=True):
            box[d] = (index, index + 1)
        for begin in range(0, shape[axis], block):
            box[axis] = (begin, min(begin + block, shape[axis]))
            yield tuple(box)


def _parts(
    tile: np.ndarray[tuple[int, ...], np.dtype[np.void]], box: Box, elements: Elements
) -> Iterator[tuple[int, memoryview]]:
    """A tile's parts and their offsets in the result; parts that lie one behind the other there are one."""
    strides = row_major(elements.shape)
    inner = len(box)
    while inner > 0 and box[inner - 1] == (0, elements.shape[inner - 1]):
        inner -= 1
    inner = max(0, inner - 1)  # the last dimension that is cut still lies in one piece
    start = sum(begin * stride for (begin, _), stride in zip(box, strides, strict=True))
    for index in product(*(range(stop - begin) for begin, stop in box[:inner])):
        offset = start + sum(i * stride for i, stride in zip(index, strides, strict=False))
        yield offset * elements.itemsize, memoryview(tile[index].view("u1").reshape(-1))
