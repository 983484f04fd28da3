"""Indices of sharded checkpoints (``model.safetensors.index.json``, ``pytorch_model.bin.index.json``)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path, PurePosixPath

import msgspec

from wmtui.core.printable import plural
from wmtui.errors import FormatError, MissingError, UnsafeError
from wmtui.files.regular_file import RegularFile

MAX_INDEX = 256 << 20


class ShardIndex(msgspec.Struct, frozen=True):
    """An index.

    Attributes:
        path: the file.
        weight_map: key -> name of its shard, relative to the index's folder, in the order of the file.
        metadata: whatever else it says (``total_size``).
    """

    path: Path
    weight_map: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def shards(self) -> tuple[Path, ...]:
        """The shards' files, sorted by name."""
        return tuple(self.path.parent / name for name in sorted(set(self.weight_map.values())))


class _Index(msgspec.Struct):
    weight_map: dict[str, str]
    metadata: dict[str, object] | None = None


def read_index(path: Path) -> ShardIndex:
    """Read an index, and see that its shards are there.

    Raises:
        FormatError: it is no index.
        UnsafeError: it names a file outside of its folder.
        MissingError: a shard is not there.
    """
    with RegularFile(path) as file:
        if file.size > MAX_INDEX:
            raise UnsafeError(f"{path}: an index of {file.size:,} bytes is larger than any real one", "check the file")
        raw = file.read_at(0, file.size)
    try:
        index = msgspec.json.decode(raw, type=_Index)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"{path} is no index of shards: {e}", "download the index again, or name a shard") from e
    if not index.weight_map:
        raise FormatError(f"{path}: the index names no tensors", "download the index again, or name a shard")
    for name in dict.fromkeys(index.weight_map.values()):
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name or not pure.parts:
            raise UnsafeError(
                f"{path}: the index names {name!r}, outside of its folder", "do not trust this checkpoint"
            )
        if not (path.parent / name).exists():
            raise MissingError(
                f"{path.parent / name} does not exist, but {path.name} names it", "download the missing shard"
            )
    return ShardIndex(path, index.weight_map, index.metadata or {})


def check_complete(index: ShardIndex, held: Mapping[Path, Set[str]]) -> tuple[str, ...]:
    """See that each shard holds what the index says of it.

    Args:
        index: the index.
        held: shard -> its keys.

    Returns:
        Notes on tensors that the index does not name, one line each.

    Raises:
        FormatError: a shard lacks a tensor.
    """
    for key, name in index.weight_map.items():
        if key not in held[index.path.parent / name]:
            raise FormatError(
                f"{index.path.parent / name} lacks {key!r}, which {index.path.name} expects in it",
                "download shards and index again: they are of different versions",
            )
    notes = []
    for path, keys in held.items():
        more = sorted(keys - index.weight_map.keys())
        if more:
            notes.append(
                f"{path.name} holds {plural(len(more), 'tensor')} that the index does not name, such as {more[0]!r}"
            )
    return tuple(notes)
