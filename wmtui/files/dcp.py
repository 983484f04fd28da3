"""PyTorch Distributed Checkpoint folders (``.metadata`` and ``*.distcp``), read from the metadata alone.

The format is that of ``torch.distributed.checkpoint`` (``metadata.py``, ``filesystem.py``): a pickled ``Metadata`` with
the tensors by flat name, the path of each in the nested state dict (``planner_data``), and file, offset and length of
each of their chunks (``storage_data``). A chunk is a whole file of ``torch.save`` with one tensor in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wmtui.core.listing import TensorSpec
from wmtui.errors import FormatError, KeyMissingError, MissingError, UnsafeError
from wmtui.files.dtypes import nbytes_of
from wmtui.files.pickle_graph import MAX_PICKLE, Call, Graph, Node, Persistent, Table, dict_items, string_items
from wmtui.files.pickle_reader import read_pickle
from wmtui.files.pickled_modules import attributes
from wmtui.files.regular_file import RegularFile, Stamp
from wmtui.files.source import Piece, Place, Source, no_data
from wmtui.files.torch_file import read_torch_part
from wmtui.files.torch_tensors import PickledTensor, class_name, dtype_of, ints, tensor_of
from wmtui.files.unwrap import Weights

METADATA = ".metadata"
_AGAIN = "copy the whole folder again; whatever wrote it may have been stopped"


class Chunk(NamedTuple):
    """A part of a tensor: its place in the whole, and the bytes of a data file that hold it."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    offset: int
    length: int


class Distributed(NamedTuple):
    """A folder's metadata.

    Attributes:
        folder: where the data files lie.
        graph: the pickle of ``.metadata``.
        root: the nested state dict, tensors in it as `PickledTensor` whose ``identity`` is the flat name.
        chunks: flat name -> its chunks.
        nbytes: of all files together.
        stamp: of the metadata's file.
    """

    folder: Path
    graph: Graph
    root: Table
    chunks: Mapping[str, tuple[Chunk, ...]]
    nbytes: int
    stamp: Stamp


class DcpSource(Source):
    """A folder of a distributed checkpoint, and one dictionary of weights in it.

    Attributes:
        checkpoint: the metadata.
        weights: the dictionary.
        flat: key -> flat name in the metadata.
    """

    def __init__(self, location: Path, checkpoint: Distributed, weights: Weights) -> None:
        self.location = location
        self.checkpoint = checkpoint
        self.weights = weights
        self.flat = {key: str(tensor.identity) for key, _, tensor in weights.tensors}
        names = sorted({chunk.file for key in self.flat for chunk in checkpoint.chunks.get(self.flat[key], ())})
        self.files = tuple(checkpoint.folder / name for name in names)

    def changed(self) -> Path | None:
        with RegularFile(self.checkpoint.folder / METADATA) as file:
            return file.path if file.stamp != self.checkpoint.stamp else None

    def specs(self) -> list[TensorSpec]:
        """The tensors in order."""
        return [TensorSpec(key, t.shape, t.dtype, None, t.nbytes) for key, _, t in self.weights.tensors]

    def place(self, key: str) -> Place:
        pieces = self.pieces(key)
        if len(pieces) != 1:
            raise no_data(key, f"it lies in {len(pieces)} chunks")
        return pieces[0].place

    def pieces(self, key: str) -> tuple[Piece, ...]:
        if key not in self.flat:
            raise KeyMissingError(f"{self.location.name} has no tensor {key!r}", "take a key of its listing")
        chunks = self.checkpoint.chunks[self.flat[key]]
        if not chunks:
            raise no_data(key, "the metadata name no chunks of it")
        return tuple(self._piece(key, chunk) for chunk in chunks)

    def _piece(self, key: str, chunk: Chunk) -> Piece:
        file = read_torch_part(self.checkpoint.folder / chunk.file, chunk.offset, chunk.length)
        tensor = tensor_of(file.graph.root)
        if tensor is None or tensor.shape != chunk.sizes:
            raise no_data(key, f"{chunk.file} does not hold what the metadata say")
        return Piece(chunk.offsets, file.place(tensor, key))


