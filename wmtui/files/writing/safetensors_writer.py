"""The writer of safetensors files: a new header, then payload copied in as few pieces as possible.

The format: https://github.com/huggingface/safetensors#format. The header is padded with spaces to a multiple of
eight bytes as the reference implementation does it; on file systems that can share blocks between files it is padded
further, until payload lies at the same place within a block as in the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wmtui.errors import InputError
from wmtui.files import disk as disk_module
from wmtui.files.atomic import OutputFile
from wmtui.files.disk import BLOCK, Tick
from wmtui.files.dtypes import BITS, SAFETENSORS
from wmtui.files.safetensors_header import MAX_HEADER, Entry
from wmtui.files.writing.elements import write_elements
from wmtui.files.writing.inputs import Inputs, Wanted

_NAMES = {torch: name for name, torch in SAFETENSORS.items()}


class Run(NamedTuple):
    """Tensors whose payload lies in one piece in source and output; one tensor where it must be rearranged."""

    tensors: tuple[Wanted, ...]
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


def in_order(tensors: Sequence[Wanted], keep: bool) -> list[Wanted]:
    """Tensors in the order of their payload.

    Args:
        keep: in the order in which they lie in the source, so that they can be copied in one piece; else the types
            with large elements first, so that every element is aligned.
    """
    if keep:
        return sorted(tensors, key=lambda t: (str(t.place.path), t.begin))
    return sorted(tensors, key=lambda t: -BITS[t.dtype])


def header_of(tensors: Sequence[Wanted]) -> dict[str, Entry]:
    """The entries of a header for tensors in the order of their payload.

    Raises:
        InputError: a type that safetensors does not have.
    """
    entries: dict[str, Entry] = {}
    at = 0
    for tensor in tensors:
        known = safetensors_entry(tensor.dtype, tensor.shape)
        if known is None:
            raise no_such_type(tensor.key, tensor.dtype)
        dtype, shape = known
        entries[tensor.key] = Entry(dtype, shape, (at, at + tensor.nbytes))
        at += tensor.nbytes
    return entries


def encode_header(entries: Mapping[str, Entry], metadata: Mapping[str, str], phase: int = 0, block: int = 8) -> bytes:
    """The length and the JSON of a header, padded until payload begins at ``phase`` within a block.

    Raises:
        InputError: it is longer than safetensors allows.
    """
    fields: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    raw = msgspec.json.encode(fields | dict(entries))
    raw += b" " * ((phase - 8 - len(raw)) % block)
    if len(raw) > MAX_HEADER:
        raise InputError(
            f"the header would have {len(raw):,} bytes; safetensors allows {MAX_HEADER:,}", "Save in more shards."
        )
    return len(raw).to_bytes(8, "little") + raw


def runs(tensors: Sequence[Wanted]) -> Iterator[Run]:
    """Tensors in the order of their payload, those together that can be copied in one piece."""
    group: list[Wanted] = []
    end = -1
    for tensor in tensors:
        plain = tensor.elements.plain and not tensor.place.compressed
        if group and plain and tensor.begin == end and tensor.place.path == group[0].place.path:
            group.append(tensor)
            end += tensor.nbytes
            continue
        if group:
            yield Run(tuple(group), sum(t.nbytes for t in group))
        group, end = [], -1
        if plain:
            group, end = [tensor], tensor.begin + tensor.nbytes
        else:
            yield Run((tensor,), tensor.nbytes)
    if group:
        yield Run(tuple(group), sum(t.nbytes for t in group))


def write_safetensors(
    output: OutputFile, tensors: Sequence[Wanted], metadata: Mapping[str, str], inputs: Inputs, tick: Tick
) -> dict[str, Entry]:
    """Write a whole file; the entries of its header.

    Args:
        tensors: in the order of their payload.

    Raises:
        InputError: a type that safetensors does not have, a header that is too long, a source that cannot be read.
        OSError: the disk is full, ...
    """
    entries = header_of(tensors)
    pieces = list(runs(tensors))
    phase, block = 0, 8
    largest = max(pieces, key=lambda run: run.nbytes, default=None)
    if largest is not None and largest.nbytes >= BLOCK * 4 and largest.tensors[0].elements.plain:
        first = largest.tensors[0]
        if not first.place.compressed and disk_module.disk.shares_blocks(inputs.file(first.place.path).fd, output.fd):
            phase, block = (first.begin - entries[first.key].data_offsets[0]) % BLOCK, BLOCK
    output.append(encode_header(entries, metadata, phase, block))
    for run in pieces:
        first = run.tensors[0]
        source, base = inputs.storage(first.place, tick)
        start = base + first.elements.start
        if first.elements.plain:
            output.append_from(source, start, run.nbytes, tick)
        else:
            write_elements(source, first.elements._replace(start=start), output, output.size, tick)
    return entries


def _has_surrogates(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return True
    return False
