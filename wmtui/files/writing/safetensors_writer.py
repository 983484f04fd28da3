"""The writer of safetensors files: a new header, then payload copied in as few pieces as possible.

The format: https://github.com/huggingface/safetensors#format. The header is padded with spaces to a multiple of
eight bytes as the reference implementation does it; on file systems that can share blocks between files it is padded
further, until payload lies at the same place within a block as in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import msgspec

from wmtui.errors import InputError
from wmtui.files import disk as disk_module
from wmtui.files.atomic import OutputFile
from wmtui.files.disk import BLOCK, Tick
from wmtui.files.dtypes import SAFETENSORS
from wmtui.files.safetensors_header import MAX_HEADER, Entries, digest
from wmtui.files.writing.elements import write_elements
from wmtui.files.writing.inputs import Inputs, Wanted

_NAMES = {torch: name for name, torch in SAFETENSORS.items()}


class Run(NamedTuple):
    """Tensors whose payload lies in one piece in source and output, by the first; one where it must be rearranged."""

    first: Wanted
    nbytes: int


def safetensors_entry(dtype: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """Type and shape in safetensors' terms; ``None`` where it has no such type."""
    if dtype == "float4_e2m1fn_x2":
        return ("F4", (*shape[:-1], shape[-1] * 2)) if shape else None
    return (_NAMES[dtype], shape) if dtype in _NAMES else None


def no_such_type(key: str, dtype: str) -> InputError:
    """The error for a type that safetensors does not have."""
    return InputError(
        f"{key!r} is of type {dtype}, which safetensors does not have", "Save as a torch file instead (--format torch)."
    )


def why_not(key: str) -> str | None:
    """Why a safetensors file cannot hold a key; ``None`` where it can."""
    if key == "__metadata__":
        return "safetensors keeps this name for itself"
    if _has_surrogates(key):
        return "it is no valid Unicode"
    return None


def write_header(
    output: OutputFile, entries: Entries, metadata: Mapping[str, str], phase: int = 0, block: int = 8
) -> bytes:
    """Write the length and the JSON of a header, padded until payload begins at ``phase`` within a block.

    Returns:
        The digest of the JSON.

    Raises:
        InputError: it is longer than safetensors allows.
    """
    made = digest()

    def append(data: bytes) -> None:
        output.append(data)
        made.update(data)

    output.append(bytes(8))
    before = b"{"
    fields: Iterable[tuple[str, object]] = [("__metadata__", dict(metadata))] if metadata else []
    for key, value in chain(fields, entries.items()):
        append(before + msgspec.json.encode(key) + b":" + msgspec.json.encode(value))
        before = b","
    append(b"}" if before == b"," else b"{}")
    append(b" " * ((phase - output.size) % block))
    length = output.size - 8
    if length > MAX_HEADER:
        raise InputError(
            f"the header would have {length:,} bytes; safetensors allows {MAX_HEADER:,}", "Save in more shards."
        )
    output.write_at(0, length.to_bytes(8, "little"))
    return made.digest()


def runs(tensors: Iterable[Wanted]) -> Iterator[Run]:
    """Tensors in the order of their payload, those together that can be copied in one piece."""
    first: Wanted | None = None
    nbytes = 0
    for tensor in tensors:
        plain = tensor.elements.plain and not tensor.place.compressed
        if first is not None:
            if plain and tensor.begin == first.begin + nbytes and tensor.place.path == first.place.path:
                nbytes += tensor.nbytes
                continue
            yield Run(first, nbytes)
        first, nbytes = (tensor, tensor.nbytes) if plain else (None, 0)
        if not plain:
            yield Run(tensor, tensor.nbytes)
    if first is not None:
        yield Run(first, nbytes)


def write_safetensors(
    output: OutputFile, tensors: Callable[[], Iterator[Wanted]], metadata: Mapping[str, str], inputs: Inputs, tick: Tick
) -> bytes:
    """Write a whole file; the digest of its header.

    Args:
        tensors: gives them in the order of their payload; called twice, so that they need not be kept.

    Raises:
        InputError: a type that safetensors does not have, a header that is too long, a source that cannot be read.
        OSError: the disk is full, ...
    """
    entries = Entries()
    largest = max(runs(_entered(tensors(), entries)), key=lambda run: run.nbytes, default=None)
    phase, block = 0, 8
    if largest is not None and largest.nbytes >= BLOCK * 4 and largest.first.elements.plain:
        first = largest.first
        if not first.place.compressed and disk_module.disk.shares_blocks(inputs.file(first.place.path).fd, output.fd):
            phase, block = (first.begin - entries[first.key].data_offsets[0]) % BLOCK, BLOCK
    written = write_header(output, entries, metadata, phase, block)
    del entries  # of 100,000 tensors they are large
    for first, nbytes in runs(tensors()):
        source, base = inputs.storage(first.place, tick)
        start = base + first.elements.start
        if first.elements.plain:
            output.append_from(source, start, nbytes, tick)
        else:
            write_elements(source, first.elements._replace(start=start), output, output.size, tick)
    return written


def _entered(tensors: Iterable[Wanted], entries: Entries) -> Iterator[Wanted]:
    """The tensors, each entered into a header before it is given on."""
    at = 0
    for tensor in tensors:
        known = safetensors_entry(tensor.dtype, tensor.shape)
        if known is None:
            raise no_such_type(tensor.key, tensor.dtype)
        entries.add(tensor.key, *known, at, at + tensor.nbytes)
        at += tensor.nbytes
        yield tensor


def _has_surrogates(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return True
    return False
