"""Faults while writing: a disk that fails at the k-th call, a kill at any moment, a cancel. Old or new, never half."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_saver

from tests.files.test_write_safetensors import shards
from tests.files.writing import leftovers, opened, plan_of, prefixed
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import Plan, make_plan
from wmtui.core.ports import Progress
from wmtui.core.proposal import Transform
from wmtui.errors import Cancelled, FormatError, InputError, WriteError
from wmtui.files import disk as disk_module
from wmtui.files import write_behind
from wmtui.files.disk import Disk
from wmtui.files.source import OpenedSide
from wmtui.files.writing import write_checkpoint

STATE = {"a": torch.randn(300, 200), "b": torch.randn(50), "c": torch.randn(200, 300)}


class Failing(Disk):
    """Fails at one call, after half of what it was to do where that can be."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code

    def _step(self) -> bool:
        self.left -= 1
        return self.left == 0

    def _fail(self) -> OSError:
        return OSError(self.code, os.strerror(self.code))

    def create(self, path):
        if self._step():
            raise self._fail()
        return super().create(path)

    def write(self, fd, data, offset):
        if self._step():
            super().write(fd, memoryview(data)[: len(data) // 2], offset)
            raise self._fail()
        super().write(fd, data, offset)

    def copy(self, source, start, length, fd, offset, tick):
        if self._step():
            super().copy(source, start, length // 2, fd, offset, tick)
            raise self._fail()
        super().copy(source, start, length, fd, offset, tick)

    def sync(self, fd):
        if self._step():
            raise self._fail()
        super().sync(fd)

    def sync_folder(self, folder):
        if self._step():
            raise self._fail()
        super().sync_folder(folder)

    def replace(self, source, target):
        if self._step():
            raise self._fail()
        super().replace(source, target)

    def link(self, source, target):
        if self._step():
            raise self._fail()
        super().link(source, target)

    def make_folder(self, path):
        if self._step():
            raise self._fail()
        super().make_folder(path)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def transposing(side: OpenedSide) -> Plan:
    """A plan with a transform, so that all ways of writing are taken."""
    target = Listing("t", [TensorSpec("new.a", (200, 300))])
    pairs = [("a", "new.a", Transform.TRANSPOSE), ("b", "x", Transform.NONE)]
    return make_plan(side.side.listing, pairs, unmapped="keep", target=target)


def single(folder: Path, name: str) -> tuple[Path, Path]:
    path = folder / name
    if name.endswith("pt"):
        torch.save({"model": STATE, "epoch": 3}, path)
    else:
        save_file(STATE, path)
    return path, folder / "out" / path.name


def distributed(folder: Path) -> tuple[Path, Path]:
    state_dict_saver.save(STATE, checkpoint_id=folder / "old")
    return folder / "old", folder / "out" / "new"


CASES: dict[str, tuple[Callable[[Path], tuple[Path, Path]], Callable[[OpenedSide], Plan]]] = {
    "safetensors": (lambda folder: single(folder, "old.safetensors"), transposing),
    "torch": (lambda folder: single(folder, "old.pt"), transposing),
    "set": (
        lambda folder: (shards(folder / "old"), folder / "out" / "set"),
        lambda side: plan_of(side, prefixed(side.side.listing.keys)),
    ),
    "set of torch files": (
        lambda folder: (shards(folder / "old", "torch"), folder / "out" / "set"),
        lambda side: plan_of(side, prefixed(side.side.listing.keys)),
    ),
    "distributed": (distributed, transposing),
}
RUNS = [(case, over) for case in CASES for over in (False, True) if (case, over) != ("distributed", True)]
"""Each way of writing, to a new place and over an old one; distributed checkpoints replace nothing."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("case", "over"), RUNS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_a_disk_that_fails_at_any_call_leaves_old_or_new(tmp_path, monkeypatch, case, over, code):
    make, plan = CASES[case]
    source, output = make(tmp_path)
    (tmp_path / "out").mkdir()
    side = opened(source)
    planned = plan(side)
    if over:
        write_checkpoint(side, plan_of(side, {}), output)
    old = digests(tmp_path)
    failures: list[str] = []
    for number in range(1, 500):
        disk = Failing(number, code)
        monkeypatch.setattr(disk_module, "disk", disk)
        try:
            write_checkpoint(side, planned, output, force=over)
        except WriteError as e:
            failures.append(e.message)
            monkeypatch.setattr(disk_module, "disk", Disk())
            assert leftovers(tmp_path) == []
            if digests(tmp_path) == old:
                continue
            keys = set(opened(output).side.listing.keys)  # the last calls come after the rename
            assert keys == {key for key, _ in planned.outputs()}
            assert disk.left == 0
            break
        assert disk.left > 0
        break
    assert len(failures) >= 5
    assert all(os.strerror(code) in message for message in failures)
    assert {key for key in digests(tmp_path) if not key.startswith("out")} == {k for k in old if k[:3] != "out"}


def test_cancelling_leaves_nothing_and_progress_reaches_the_end(tmp_path):
    source, output = single(tmp_path, "old.safetensors")
    (tmp_path / "out").mkdir()
    side = opened(source)
    plan = plan_of(side, prefixed(STATE))
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        write_checkpoint(side, transposing(side), output, cancelled=lambda: next(answers))
    assert list((tmp_path / "out").iterdir()) == []
    told: list[Progress] = []
    write_checkpoint(side, plan, output, progress=told.append, verify=True)
    assert told[-1].done == told[-1].total == 2 * sum(value.nbytes for value in STATE.values())
    assert [entry.done for entry in told] == sorted(entry.done for entry in told)
    assert {entry.stage for entry in told} == {"writing", "comparing"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_cancelling_at_any_moment_leaves_nothing(tmp_path, case):
    make, plan = CASES[case]
    source, output = make(tmp_path)
    (tmp_path / "out").mkdir()
    side = opened(source)
    planned = plan(side)
    asked = 0
    for moment in range(1, 100):
        asked = 0

        def cancelled(last: int = moment) -> bool:
            nonlocal asked
            asked += 1
            return asked == last

        try:
            write_checkpoint(side, planned, output, cancelled=cancelled, verify=True)
        except Cancelled:
            assert list((tmp_path / "out").iterdir()) == []
            continue
        break
    assert 4 < asked < 99
    assert {key for key, _ in planned.outputs()} == set(opened(output).side.listing.keys)


@pytest.mark.parametrize("name", ["old.safetensors", "old.pt"])
def test_a_source_that_shrinks_after_it_was_opened_is_an_error(tmp_path, name):
    source, output = single(tmp_path, name)
    (tmp_path / "out").mkdir()
    side = opened(source)
    os.truncate(source, source.stat().st_size - 100_000)
    with pytest.raises(InputError):
        write_checkpoint(side, plan_of(side, {side.side.listing.keys[0]: "x"}), output)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["safetensors", "torch", "set of torch files", "distributed"])
def test_a_source_that_is_replaced_after_it_was_opened_is_an_error(tmp_path, kind):
    source, output = CASES[kind][0](tmp_path)
    (tmp_path / "out").mkdir()
    side = opened(source)
    changed = {"distributed": source / ".metadata", "set of torch files": side.source.files[-1]}.get(kind, source)
    if kind == "safetensors":
        save_file({"a": torch.zeros(2)}, source)
    else:
        data = changed.read_bytes()
        changed.unlink()
        changed.write_bytes(data)
    with pytest.raises(InputError, match="has changed"):
        write_checkpoint(side, plan_of(side, {side.side.listing.keys[0]: "x"}), output)


def test_a_file_is_sent_to_the_disk_while_it_is_written_and_a_fault_there_counts(tmp_path, monkeypatch):
    class Behind(Disk):
        def __init__(self, number: int) -> None:
            self.calls: list[int] = []
            self.number = number
            self.written = 0
            self.begun = threading.Event()

        def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
            if self.written >= write_behind.EVERY:
                assert self.begun.wait(30)
            super().write(fd, data, offset)
            self.written += len(data)

        def sync_data(self, fd: int) -> None:
            self.calls.append(os.fstat(fd).st_size)
            self.begun.set()
            super().sync_data(fd)
            if len(self.calls) == self.number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(write_behind, "EVERY", 40_000)
    for name in ("old.safetensors", "old.pt"):
        source, output = single(tmp_path, name)
        output.parent.mkdir(exist_ok=True)
        side = opened(source)
        for number in (1, 99):
            disk = Behind(number)
            monkeypatch.setattr(disk_module, "disk", disk)
            if number < 99:
                with pytest.raises(WriteError, match="Input/output error"):
                    write_checkpoint(side, transposing(side), output)
                assert list(output.parent.iterdir()) == []
            else:
                write_checkpoint(side, transposing(side), output, verify=True)
                assert disk.calls
                assert disk.calls[0] < output.stat().st_size
                output.unlink()


def test_verification_finds_a_single_wrong_byte(tmp_path, monkeypatch):
    class Lying(Disk):
        def copy(self, source: Any, start: Any, length: Any, fd: Any, offset: Any, tick: Any) -> None:
            super().copy(source, start, length, fd, offset, tick)
            os.pwrite(fd, bytes([os.pread(fd, 1, offset + 77)[0] ^ 1]), offset + 77)

    for name in ("old.safetensors", "old.pt"):
        source, output = single(tmp_path, name)
        output.parent.mkdir(exist_ok=True)
        side = opened(source)
        monkeypatch.setattr(disk_module, "disk", Lying())
        with pytest.raises(WriteError, match="reads back other"):
            write_checkpoint(side, plan_of(side, {"b": "x"}), output, verify=True)
        assert list(output.parent.iterdir()) == []


def test_a_header_that_reads_back_wrong_is_found_without_verification(tmp_path, monkeypatch):
    class Lying(Disk):
        def write(self, fd: Any, data: Any, offset: Any) -> None:
            super().write(fd, bytes(data).replace(b'"x"', b'"y"').replace(b"\x01\0\0\0x", b"\x01\0\0\0y"), offset)

    for name in ("old.safetensors", "old.pt"):
        source, output = single(tmp_path, name)
        output.parent.mkdir(exist_ok=True)
        side = opened(source)
        monkeypatch.setattr(disk_module, "disk", Lying())
        with pytest.raises((WriteError, FormatError)):
            write_checkpoint(side, plan_of(side, {"b": "x"}), output)
        assert list(output.parent.iterdir()) == []


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.core.side import SideSpec
from wmtui.files.open import open_side
from wmtui.files.writing import write_checkpoint

folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
JOBS = [("old.safetensors", "new.safetensors"), ("set", "newset"), ("old.pt", "new.pt"), ("set", "over")]

def keys(path):
    return set(open_side(SideSpec(str(path))).side.listing.keys)

def save(source, output, number):
    opened = open_side(SideSpec(str(folder / source)))
    pairs = [(key, f"v{number}." + key, Transform.NONE) for key in opened.side.listing.keys]
    write_checkpoint(opened, make_plan(opened.side.listing, pairs, unmapped="keep"), folder / output, force=True)

took = {}
for source, output in JOBS:
    start = time.perf_counter()
    save(source, output, 0)
    took[output] = time.perf_counter() - start
old_states = {output: keys(folder / output) for _, output in JOBS}
tally = {"killed": 0, "old": 0, "new": 0}
for number in range(1, kills + 1):
    source, output = JOBS[number % len(JOBS)]
    before = old_states[output]
    child = os.fork()
    if not child:
        try:
            save(source, output, number)
        finally:
            os._exit(0)
    time.sleep(random.uniform(0, took[output] * 1.3))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    tally["killed"] += os.WIFSIGNALED(status)
    after = keys(folder / output)
    wanted = {f"v{number}." + key for key in keys(folder / source)}
    assert after in (before, wanted), (output, after)
    tally["new" if after == wanted else "old"] += 1
    old_states[output] = after
for source, output in JOBS:
    save(source, output, kills + 1)
left = [path for path in folder.rglob(".*.tmp")]
assert not left, left
print(tally)
"""


def test_kills_at_random_moments_leave_old_or_new(tmp_path):
    """A hundred in saves of one file, a hundred in saves of a set."""
    state = {f"layers.{i}.weight": torch.randn(200, 200) for i in range(12)}
    save_file(state, tmp_path / "old.safetensors")
    torch.save(state, tmp_path / "old.pt")
    shards(tmp_path / "set")
    shards(tmp_path / "over")
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), "200", "7"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    tally = eval(done.stdout)
    assert tally["old"] + tally["new"] == 200
    assert tally["killed"] > 40
