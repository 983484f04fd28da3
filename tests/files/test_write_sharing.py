"""Where the file system can share blocks between files, payload lies within a block as it does in the source."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.files.writing import opened, prefixed, rename, same
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


def test_a_copy_goes_by_blocks_after_its_first_bytes(tmp_path, monkeypatch):
    calls = []
    real = os.copy_file_range

    def noting(source, target, count, start, offset):
        calls.append((count, start, offset))
        return real(source, target, count, start, offset)

    monkeypatch.setattr(os, "copy_file_range", noting)
    data = os.urandom(30_000)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb+") as target:
        Disk().copy(source.fileno(), 5000, 20_000, target.fileno(), 5000 + 3 * BLOCK, lambda n: None)
    assert calls[0] == (2 * BLOCK - 5000, 5000, 5000 + 3 * BLOCK)
    assert calls[1][1] == 2 * BLOCK
    assert (tmp_path / "b").read_bytes()[5000 + 3 * BLOCK :] == data[5000:25_000]


def test_a_disk_without_copies_in_the_kernel_copies_all_the_same(tmp_path, monkeypatch):
    def refuse(*_: int) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    torch.save({"a": torch.randn(500, 700)}, tmp_path / "old.pt")
    rename(tmp_path / "old.pt", tmp_path / "new.pt", {"a": "b"}, verify=True)
    assert opened(tmp_path / "new.pt").side.listing.keys == ("b",)
