"""Archives of torch: the pickle, the small records beside it, and the storages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import NamedTuple

from wmtui.files import disk as disk_module
from wmtui.files.atomic import OutputFile
from wmtui.files.disk import BLOCK, Tick
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Place
from wmtui.files.torch_file import TorchFile
from wmtui.files.torch_tensors import StorageRef
from wmtui.files.writing.elements import Elements, write_elements
from wmtui.files.writing.inputs import Inputs
from wmtui.files.writing.zip_writer import ALIGNMENT, ZipWriter
from wmtui.files.zip_directory import DEFLATED, data_offset, read_member

_SMALL_MEMBER = 1 << 20
_DEFAULTS = {".format_version": b"1", ".storage_alignment": b"64", "byteorder": b"little", "version": b"3\n"}
_BEFORE = (".format_version", ".storage_alignment", "byteorder")
"""What torch writes before the storages; all else comes after them."""


class Record(NamedTuple):
    """The bytes of one storage of the output.

    Attributes:
        place: where they are, or where the storage is that they are made from.
        size: in the output.
        crc: of a storage that is copied, where it is known.
        elements: what they are made of, where they must be rearranged.
    """

    place: Place
    size: int
    crc: int | None = None
    elements: Elements | None = None


def record_of(file: TorchFile, source: RegularFile, ref: StorageRef) -> Record:
    """A storage of a torch file, whole; it must not be missing there."""
    if file.directory is None:
        offset, nbytes = file.storages[ref.key]
        return Record(Place(file.path, offset, nbytes, ref.key, ref.dtype, (ref.numel,)), nbytes)
    member = file.directory.members[file.member_name(ref)]
    place = Place(
        file.path, data_offset(source, member), member.stored, member.name, ref.dtype, (ref.numel,),
        compressed=member.method == DEFLATED,
    )  # fmt: skip
    return Record(place, member.size, member.crc)


def small_members(file: TorchFile, source: RegularFile) -> dict[str, bytes]:
    """The records of an archive beside the pickle and the storages, by their names without the folder."""
    if file.directory is None:
        return _DEFAULTS | {"byteorder": file.byteorder.encode()}
    top = file.top
    return {
        name[len(top) :]: read_member(source, member, _SMALL_MEMBER)
        for name, member in file.directory.members.items()
        if name.startswith(top) and not name.startswith(f"{top}data/") and name != f"{top}data.pkl"
    }


def write_archive(
    output: OutputFile,
    top: str,
    pickled: bytearray,
    storages: Iterable[tuple[str, Record]],
    inputs: Inputs,
    tick: Tick,
    members: Mapping[str, bytes] = _DEFAULTS,
) -> None:
    """Write a whole archive in torch's own order.

    Args:
        top: the folder in it (``archive/``).
        pickled: the pickle; it may be large, and is cleared when it is written.
        storages: (key, record), in the order in which the pickle names them.
        members: the small records.

    Raises:
        InputError: a source cannot be read.
        OSError: the disk is full, ...
    """
    stated = members.get(".storage_alignment", b"")
    alignment = int(stated) if stated.isdigit() and 0 < int(stated) <= BLOCK else ALIGNMENT
    archive = ZipWriter(output, alignment, tick)
    before = {f"{top}data.pkl": pickled} | {top + name: members[name] for name in _BEFORE if name in members}
    shift = 0
    rest = iter(storages)
    for key, first in islice(rest, 1):
        rest = chain([(key, first)], rest)
        start = archive.start_after(0, [*((name, len(data)) for name, data in before.items()),
                                        (f"{top}data/{key}", first.size)])  # fmt: skip
        shift = _to_same_phase(first, start, alignment, output, inputs)
    for name, data in before.items():
        archive.add(name, data, shift)
        shift = 0
    pickled.clear()
    for key, record in rest:
        _write_storage(archive, f"{top}data/{key}", record, inputs, tick)
    for name, data in members.items():
        if name not in _BEFORE:
            archive.add(top + name, data)
    archive.finish()


def _to_same_phase(first: Record, start: int, alignment: int, output: OutputFile, inputs: Inputs) -> int:
    """By how much all must move so that storages lie within a block as in the source, where blocks can be shared."""
    if first.elements is not None or first.place.compressed or (first.place.offset - start) % alignment:
        return 0
    if not disk_module.disk.shares_blocks(inputs.file(first.place.path).fd, output.fd):
        return 0
    return (first.place.offset - start) % BLOCK


def _write_storage(archive: ZipWriter, name: str, record: Record, inputs: Inputs, tick: Tick) -> None:
    source, base = inputs.storage(record.place, tick)
    if record.elements is not None:
        elements = record.elements._replace(start=base + record.elements.start)
        archive.add_made(name, record.size, lambda output, at: write_elements(source, elements, output, at, tick))
    elif record.crc is not None:
        archive.add_copy(name, source, base, record.size, record.crc)
    else:
        archive.add_made(name, record.size, lambda output, _: output.append_from(source, base, record.size, tick))
