"""Files of ``torch.save`` from before the zip format: a stream of pickles followed by the storages' bytes.

The format is that of ``torch.serialization._legacy_save``: magic number, protocol, system info, the object, the keys of
the storages, then for each key the number of its elements (int64) and the elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.dtypes import nbytes_of
from wmtui.files.folded import FoldedTensor
from wmtui.files.pickle_graph import MAX_PICKLE, Graph, get
from wmtui.files.pickle_reader import Truncated, read_pickle
from wmtui.files.regular_file import RegularFile
from wmtui.files.torch_tensors import storages_of

MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_BYTES = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_MAGIC_TEXT = b"L119547037146038801333356L"
PROTOCOL = 1001
_AGAIN = "copy or download the file again; whatever wrote it may have been stopped"


class LegacyFile(NamedTuple):
    """What stands in such a file: the object, and (offset, bytes) of each storage by its key."""

    graph: Graph
    storages: Mapping[str, tuple[int, int]]
    byteorder: str


def is_legacy(head: bytes) -> bool:
    """Whether a file that begins so has the magic number first, in whatever protocol of pickle."""
    return _MAGIC_BYTES in head[:32] or head.startswith(_MAGIC_TEXT)


def read_legacy(file: RegularFile) -> LegacyFile:
    """Read everything but the storages' elements.

    Raises:
        FormatError: the file is damaged, or of an unknown version.
        UnsafeError: its pickles are larger than those of any checkpoint.
    """
    graph, keys, system, start = _read_pickles(file)
    storages = _find_storages(file, graph, keys, start)
    return LegacyFile(graph, storages, "big" if get(system, "little_endian") is False else "little")


def _read_pickles(file: RegularFile) -> tuple[Graph, list[str], object, int]:
    """The object, the keys of the storages, the system info, and where the storages begin."""
    where = str(file.path)
    window = 4 << 20
    while True:
        data = file.read_at(0, min(window, file.size))
        try:
            magic = read_pickle(data, where)
            protocol = read_pickle(data, where, magic.end)
            system = read_pickle(data, where, protocol.end)
            graph = read_pickle(data, where, system.end, fold=FoldedTensor)
            keys = read_pickle(data, where, graph.end)
            break
        except Truncated:
            if window >= file.size:
                raise
            if window >= MAX_PICKLE:
                raise UnsafeError(
                    f"{where}: its pickle is larger than any checkpoint's ({MAX_PICKLE:,} bytes)",
                    "save only the weights: torch.save(model.state_dict(), ...)",
                ) from None
            window = min(window * 8, MAX_PICKLE)
    if magic.root != MAGIC or protocol.root != PROTOCOL:
        raise FormatError(f"{where}: an old torch file of an unknown version", "load and save it with torch")
    if not isinstance(keys.root, list) or not all(isinstance(key, str) for key in keys.root):
        raise FormatError(f"{where}: the list of its storages is damaged", _AGAIN)
    return graph, keys.root, system.root, keys.end


def _find_storages(file: RegularFile, graph: Graph, keys: list[str], start: int) -> dict[str, tuple[int, int]]:
    types = {ref.key: ref.dtype for ref in storages_of(graph)}
    storages = {}
    for key in keys:
        if key not in types:
            raise FormatError(f"{file.path}: no tensor tells the type of the storage {key!r}", _AGAIN)
        numel = int.from_bytes(file.read_at(start, 8), "little", signed=True)
        nbytes = nbytes_of(types[key], numel)
        start += 8
        if nbytes is None or numel < 0 or start + nbytes > file.size:
            raise FormatError(f"{file.path}: the file ends inside the storage {key!r}", _AGAIN)
        if key in storages:
            raise FormatError(f"{file.path}: the storage {key!r} stands twice in the file", _AGAIN)
        storages[key] = (start, nbytes)
        start += nbytes
    return storages
