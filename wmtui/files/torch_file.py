"""Files of ``torch.save`` in all their forms: the object's graph, and where each storage lies."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from wmtui.errors import FormatError, UnsafeError
from wmtui.files.dtypes import nbytes_of
from wmtui.files.folded import FoldedTensor, Like, View
from wmtui.files.folding import Fold
from wmtui.files.pickle_graph import MAX_PICKLE, Graph
from wmtui.files.pickle_reader import read_pickle
from wmtui.files.regular_file import RegularFile, Stamp
from wmtui.files.source import Place, no_data
from wmtui.files.torch_legacy import is_legacy, read_legacy
from wmtui.files.torch_tar import is_tar, read_tar
from wmtui.files.torch_tensors import PickledTensor, StorageRef, fits, storages_of
from wmtui.files.zip_directory import DEFLATED, ZipDirectory, data_offset, read_directory, read_member

Form = Literal["zip", "legacy", "tar", "pickle", "torchscript"]
FORM_NAMES: dict[Form, str] = {
    "zip": "torch zip checkpoint",
    "legacy": "torch checkpoint in the format before 1.6",
    "tar": "torch checkpoint in the tar format before 0.2",
    "pickle": "pickle",
    "torchscript": "TorchScript archive",
}


@dataclass(frozen=True)
class TorchFile:
    """One file.

    Attributes:
        path: the file.
        size: in bytes.
        form: which of torch's formats it has.
        graph: its object (``data.pkl`` of a zip).
        byteorder: of the storages.
        top: for zips, the folder in the archive that everything lies in, with a slash (``archive/``).
        directory: for zips only.
        absent: keys of storages that the pickle names and the file does not hold, or not all of.
        storages: for the old formats, (offset, bytes) of each storage by its key.
        notes: what is odd about it, one line each.
        start: where it begins, for one that is part of a larger file.
        stamp: of the file.
    """

    path: Path
    size: int
    form: Form
    graph: Graph
    byteorder: str = "little"
    top: str = ""
    directory: ZipDirectory | None = None
    absent: frozenset[str] = frozenset()
    storages: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    start: int = 0
    stamp: Stamp | None = None

    def lacks(self, ref: StorageRef) -> bool:
        """Whether the file lacks a storage, or holds less of it than the pickle says."""
        if self.directory is not None:
            member = self.directory.members.get(self.member_name(ref))
            held = member.size if member else -1
        else:
            held = self.storages.get(ref.key, (0, -1))[1]
        needed = nbytes_of(ref.dtype, ref.offset + ref.numel)
        return needed is None or held < needed

    def member_name(self, ref: StorageRef) -> str:
        """The zip member that holds a storage."""
        return f"{self.top}data/{ref.key}"

    def place(self, tensor: PickledTensor, key: str) -> Place:
        """Where a tensor's elements lie.

        Raises:
            InputError: they are not there as plain elements.
        """
        ref = tensor.storage
        if ref is None or (tensor.type_name is not None and tensor.type_name != "QuantizedTensor"):
            raise no_data(key, f"it is a {tensor.type_name}, not a plain tensor")
        if tensor.flipped:
            raise no_data(key, "it is a conjugated or negated view")
        if self.lacks(ref) or not fits(tensor):
            raise no_data(key, f"{self.path.name} does not hold all of its storage")
        offset, nbytes, name, packed = self._storage(ref)
        extra = nbytes_of(ref.dtype, ref.offset) or 0
        return Place(
            self.path, self.start + offset + extra, nbytes - extra, name, tensor.dtype, tensor.shape, tensor.strides,
            tensor.storage_offset, self.byteorder, packed,
        )  # fmt: skip

    def _storage(self, ref: StorageRef) -> tuple[int, int, str, bool]:
        if self.directory is None:
            offset, nbytes = self.storages[ref.key]
            return offset, nbytes, ref.key, False
        number = self.directory.members.number(self.member_name(ref))
        member = self.directory.members.at(number)
        offset = self._offsets[number]
        if not offset:
            with RegularFile(self.path, self.start, self.size) as file:
                offset = data_offset(file, member)
        return offset, member.stored, member.name, member.method == DEFLATED

    @cached_property
    def _offsets(self) -> Sequence[int]:
        """Where the data of each member of a zip begin, in the order of its directory; 0 for a damaged one."""
        assert self.directory is not None
        found = array("Q")
        with RegularFile(self.path, self.start, self.size) as file:
            for number in range(len(self.directory.members)):
                offset = 0
                with suppress(FormatError):
                    offset = data_offset(file, self.directory.members.at(number))
                found.append(offset)
        return found


def read_torch_file(path: Path, *, to_keep: bool = True) -> TorchFile:
    """Read everything but the storages of a file of ``torch.save`` in any format, or of a plain pickle.

    Args:
        to_keep: if not, a zip's tensors do not tell where they lie; that they are there is checked nonetheless.

    Raises:
        FormatError: it is damaged, or none of these.
        UnsafeError: reading it would exhaust the machine.
        InputError: it cannot be read.
    """
    return read_torch_part(path, 0, None, to_keep)


def read_torch_part(path: Path, start: int, length: int | None, to_keep: bool = True) -> TorchFile:
    """The same for a part of a larger file, such as a chunk of a distributed checkpoint."""
    with RegularFile(path, start, length) as file:
        made = replace(_read(file, to_keep), start=start, stamp=file.stamp)
    absent = made.absent.union(ref.key for ref in storages_of(made.graph) if made.lacks(ref))
    if not absent:
        return made
    note = f"{len(absent)} storages are missing or too short, such as {min(absent)!r}: the file is damaged"
    return replace(made, absent=absent, notes=(*made.notes, note))


def _read(file: RegularFile, to_keep: bool) -> TorchFile:
    path = file.path
    head = file.read_at(0, min(512, file.size))
    if head.startswith(b"PK"):
        return _read_zip(file, to_keep)
    if is_legacy(head) or is_tar(head):
        form: Form = "tar" if is_tar(head) else "legacy"
        read = read_tar(file) if form == "tar" else read_legacy(file)
        return TorchFile(path, file.size, form, read.graph, read.byteorder, storages=read.storages)
    if file.size > MAX_PICKLE:
        raise UnsafeError(
            f"{path}: a pickle of {file.size:,} bytes is more than is read whole",
            "load it where you trust it, and save it with torch.save(state_dict, ...)",
        )
    return TorchFile(path, file.size, "pickle", read_pickle(file.read_at(0, file.size), str(path)))


def _read_zip(file: RegularFile, to_keep: bool) -> TorchFile:
    directory = read_directory(file)
    path = file.path
    top = _top(directory)
    if top is None:
        raise FormatError(f"{path}: {_other_zip(directory)}", "name a file that torch.save or safetensors wrote")
    members = directory.members
    pickled = members[f"{top}data.pkl"]
    data = read_member(file, pickled, MAX_PICKLE)
    notes = []
    if zlib.crc32(data) != pickled.crc:
        notes.append("the checksum of data.pkl is wrong: torch was told not to compute it, or the file is damaged")
    order = members.get(f"{top}byteorder")
    big = order is not None and order.size == 3 and read_member(file, order, 16) == b"big"
    scripted = f"{top}constants.pkl" in members and any(name.startswith(f"{top}code/") for name in members)
    made = TorchFile(
        path, file.size, "torchscript" if scripted else "zip", Graph(None, 2, 0), "big" if big else "little", top,
        directory, notes=tuple(notes),
    )  # fmt: skip
    where = f"{path} (data.pkl)"
    if to_keep:
        return replace(made, graph=read_pickle(data, where, fold=FoldedTensor))
    absent: set[str] = set()
    graph = read_pickle(data, where, fold=_passing(made, absent))._replace(folded=())
    return replace(made, graph=graph, absent=frozenset(absent))


def _passing(file: TorchFile, absent: set[str]) -> Fold:
    """Nodes of tensors whose storages are looked for as they pass; those that are alike but for these are one."""
    kept: dict[tuple[Like, View], FoldedTensor] = {}

    def fold(like: Like, view: View, key: str) -> FoldedTensor:
        made = FoldedTensor(like, view, key)
        absent.update(ref.key for ref in storages_of(Graph(None, 2, 0, folded=(made,))) if file.lacks(ref))
        return kept.setdefault((like, view), made)

    return fold


def _top(directory: ZipDirectory) -> str | None:
    """The folder of the archive that holds ``data.pkl``, the shortest one; ``None`` where there is none."""
    found = [name for name in directory.members if name == "data.pkl" or name.endswith("/data.pkl")]
    return min(found, key=len).removesuffix("data.pkl") if found else None


def _other_zip(directory: ZipDirectory) -> str:
    names = list(directory.members)
    if any(name.endswith(".npy") for name in names):
        return "an archive of numpy arrays, not a torch checkpoint"
    if any(name.endswith("archive_format") for name in names):
        return "an exported program (torch.export), not a checkpoint"
    return "a zip archive without data.pkl, not a torch checkpoint"
