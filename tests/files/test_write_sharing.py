"""Where the file system can share blocks between files, payload lies within a block as it does in the source."""

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.files.writing import prefixed, rename, same
from wmtui.files import disk as disk_module
from wmtui.files.disk import BLOCK, Disk

STATE = {f"layers.{i}.weight": torch.randn(50, 60 + i) for i in range(20)}


class Sharing(Disk):
    """Says that it can share blocks, and notes what would be shared."""

    def __init__(self) -> None:
        self.copies: list[tuple[int, int, int]] = []

    def shares_blocks(self, source: int, fd: int) -> bool:
        return True

    def copy(self, source, start, length, fd, offset, tick):
        self.copies.append((start, offset, length))
        super().copy(source, start, length, fd, offset, tick)


@pytest.mark.parametrize("keys", [3, 7, 20])
def test_payload_is_in_phase_with_the_source(tmp_path, monkeypatch, keys):
    monkeypatch.setattr("wmtui.files.atomic._SMALL", 0)
    state = dict(list(STATE.items())[:keys])
    save_file(state, tmp_path / "old.safetensors")
    torch.save(state, tmp_path / "old.pt")
    for name in ("old.safetensors", "old.pt"):
        disk = Sharing()
        monkeypatch.setattr(disk_module, "disk", disk)
        output = tmp_path / name.replace("old", "new")
        rename(tmp_path / name, output, prefixed(state, "a.much.longer.prefix."), verify=True)
        assert disk.copies
        assert all((start - offset) % BLOCK == 0 for start, offset, _ in disk.copies)
        made = load_file(output) if output.suffix == ".safetensors" else load_by_offsets(output)
        assert same({key: made[f"a.much.longer.prefix.{key}"] for key in state}, state)


def load_by_offsets(path: Path) -> dict[str, torch.Tensor]:
    """Where torch computes the places of all storages from those of the first."""
    config = torch.utils.serialization.config.load
    before, config.calculate_storage_offsets = config.calculate_storage_offsets, True
    try:
        made: dict[str, torch.Tensor] = torch.load(path, mmap=True, weights_only=True)
    finally:
        config.calculate_storage_offsets = before
    return made


def sharing(limit: int, calls: list[tuple[int, int, int]]) -> Callable[[int, int, bytes], int]:
    """An ``ioctl`` of a file system that shares blocks, until so many calls were made."""

    def ioctl(target: int, request: int, argument: bytes) -> int:
        source, start, length, offset = struct.unpack("=qQQQ", argument)
        if request != 0x4020940D or len(calls) == limit or start % BLOCK or length % BLOCK or offset % BLOCK:
            raise OSError(95, "Operation not supported")
        calls.append((start, length, offset))
        os.pwrite(target, os.pread(source, length, start), offset)
        return 0

    return ioctl


@pytest.mark.parametrize(
    ("start", "length", "limit", "shared"),
    [
        (5000, 30_000, 9, [(2 * BLOCK, 2 * BLOCK), (4 * BLOCK, 2 * BLOCK), (6 * BLOCK, 2 * BLOCK)]),
        (5000, 30_000, 1, [(2 * BLOCK, 2 * BLOCK)]),
        (5000, 30_000, 0, []),
        (2 * BLOCK, 3 * BLOCK, 9, [(2 * BLOCK, 2 * BLOCK), (4 * BLOCK, BLOCK)]),
        (5000, BLOCK, 9, []),
    ],
)
def test_whole_blocks_are_shared_and_the_rest_is_copied(tmp_path, monkeypatch, start, length, limit, shared):
    calls: list[tuple[int, int, int]] = []
    monkeypatch.setattr(fcntl, "ioctl", sharing(limit, calls))
    monkeypatch.setattr(disk_module, "_SHARED", 2 * BLOCK)
    data = os.urandom(40_000)
    (tmp_path / "a").write_bytes(data)
    ticks: list[int] = []
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb+") as target:
        Disk().copy(source.fileno(), start, length, target.fileno(), start + 3 * BLOCK, ticks.append)
    assert calls == [(at, count, at + 3 * BLOCK) for at, count in shared]
    assert (tmp_path / "b").read_bytes()[start + 3 * BLOCK :] == data[start : start + length]
    assert sum(ticks) == length


def test_what_lies_otherwise_within_a_block_is_not_shared(tmp_path, monkeypatch):
    calls: list[tuple[int, int, int]] = []
    monkeypatch.setattr(fcntl, "ioctl", sharing(9, calls))
    monkeypatch.setattr(disk_module, "_BUFFER", 3000)
    monkeypatch.setattr(disk_module, "_PIECE", 700)
    data = os.urandom(40_000)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb+") as target:
        Disk().copy(source.fileno(), BLOCK, 30_000, target.fileno(), 8, lambda n: None)
        with pytest.raises(EOFError):
            Disk().copy(source.fileno(), 20_000, 30_000, target.fileno(), 8, lambda n: None)
    assert calls == []
    assert (tmp_path / "b").read_bytes()[8:30_008] == data[20_000:] + data[BLOCK + 20_000 : BLOCK + 30_000]
