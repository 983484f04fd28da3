"""Listings as JSON (``wmtui-listing/1``), both ways."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from wmtui.core.listing import Kind, Listing, TensorSpec
from wmtui.errors import FormatError, UnsafeError
from wmtui.files.dtypes import nbytes_of, torch_name
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Place, Source, no_data

FORMAT = "wmtui-listing/1"
MAX_LISTING = 256 << 20
_REMEDY = "make it again with: wmtui inspect CHECKPOINT --json"


class _Tensor(msgspec.Struct, omit_defaults=True, gc=False):
    key: str
    shape: tuple[int, ...] = msgspec.field(default_factory=tuple)
    dtype: str = "float32"
    kind: Kind | None = None
    shares: str | None = None
    type_name: str | None = None


class _Listing(msgspec.Struct):
    format: str
    tensors: list[_Tensor]
    name: str = ""


class ListingSource(Source):
    """A listing: names and shapes without any weights."""

    def __init__(self, location: Path) -> None:
        self.location = location
        self.refusal = f"{location.name} is a listing: it holds no weights"

    def place(self, key: str) -> Place:
        raise no_data(key, f"{self.location.name} is a listing and holds no weights")


def listing_to_json(listing: Listing) -> str:
    """The listing as JSON, one tensor a line."""
    lines = []
    for spec in listing:
        entry: dict[str, object] = {"key": spec.key, "shape": list(spec.shape), "dtype": spec.dtype, "kind": spec.kind}
        if spec.shares is not None:
            entry["shares"] = spec.shares
        if spec.type_name is not None:
            entry["type_name"] = spec.type_name
        lines.append("  " + json.dumps(entry))
    head = f'{{"format": "{FORMAT}", "name": {json.dumps(listing.name)}, "tensors": ['
    return "\n".join((head, ",\n".join(lines), "]}")) + "\n" if lines else f"{head}]}}\n"


def read_listing(path: Path) -> Listing:
    """Read a listing.

    Raises:
        FormatError: it is none, or a key stands twice in it.
        InputError: the file cannot be read.
    """
    with RegularFile(path) as file:
        if file.size > MAX_LISTING:
            raise UnsafeError(f"{path}: a listing of {file.size:,} bytes is larger than any real one", _REMEDY)
        raw = file.read_at(0, file.size)
    with no_garbage_collection():
        return parse_listing(raw, path)


def parse_listing(raw: bytes, path: Path) -> Listing:
    """The listing in the bytes of a file; see `read_listing`."""
    if raw.count(b"{") > 2_000_000 or raw.count(b",") > 12_000_000:
        raise UnsafeError(f"{path}: a listing with more tensors than any model has", _REMEDY)
    try:
        read = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as e:
        raise FormatError(f"{path} is no listing: {e}", _REMEDY) from e
    if read.format != FORMAT:
        raise FormatError(f"{path} has the unknown format {read.format!r}", f"wmtui reads {FORMAT!r}; {_REMEDY}")
    if not read.tensors:
        raise FormatError(f"{path}: the listing has no tensors", _REMEDY)
    specs = []
    seen: dict[str, str] = {}
    for tensor in read.tensors:
        key, shares = tensor.key, tensor.shares
        if key in seen:
            raise FormatError(f"{path}: {key!r} stands twice in the listing", _REMEDY)
        if shares is not None and shares not in seen:
            raise FormatError(
                f"{path}: {key!r} shares the storage of {shares!r}, which does not stand before it", _REMEDY
            )
        dtype = torch_name(tensor.dtype) or tensor.dtype
        count = 1
        for length in tensor.shape:
            count *= length
            if length < 0 or count >= 1 << 63:
                raise FormatError(f"{path}: the shape of {key!r} has a negative or too large length", _REMEDY)
        first = seen[key] = key if shares is None else seen[shares]
        specs.append(
            TensorSpec(
                key, tensor.shape, dtype, tensor.kind, nbytes_of(dtype, count), None if first == key else first,
                tensor.type_name,
            )
        )  # fmt: skip
    return Listing(read.name or path.name, specs)


def _decode(raw: bytes) -> _Listing:
    """Decode typed; keys with lone surrogates, which file systems and old pickles bring, need the slower way."""
    try:
        return msgspec.json.decode(raw, type=_Listing)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(raw), _Listing)
