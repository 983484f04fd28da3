"""The one entry for reading: what the user named in, a side and the files behind it out.

Only headers and metadata are read, nothing in a file is run, and no file needs torch; models do (`wmtui.files.models`).
What reads a format is imported when a file has it: all of it together takes a quarter of the time to first content.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.ports import Progress, ProgressCall
from wmtui.core.printable import plural, printable
from wmtui.core.side import EMPTY, Content, Side, SideSpec
from wmtui.errors import FormatError, InputError, KeyMissingError, MissingError
from wmtui.files.folder import choose_file, other_files, some
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.regular_file import RegularFile, access_error
from wmtui.files.safetensors_header import read_header
from wmtui.files.safetensors_source import SafetensorsSource
from wmtui.files.sharded import ShardIndex, check_complete, read_index
from wmtui.files.source import OpenedSide

if TYPE_CHECKING:
    from wmtui.files.torch_source import TorchSource

_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    (b"GGUF", "a GGUF file (llama.cpp)"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x08\x03\x12", "an ONNX model"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (b"<", "a web page (HTML or XML)"),
)


def open_side(spec: SideSpec, *, progress: ProgressCall | None = None) -> OpenedSide:
    """Open a checkpoint file or folder, a listing, or a model.

    Args:
        spec: what the user asked for.
        progress: told about shards; may raise `wmtui.errors.Cancelled`.

    Raises:
        InputError: of one kind or another, each with a remedy; see `wmtui.errors`.
        ChoiceError: the file holds several dictionaries of weights and ``spec.weights_key`` is ``None``.
    """
    path = Path(spec.location).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError) as e:
        raise access_error(path, e) from e
    if there:
        if spec.args:
            raise InputError(
                f"{path} is no model: it takes no arguments",
                "leave them out, or give a model as package.module:factory",
            )
        with no_garbage_collection():
            opened = _open_path(path, spec, progress or _silent)
    elif ":" in spec.location:
        from wmtui.files.models import open_model

        opened = open_model(spec)
    else:
        raise _nothing_there(path)
    return opened._replace(side=restrict(opened.side))


def _silent(progress: Progress) -> None:
    """Progress that nobody watches."""


def _nothing_there(path: Path) -> MissingError:
    if path.is_symlink():
        return MissingError(f"{path} is a symbolic link to something that is not there", "repair the link")
    return MissingError(
        f"{path} does not exist", "give a checkpoint, a folder, a listing, or a model as package.module:factory"
    )


def _open_path(path: Path, spec: SideSpec, progress: ProgressCall) -> OpenedSide:
    name = path.resolve().name if path.name in ("", ".", "..") else path.name
    if not path.is_dir():
        return _open_file(path, path, name, spec, progress)
    opened = _open_file(path, choose_file(path), name, spec, progress)
    others = other_files(path, opened.source)
    if not others:
        return opened
    note = f"other files in the folder are not part of it: {some(others)}"
    return opened._replace(side=_with(opened.side, notes=(*opened.side.notes, note)))


def _open_file(path: Path, file: Path, name: str, spec: SideSpec, progress: ProgressCall) -> OpenedSide:
    if file.name == ".metadata":
        return _open_distributed(path, file, name, spec)
    if file.name.endswith(".index.json"):
        return _open_shards(path, read_index(file), name, spec, progress)
    kind = _kind(file)
    if kind == "safetensors":
        source = SafetensorsSource(path, [read_header(file)])
        return _safetensors_side(source, name, spec, source.headers[0].size, ())
    if kind == "json":
        return _open_json(path, file, name, spec, progress)
    return _open_torch(path, file, name, spec)


def _kind(path: Path) -> str:
    """``safetensors``, ``json`` or ``torch``, by what the file begins with.

    Raises:
        FormatError: it is empty, or of a kind that holds no weights that wmtui knows.
    """
    with RegularFile(path) as file:
        if file.size == 0:
            raise FormatError(f"{path} is empty", "copy or download it again")
        head = file.read_at(0, min(512, file.size))
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        if head.startswith(b"version https://git-lfs"):
            raise FormatError(f"{path} is a pointer of Git LFS, not the file itself", "fetch it with: git lfs pull")
        return "safetensors"
    if head.lstrip()[:1] in (b"{", b"[") or suffix == ".json":
        return "json"
    if head.startswith((b"PK", b"\x80")) or head[257:262] == b"ustar":
        return "torch"
    if head[8:9] == b"{":
        return "safetensors"
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise FormatError(f"{path} is {what}", "name a checkpoint of torch.save or safetensors")
    if suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl"):
        return "torch"
    raise FormatError(f"{path} is no checkpoint that wmtui knows", "name a checkpoint of torch.save or safetensors")


def _open_json(path: Path, file: Path, name: str, spec: SideSpec, progress: ProgressCall) -> OpenedSide:
    from wmtui.files.listing_json import ListingSource, read_listing

    with RegularFile(file) as opened:
        head = opened.read_at(0, min(1 << 16, opened.size))
        size = opened.size
    if b'"weight_map"' in head and b'"wmtui-' not in head:
        return _open_shards(path, read_index(file), name, spec, progress)
    if spec.weights_key:
        raise KeyMissingError(
            f"{path} is a listing: it has no dictionary of weights {spec.weights_key!r}", "leave it out"
        )
    listing = read_listing(file)
    side = Side(spec, listing, "listing", size, weights_keys={"": len(listing)})
    return OpenedSide(side, ListingSource(path))


def _safetensors_side(
    source: SafetensorsSource, name: str, spec: SideSpec, nbytes: int, notes: tuple[str, ...], contents: Content = EMPTY
) -> OpenedSide:
    if spec.weights_key:
        raise KeyMissingError(
            f"{source.location} is a safetensors checkpoint: it has no dictionary of weights {spec.weights_key!r}",
            "leave it out, or choose by a prefix",
        )
    specs = source.specs()
    if not specs:
        raise FormatError(f"{source.location} holds no tensors", "name a file that holds weights")
    metadata: dict[str, str] = {}
    for header in source.headers:
        metadata |= {key: value for key, value in header.metadata.items() if key not in metadata}
    form = "safetensors" if source.index is None else f"safetensors in {plural(len(source.files), 'shard')}"
    side = Side(
        spec, Listing(name, specs), form, nbytes, weights_keys={"": len(specs)}, metadata=metadata, contents=contents,
        notes=notes,
    )  # fmt: skip
    return OpenedSide(side, source)


def _open_shards(path: Path, index: ShardIndex, name: str, spec: SideSpec, progress: ProgressCall) -> OpenedSide:
    shards = index.shards
    contents = Content(
        "dict", f"{index.path.name}", tuple((key, Content("value", str(v)[:200])) for key, v in index.metadata.items())
    )
    kinds = {_kind(shard): shard for shard in shards}
    if "json" in kinds:
        raise FormatError(
            f"{index.path} names {kinds['json'].name}, which is no checkpoint", "download the index again"
        )
    if "torch" not in kinds:
        headers = []
        for done, shard in enumerate(shards):
            progress(Progress(f"reading {shard.name}", done, len(shards)))
            headers.append(read_header(shard))
        notes = check_complete(index, {header.path: header.entries.keys() for header in headers})
        safetensors = SafetensorsSource(path, headers, index.path, tuple(index.weight_map))
        nbytes = sum(header.size for header in headers)
        return _safetensors_side(safetensors, name, spec, nbytes, notes, contents)
    from wmtui.files.torch_file import read_torch_file
    from wmtui.files.torch_source import TorchPart, TorchSource, weights_of

    parts = []
    more: list[str] = []
    for done, shard in enumerate(shards):
        progress(Progress(f"reading {shard.name}", done, len(shards)))
        file = read_torch_file(shard)
        weights, _, found = weights_of(file, spec.weights_key)
        parts.append(TorchPart(file, weights))
        more += (f"{shard.name}: {note}" for note in found)
    notes = check_complete(index, {part.file.path: {key for key, _, _ in part.weights.tensors} for part in parts})
    source = TorchSource(path, parts, index.path)
    return _torch_side(
        source, name, spec, (*notes, *more), contents, f"torch checkpoint in {plural(len(parts), 'shard')}"
    )


def _open_torch(path: Path, file: Path, name: str, spec: SideSpec) -> OpenedSide:
    from wmtui.files.contents import content_tree
    from wmtui.files.torch_file import FORM_NAMES, read_torch_file
    from wmtui.files.torch_source import TorchPart, TorchSource, weights_of

    read = read_torch_file(file)
    weights, found, notes = weights_of(read, spec.weights_key)
    source = TorchSource(path, [TorchPart(read, weights)])
    contents = content_tree(read.graph, (*found, weights))
    counts = {entry.name: len(entry.tensors) for entry in (*found, weights)}
    form = FORM_NAMES[read.form]
    if read.form == "torchscript":
        from wmtui.files.torchscript import script_class

        form = f"{form} of {printable(script_class(read))}"
    opened = _torch_side(source, name, spec, notes, contents, form)
    return opened._replace(side=_with(opened.side, weights_key=weights.name, weights_keys=counts))


def _torch_side(
    source: TorchSource, name: str, spec: SideSpec, notes: tuple[str, ...], contents: Content, form: str
) -> OpenedSide:
    specs = source.specs()
    nbytes = sum(part.file.size for part in source.parts)
    if source.refusal:
        notes = (*notes, f"cannot be renamed: {source.refusal}")
    side = Side(spec, Listing(name, specs), form, nbytes, weights_keys={"": len(specs)}, contents=contents, notes=notes)
    return OpenedSide(side, source)


def _open_distributed(path: Path, metadata: Path, name: str, spec: SideSpec) -> OpenedSide:
    from wmtui.files.contents import content_tree
    from wmtui.files.dcp import DcpSource, read_distributed
    from wmtui.files.unwrap import choose, find_weights

    checkpoint = read_distributed(metadata)
    where = str(path)
    found = find_weights(checkpoint.root, where)
    if not found:
        raise FormatError(f"{where} holds no tensors with names", "name a checkpoint that holds weights")
    weights = choose(checkpoint.root, found, spec.weights_key, where)
    source = DcpSource(path, checkpoint, weights)
    contents = content_tree(checkpoint.graph._replace(root=checkpoint.root), (*found, weights))
    side = Side(
        spec, Listing(name, source.specs()), "distributed checkpoint", checkpoint.nbytes, weights.name,
        {entry.name: len(entry.tensors) for entry in (*found, weights)}, contents=contents,
    )  # fmt: skip
    return OpenedSide(side, source)


def _with(side: Side, **changes: object) -> Side:
    """A copy of a side with some fields changed."""
    made: Side = msgspec.structs.replace(side, **changes)
    return made


def restrict(side: Side) -> Side:
    """Keep what the prefix and the buffers' setting choose.

    Raises:
        KeyMissingError: nothing is left.
    """
    spec = side.spec
    tensors: Iterable[TensorSpec] = side.listing
    prefix = ""
    if spec.prefix:
        dotted = spec.prefix if spec.prefix.endswith(".") else f"{spec.prefix}."
        prefix = dotted if any(tensor.key.startswith(dotted) for tensor in tensors) else spec.prefix
        tensors = [tensor for tensor in tensors if tensor.key.startswith(prefix)]
        if not tensors:
            tops = list(dict.fromkeys(key.partition(".")[0] for key in side.listing.keys))
            shown = ", ".join(map(printable, tops[:8])) + (" ..." if len(tops) > 8 else "")
            raise KeyMissingError(
                f"{side.name} has no key that begins with {spec.prefix!r}", f"keys begin with: {shown}"
            )
    if spec.buffers == "exclude":
        tensors = [tensor for tensor in tensors if not tensor.is_buffer]
        if not tensors:
            raise KeyMissingError(f"{side.name} has nothing but buffers", "take them in: --buffers include")
    if not spec.prefix and spec.buffers == "include":
        return side
    listing = Listing(side.listing.name, _retied(tensors))
    return _with(side, listing=listing, prefix=prefix)


def _retied(tensors: Iterable[TensorSpec]) -> list[TensorSpec]:
    """The tensors with ``shares`` naming the first that is still there."""
    firsts: dict[str, str] = {}
    made = []
    for tensor in tensors:
        first = firsts.setdefault(tensor.shares or tensor.key, tensor.key)
        shares = None if first == tensor.key else first
        made.append(tensor if shares == tensor.shares else msgspec.structs.replace(tensor, shares=shares))
    return made