def read_distributed(metadata: Path) -> Distributed:
    """Read the metadata of a folder; no data file is opened, but all must be there.

    Args:
        metadata: the file ``.metadata``.

    Raises:
        FormatError: it is damaged, or none.
        MissingError: a data file is not there.
        UnsafeError: it names a file outside of its folder.
    """
    with RegularFile(metadata) as file:
        if file.size > MAX_PICKLE:
            raise UnsafeError(f"{metadata}: {file.size:,} bytes are more than any real metadata", "do not trust it")
        graph = read_pickle(file.read_at(0, file.size), str(metadata))
        stamp = file.stamp
    found = attributes(graph.root)
    if found is None or dict_items(found.get("state_dict_metadata")) is None:
        raise FormatError(f"{metadata} is no metadata of a distributed checkpoint", "name the checkpoint's own folder")
    stored = _storage(found.get("storage_data"), metadata)
    paths = {
        name: tuple(str(part) for part in path)
        for name, path in string_items(found.get("planner_data"))
        if isinstance(path, tuple) and path and all(isinstance(part, (str, int)) for part in path)
    }
    leaves: list[tuple[tuple[str, ...], Node]] = []
    chunks = {}
    for name, entry in string_items(found["state_dict_metadata"]):
        leaf: Node = class_name(entry.func).removesuffix("StorageMetadata") if isinstance(entry, Call) else "?"
        tensor = _tensor(name, entry)
        if tensor is not None:
            leaf = Persistent(tensor)
            chunks[name] = _chunks(name, entry, stored, metadata)
        leaves.append((paths.get(name, (name,)), leaf))
    files = {chunk.file for made in chunks.values() for chunk in made}
    nbytes = metadata.stat().st_size + _check_files(metadata.parent, files)
    return Distributed(metadata.parent, graph, _nested(leaves), chunks, nbytes, stamp)


def _tensor(name: str, entry: Node) -> PickledTensor | None:
    found = attributes(entry) or {}
    shape = ints(found.get("size"))
    properties = found.get("properties")
    state = properties.state if isinstance(properties, Call) else None
    if isinstance(state, tuple) and state:
        dtype = dtype_of(state[0])
    else:
        dtype = dtype_of((attributes(properties) or {}).get("dtype"))
    if shape is None or dtype is None:
        return None
    return PickledTensor(shape, dtype, nbytes=nbytes_of(dtype, prod(shape)), identity=name)


_Stored = Mapping[tuple[str, tuple[int, ...]], tuple[str, int, int]]


def _storage(node: Node, metadata: Path) -> _Stored:
    """(flat name, offsets) -> (file, offset, length)."""
    stored = {}
    for index, info in dict_items(node) or ():
        at, held = attributes(index) or {}, attributes(info) or {}
        name, file, offset, length = at.get("fqn"), held.get("relative_path"), held.get("offset"), held.get("length")
        if not isinstance(name, str) or not isinstance(file, str):
            continue
        if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length < 0:
            raise FormatError(f"{metadata}: the place of {name!r} is damaged", _AGAIN)
        pure = PurePosixPath(file)
        if pure.is_absolute() or ".." in pure.parts or "\\" in file or "\0" in file or not pure.parts:
            raise UnsafeError(f"{metadata}: names {file!r}, outside of its folder", "do not trust this checkpoint")
        stored[name, ints(at.get("offset")) or ()] = (file, offset, length)
    return stored


def _chunks(name: str, entry: Node, stored: _Stored, metadata: Path) -> tuple[Chunk, ...]:
    made = []
    listed = (attributes(entry) or {}).get("chunks")
    for node in listed if isinstance(listed, (list, tuple)) else ():
        found = attributes(node) or {}
        offsets, sizes = ints(found.get("offsets")), ints(found.get("sizes"))
        if offsets is None or sizes is None or (name, offsets) not in stored:
            raise FormatError(f"{metadata}: a chunk of {name!r} has no place in a data file", _AGAIN)
        made.append(Chunk(offsets, sizes, *stored[name, offsets]))
    return tuple(made)


def _nested(entries: Iterable[tuple[tuple[str, ...], Node]]) -> Table:
    """Nested tables from leaves and their paths."""
    root = Table()
    tables: dict[tuple[str, ...], Table] = {(): root}
    for path, leaf in entries:
        for depth in range(1, len(path)):
            if path[:depth] not in tables:
                made = tables[path[:depth]] = Table()
                tables[path[: depth - 1]].items.append((path[depth - 1], made))
        tables[path[:-1]].items.append((path[-1], leaf))
    return root


def _check_files(folder: Path, names: set[str]) -> int:
    """Bytes of the data files."""
    total = 0
    for name in sorted(names):
        try:
            total += (folder / name).stat().st_size
        except OSError as e:
            raise MissingError(f"{folder / name} does not exist, but the metadata name it", _AGAIN) from e
    return total
