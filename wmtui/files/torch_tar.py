"""The oldest files of ``torch.save``, from before 0.1.10: a tar archive of storages, tensors and one pickle.

The format is what ``torch.serialization._legacy_load`` reads in its ``legacy_load``. Member ``storages``: their number,
then for each a pickle ``(key, location, class)``, the number of elements (int64) and the elements; at the end a list of
views. Member ``tensors``: their number, then for each a pickle ``(key, storage key, class)``, the number of dimensions
(int32, and four bytes unused), sizes, strides and the offset (int64 each). Member ``pickle``: the object, whose
persistent ids are keys of both.
"""

from __future__ import annotations

import struct
from math import prod
from typing import NamedTuple

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.dtypes import STORAGES, nbytes_of
from wmtui.files.pickle_graph import MAX_PICKLE, Global, Graph, Node
from wmtui.files.pickle_reader import Truncated, read_pickle
from wmtui.files.regular_file import RegularFile
from wmtui.files.torch_legacy import LegacyFile
from wmtui.files.torch_tensors import MAX_DIMS, PickledTensor, StorageRef

MAX_OBJECTS = 100_000
_AGAIN = "copy or download the file again; whatever wrote it may have been stopped"
_BLOCK = 512
_WINDOW = 1 << 16


class _Span(NamedTuple):
    start: int
    end: int


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a tar archive."""
    return head[257:262] == b"ustar"


def read_tar(file: RegularFile) -> LegacyFile:
    """Read everything but the storages' elements.

    Raises:
        FormatError: the archive is damaged, or none of torch's.
        UnsafeError: its pickle is larger than that of any checkpoint.
    """
    where = str(file.path)
    members = _members(file)
    missing = [name for name in ("storages", "tensors", "pickle") if name not in members]
    if missing:
        raise FormatError(f"{where}: a tar archive without {missing[0]!r} is no checkpoint", "unpack it first")
    try:
        storages, places = _storages(file, members["storages"])
        tensors = _tensors(file, members["tensors"], storages)
    except (struct.error, OverflowError) as e:
        raise FormatError(f"{where}: the archive is damaged", _AGAIN) from e
    span = members["pickle"]
    if span.end - span.start > MAX_PICKLE:
        raise UnsafeError(f"{where}: its pickle is larger than any checkpoint's", "do not trust this file")
    graph = read_pickle(file.read_at(span.start, span.end - span.start), where)
    for persistent in graph.persistents:
        pid = persistent.pid
        if isinstance(pid, (str, int)) and str(pid) in tensors:
            persistent.pid = tensors[str(pid)]
    return LegacyFile(graph, places, "little")


def _members(file: RegularFile) -> dict[str, _Span]:
    """The regular files of the archive; whatever lies in it besides is passed over."""
    found: dict[str, _Span] = {}
    at = 0
    for _ in range(1000):
        if at + _BLOCK > file.size:
            break
        head = file.read_at(at, _BLOCK)
        if not head.strip(b"\0"):
            break
        try:
            size = int(head[124:136].strip(b"\0 ") or b"0", 8)
        except ValueError as e:
            raise FormatError(f"{file.path}: the tar archive is damaged", _AGAIN) from e
        span = _Span(at + _BLOCK, at + _BLOCK + size)
        if size < 0 or span.end > file.size:
            raise FormatError(f"{file.path}: the tar archive is cut off", _AGAIN)
        if head[156:157] in (b"0", b"\0"):
            found[head[:100].split(b"\0")[0].decode("utf-8", "replace").removeprefix("./")] = span
        at = span.start + (size + _BLOCK - 1) // _BLOCK * _BLOCK
    return found


def _pickle_at(file: RegularFile, at: int, end: int) -> Graph:
    """A small pickle in the middle of a member; its ``end`` is the offset in the file."""
    window = _WINDOW
    while True:
        data = file.read_at(at, min(window, end - at))
        try:
            graph = read_pickle(data, str(file.path))
            return graph._replace(end=at + graph.end)
        except Truncated:
            if at + window >= end or window >= MAX_PICKLE:
                raise
            window *= 32


def _count(file: RegularFile, span: _Span) -> tuple[int, int]:
    graph = _pickle_at(file, span.start, span.end)
    if type(graph.root) is not int or not 0 <= graph.root <= MAX_OBJECTS:
        raise FormatError(f"{file.path}: the archive's number of objects is damaged", _AGAIN)
    return graph.root, graph.end


def _fields(file: RegularFile, root: Node) -> tuple[str, Node, Node]:
    if not isinstance(root, tuple) or len(root) != 3 or not isinstance(root[0], (str, int)):
        raise FormatError(f"{file.path}: an entry of the archive is damaged", _AGAIN)
    return str(root[0]), root[1], root[2]


def _storages(file: RegularFile, span: _Span) -> tuple[dict[str, StorageRef], dict[str, tuple[int, int]]]:
    count, at = _count(file, span)
    refs: dict[str, StorageRef] = {}
    places: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        graph = _pickle_at(file, at, span.end)
        key, _, kind = _fields(file, graph.root)
        dtype = STORAGES.get(kind.name, "") if isinstance(kind, Global) else ""
        (numel,) = struct.unpack("<q", file.read_at(graph.end, 8))
        nbytes = nbytes_of(dtype, numel)
        at = graph.end + 8
        if nbytes is None or numel < 0 or at + nbytes > span.end:
            raise FormatError(f"{file.path}: the storage {key!r} is damaged", _AGAIN)
        refs[key] = StorageRef(key, dtype, numel)
        places[key] = (at, nbytes)
        at += nbytes
    views = _pickle_at(file, at, span.end).root
    for view in views if isinstance(views, list) else []:
        if isinstance(view, tuple) and len(view) == 4 and str(view[1]) in refs:
            target, root, offset, size = view
            if type(offset) is int and type(size) is int and offset >= 0 and size >= 0:
                refs[str(target)] = refs[str(root)]._replace(offset=offset, numel=size)
    return refs, places


def _tensors(file: RegularFile, span: _Span, storages: dict[str, StorageRef]) -> dict[str, PickledTensor]:
    count, at = _count(file, span)
    tensors = {}
    for _ in range(count):
        graph = _pickle_at(file, at, span.end)
        key, storage, _ = _fields(file, graph.root)
        (dims,) = struct.unpack("<i4x", file.read_at(graph.end, 8))
        if not 0 <= dims <= MAX_DIMS or str(storage) not in storages:
            raise FormatError(f"{file.path}: the tensor {key!r} is damaged", _AGAIN)
        numbers = struct.unpack(f"<{2 * dims + 1}q", file.read_at(graph.end + 8, 8 * (2 * dims + 1)))
        at = graph.end + 8 + 8 * len(numbers)
        if min(numbers) < 0:
            raise FormatError(f"{file.path}: the tensor {key!r} is damaged", _AGAIN)
        ref = storages[str(storage)]
        shape, strides = numbers[:dims], numbers[dims:-1]
        tensors[key] = PickledTensor(
            shape, ref.dtype, nbytes=nbytes_of(ref.dtype, prod(shape)), storage=ref, storage_offset=numbers[-1],
            strides=strides,
        )  # fmt: skip
    return tensors
