"""Data of single tensors, read on demand: statistics, checks for NaN and infinity, comparisons. No torch.

Nothing is held in memory but a window of some megabytes, except for views whose elements lie in another order than
that of their dimensions, where the order counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import zip_longest
from math import prod

import numpy as np

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.ports import CancelledCall, Progress, ProgressCall
from wmtui.core.tensor_stats import ScanResult, TensorStats
from wmtui.errors import Cancelled, FormatError, InputError
from wmtui.files.decode import Array, decode, is_float
from wmtui.files.dtypes import BITS
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Place, Source, no_data

WINDOW = 3 << 22
"""Bytes read at a time; a multiple of three, for elements of six bits."""
MAX_IN_MEMORY = 2 << 30
BINS = 32
FIRST = 8


def describe(source: Source, spec: TensorSpec, cancelled: CancelledCall | None = None) -> TensorStats:
    """Statistics of one tensor; the real and imaginary parts of complex numbers count as two.

    Raises:
        InputError: its data cannot be read.
        Cancelled: it was stopped.
    """
    places = [piece.place for piece in source.pieces(spec.key)]
    numel = nan = inf = zeros = finite = 0
    low, high, total = np.inf, -np.inf, 0.0
    with np.errstate(all="ignore"):
        for part in _parts(places, cancelled):
            numel += part.size
            kept = part
            if part.dtype.kind == "f":
                kept = part[np.isfinite(part)]
                missing = int(np.isnan(part).sum())
                nan += missing
                inf += part.size - kept.size - missing
            zeros += part.size - int(np.count_nonzero(part))
            if kept.size:
                finite += kept.size
                low, high = min(low, kept.min()), max(high, kept.max())
                total += float(kept.sum(dtype=np.float64))
        mean = total / finite if finite else 0.0
        square, counts = _spread(places, mean, float(low), float(high), cancelled) if finite else (0.0, [])
    return TensorStats(
        spec.key, spec.shape, spec.dtype, numel, _known(low, finite), _known(high, finite), _known(mean, finite),
        _known((square / finite) ** 0.5 if finite else 0.0, finite), nan, inf, zeros, tuple(counts),
        _first(places[0]) if places else (),
    )  # fmt: skip


def _known(value: float, finite: int) -> float | None:
    return float(value) if finite and np.isfinite(value) else None


def _spread(
    places: list[Place], mean: float, low: float, high: float, cancelled: CancelledCall | None
) -> tuple[float, list[int]]:
    """The sum of the squared distances from the mean, and the histogram."""
    square = 0.0
    counts = np.zeros(BINS, np.int64)
    scale = 1.0 if np.isfinite(high - low) else 0.25
    low, high = low * scale, high * scale
    if low + (high - low) / BINS <= low or high - (high - low) / BINS >= high:  # too narrow for bins
        margin = max(0.5, abs(low) / 1000)
        low, high = low - margin, low + margin
    for part in _parts(places, cancelled):
        kept = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        wide = kept.astype(np.float64)
        square += float(np.square(wide - mean).sum())
        counts += np.histogram(wide * scale, BINS, (low, high))[0]
    return square, [int(count) for count in counts]


def _parts(places: list[Place], cancelled: CancelledCall | None) -> Iterator[Array]:
    """Windows of real numbers, in any order."""
    for place in places:
        for part in _windows(place) if _is_dense(place) else iter((_whole(place).reshape(-1),)):
            if cancelled is not None and cancelled():
                raise Cancelled("stopped")
            yield part.view(part.real.dtype) if part.dtype.kind == "c" else part


def _first(place: Place) -> tuple[str, ...]:
    """The first elements in row-major order, as text."""
    count = min(FIRST, prod(place.shape))
    bits = BITS[place.dtype]
    strides = place.strides or _row_major(place.shape)
    texts: list[str] = []
    for number in range(count):
        at = place.storage_offset
        left = number
        for length, stride in zip(reversed(place.shape), reversed(strides), strict=True):
            left, index = divmod(left, length)
            at += index * stride
        group = 24 // bits if bits < 8 else 1  # elements in the fewest whole bytes that hold some
        begin = at // group * group * bits // 8
        left_over = place.storage_offset * bits // 8 + _span(place) - begin
        raw = b"".join(_stored(place, begin, min(group * bits // 8, left_over)))
        values = decode(raw, place.dtype, place.byteorder)
        texts += [_text(value) for value in (values[at % group :][:1] if group > 1 else values)]
    return tuple(texts[:FIRST])


def _text(value: object) -> str:
    if isinstance(value, (np.floating, np.complexfloating)):
        return f"{value:.6g}"
    return str(value)


def equal_values(source: Source, key: str, other: Source, other_key: str) -> bool:
    """Whether two tensors have one shape and equal values (NaN equals NaN), of whatever types.

    Raises:
        InputError: the data of one cannot be read, or are too large where they must be held in memory.
    """
    for mine, theirs in zip_longest(_in_order(source, key), _in_order(other, other_key)):
        if mine is None or theirs is None or mine.shape != theirs.shape:
            return False
        if mine.dtype.kind in "fc" and theirs.dtype.kind in "fc":
            if not np.array_equal(mine, theirs, equal_nan=True):
                return False
        elif not np.array_equal(mine, theirs):
            return False
    return True


def read_tensor(source: Source, key: str) -> Array:
    """One tensor whole, as numpy; see `decode.decode` for the types.

    Raises:
        InputError: its data cannot be read, or are larger than 2 GiB.
    """
    pieces = source.pieces(key)
    if sum(_span(piece.place) for piece in pieces) > MAX_IN_MEMORY:
        raise no_data(key, "it is larger than 2 GiB")
    if len(pieces) == 1:
        return _whole(pieces[0].place)
    parts = [_whole(piece.place) for piece in pieces]
    ends = [
        tuple(at + n for at, n in zip(piece.offsets, part.shape, strict=True))
        for piece, part in zip(pieces, parts, strict=True)
    ]
    made = np.zeros(tuple(max(lengths) for lengths in zip(*ends, strict=True)), parts[0].dtype)
    for piece, part, end in zip(pieces, parts, ends, strict=True):
        made[tuple(slice(at, to) for at, to in zip(piece.offsets, end, strict=True))] = part
    return made


def _in_order(source: Source, key: str) -> Iterator[Array]:
    """The shape, then the elements in row-major order, in windows that are alike for tensors of one shape."""
    pieces = source.pieces(key)
    place = pieces[0].place
    step = 1 << 20
    if len(pieces) == 1 and _is_row_major(place) and BITS[place.dtype] >= 8 and place.dtype != "float4_e2m1fn_x2":
        yield np.array(place.shape)
        yield from _windows(place, step * BITS[place.dtype] // 8)
        return
    whole = read_tensor(source, key)
    yield np.array(whole.shape)
    flat = whole.reshape(-1)
    for begin in range(0, flat.size, step):
        yield flat[begin : begin + step]


def scan(source: Source, listing: Listing, progress: ProgressCall, cancelled: CancelledCall) -> ScanResult:
    """Look for NaN and infinity in all tensors of fractions; tied ones are read once, under their first key.

    Raises:
        Cancelled: it was stopped.
    """
    wanted = [spec for spec in listing if spec.shares is None and is_float(spec.dtype)]
    total = sum(spec.nbytes or 0 for spec in wanted)
    checked = done = 0
    bad: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}
    for spec in wanted:
        progress(Progress(f"checking {spec.key}", done, total))
        nan = inf = 0
        try:
            for part in _parts([piece.place for piece in source.pieces(spec.key)], cancelled):
                done += part.nbytes
                if not np.isfinite(part).all():
                    missing = int(np.isnan(part).sum())
                    nan += missing
                    inf += int(np.isinf(part).sum())
        except InputError as e:
            skipped[spec.key] = e.message
            continue
        checked += 1
        if nan or inf:
            bad[spec.key] = (nan, inf)
    progress(Progress("checked", total, total))
    return ScanResult(checked, done, bad, skipped)


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def _is_row_major(place: Place) -> bool:
    if place.strides is None:
        return True
    usual = _row_major(place.shape)
    return all(n == 1 or s == u for n, s, u in zip(place.shape, place.strides, usual, strict=True))


def _is_dense(place: Place) -> bool:
    """Whether the elements fill one run of the storage, each once, in whatever order."""
    if place.strides is None or 0 in place.shape:
        return True
    step = 1
    for stride, length in sorted(zip(place.strides, place.shape, strict=True)):
        if length != 1:
            if stride != step:
                return False
            step *= length
    return True


def _span(place: Place) -> int:
    """Bytes from the first element to the last in the storage."""
    if 0 in place.shape:
        return 0
    strides = place.strides or _row_major(place.shape)
    last = sum((n - 1) * s for n, s in zip(place.shape, strides, strict=True))
    return ((last + 1) * BITS[place.dtype] + 7) // 8


def _windows(place: Place, window: int = WINDOW) -> Iterator[Array]:
    """The elements of a dense tensor in the order of the storage."""
    begin = place.storage_offset * BITS[place.dtype] // 8
    for raw in _stored(place, begin, _span(place), window):
        yield decode(raw, place.dtype, place.byteorder)


def _whole(place: Place) -> Array:
    """One tensor in memory, in its shape."""
    bits = BITS[place.dtype]
    if place.storage_offset * bits % 8:
        raise no_data(place.storage, "it begins in the middle of a byte")
    span = _span(place)
    if max(span, prod(place.shape) * bits // 8) > MAX_IN_MEMORY:
        raise no_data(place.storage, "it is larger than 2 GiB and its elements are not in order")
    raw = b"".join(_stored(place, place.storage_offset * bits // 8, span))
    flat = decode(raw, place.dtype, place.byteorder)
    if place.dtype == "float4_e2m1fn_x2":
        return flat.reshape((*place.shape[:-1], place.shape[-1] * 2)) if _is_row_major(place) else flat
    if 0 in place.shape:
        return np.zeros(place.shape, flat.dtype)
    strides = tuple(stride * flat.itemsize for stride in place.strides or _row_major(place.shape))
    return np.lib.stride_tricks.as_strided(flat, place.shape, strides, writeable=False)


def _stored(place: Place, begin: int, length: int, window: int = WINDOW) -> Iterator[bytes]:
    """Bytes of a storage, in windows.

    Raises:
        FormatError: the file ends before them, or they cannot be unpacked.
    """
    if not place.compressed and begin + length > place.nbytes:
        raise FormatError(f"{place.path}: the storage {place.storage!r} is too short", "copy or download it again")
    with RegularFile(place.path) as file:
        if place.compressed:
            yield from _unpacked(file, place, begin, length, window)
            return
        at = place.offset + begin
        end = at + length
        while at < end:
            size = min(window, end - at)
            yield file.read_at(at, size)
            at += size


def _unpacked(file: RegularFile, place: Place, begin: int, length: int, window: int) -> Iterator[bytes]:
    """The same for a member that was packed: everything before is unpacked and thrown away."""
    unpacker = zlib.decompressobj(-15)
    at = place.offset
    end = at + place.nbytes
    held = b""
    skip = begin
    try:
        while length > 0:
            if not unpacker.unconsumed_tail and at < end:
                fed = file.read_at(at, min(window, end - at))
                at += len(fed)
            else:
                fed = unpacker.unconsumed_tail
            piece = unpacker.decompress(fed, window)
            if not piece and at >= end and not unpacker.unconsumed_tail:
                raise FormatError(f"{place.path}: {place.storage!r} unpacks to less than it says", "download it again")
            dropped = min(skip, len(piece))
            skip -= dropped
            held += piece[dropped:]
            while length > 0 and len(held) >= min(window, length):
                size = min(window, length)
                yield held[:size]
                held = held[size:]
                length -= size
    except zlib.error as e:
        raise FormatError(f"{place.path}: {place.storage!r} cannot be unpacked: {e}", "download it again") from e
