"""The writer of torch's zip archives: byte for byte the layout of PyTorch's own writer.

Members are stored, begin at multiples of the alignment (padded by an extra field ``FB``), have their CRC and sizes in
a descriptor behind the data and in the directory, and zip64 fields where 32 bits are too few
(``caffe2/serialize/inline_container.cc``, ``getPadding``; the records as in PKWARE's APPNOTE 6.3.9). The layout
matters: ``torch.load`` can compute where each storage lies without reading the archive.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable

from wmtui.files.atomic import OutputFile
from wmtui.files.disk import Tick
from wmtui.files.regular_file import RegularFile

ALIGNMENT = 64
_MAX32 = 0xFFFFFFFF
_FLAGS = 0x808  # CRC and sizes follow the data; the name is UTF-8
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")


class ZipWriter:
    """An archive that is being written.

    Args:
        output: the file; the archive is what is written to it from now on.
        alignment: of the members' data.
        tick: told of every byte of payload.
    """

    def __init__(self, output: OutputFile, alignment: int, tick: Tick) -> None:
        self._output = output
        self._start = output.size
        self._alignment = alignment
        self._tick = tick
        self._directory = bytearray()
        self._count = 0

    def add(self, name: str, data: bytes | bytearray, more_padding: int = 0) -> None:
        """A member with these bytes, so many bytes further on than needed (a multiple of the alignment)."""
        header = self._begin(name, len(data), more_padding)
        self._output.append(data)
        self._end(name, len(data), zlib.crc32(data), header)

    def add_copy(self, name: str, source: RegularFile, start: int, size: int, crc: int) -> None:
        """A member whose bytes are copied from another file; their CRC is known."""
        header = self._begin(name, size)
        self._output.append_from(source, start, size, self._tick)
        self._end(name, size, crc, header)

    def add_made(self, name: str, size: int, make: Callable[[OutputFile, int], None]) -> None:
        """A member of ``size`` bytes that ``make`` writes at an offset, in whatever order."""
        header = self._begin(name, size)
        at = self._output.size
        make(self._output, at)
        self._end(name, size, self._output.crc(at, size), header)

    def finish(self) -> None:
        """Write the directory."""
        start = self._here
        self._output.append(self._directory)
        end = self._here
        count, length = self._count, end - start
        self._output.append(
            _END64.pack(b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, length, start)
            + _LOCATOR.pack(b"PK\6\7", 0, end, 1)
            + _END.pack(
                b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(length, _MAX32), min(start, _MAX32), 0
            )
        )

    @property
    def _here(self) -> int:
        return self._output.size - self._start

    def start_after(self, header: int, members: Iterable[tuple[str, int]]) -> int:
        """Where the last one's data begin, of members (name, size) that are written from an offset on."""
        start = end = header
        for name, size in members:
            extra = _zip64(size, end)
            start = end + _LOCAL.size + len(_raw(name)) + len(extra) + 4
            start += -start % self._alignment
            end = start + size + (24 if extra else 16)
        return start

    def _begin(self, name: str, size: int, more_padding: int = 0) -> int:
        header = self._here
        raw, extra = _raw(name), _zip64(size, header)
        padding = self.start_after(header, [(name, size)]) + more_padding
        padding -= header + _LOCAL.size + len(raw) + len(extra) + 4
        extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        self._output.append(_LOCAL.pack(b"PK\3\4", 0, _FLAGS, 0, 0, 0, 0, 0, 0, len(raw), len(extra)) + raw + extra)
        return header

    def _end(self, name: str, size: int, crc: int, header: int) -> None:
        layout = "<4sL2Q" if _zip64(size, header) else "<4s3L"
        self._output.append(struct.pack(layout, b"PK\7\x08", crc, size, size))
        raw, extra = _raw(name), _zip64(size, header)
        size32, header32 = min(size, _MAX32), min(header, _MAX32)
        self._directory += _CENTRAL.pack(
            b"PK\1\2", 0, 0, _FLAGS, 0, 0, 0, crc, size32, size32, len(raw), len(extra), 0, 0, 0, 0, header32
        )
        self._directory += raw + extra
        self._count += 1


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _zip64(size: int, header: int) -> bytes:
    """The extra field for what does not fit into 32 bits."""
    fields = [size, size] if size >= _MAX32 else []
    if header >= _MAX32:
        fields.append(header)
    return struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""
