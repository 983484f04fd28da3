"""Files that appear whole or not at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.files.writing import leftovers
from wmtui.errors import InputError, OutputExistsError, WriteError
from wmtui.files import atomic
from wmtui.files.atomic import clean, stage_folder, write_atomically, write_bytes, write_json
from wmtui.files.owner import Owner, this_process

KILLED = """
import os, signal, sys
from pathlib import Path
from wmtui.files.atomic import stage_folder, write_atomically
with write_atomically(Path(sys.argv[1]) / "model.pt") as output, stage_folder(Path(sys.argv[1]) / "shards") as folder:
    output.append(b"half")
    output.flush()
    (folder / "part").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_in(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)])
    assert done.returncode == -9


def test_what_is_written_appears_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "a.bin"
    with write_atomically(path) as output:
        output.append(b"one")
        output.append(b"two")
        output.flush()
        assert not path.exists()
    assert path.read_bytes() == b"onetwo"
    assert leftovers(tmp_path) == []


def test_what_was_there_stays_where_the_block_raises(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with write_atomically(path) as output:
            output.append(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_pipe_is_never_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (tmp_path / "link").symlink_to(path)
    for name in ("pipe", "link"):
        with pytest.raises(InputError, match="pipe"):
            write_bytes(tmp_path / name, b"new")
    assert path.is_fifo()
    assert leftovers(tmp_path) == []


def test_an_existing_file_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(OutputExistsError, match="is there already"):
        write_bytes(path, b"new", force=False)
    assert path.read_bytes() == b"old"
    assert write_bytes(path, b"newer") == 5
    assert path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o640
    assert leftovers(tmp_path) == []


def test_new_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"", force=False)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises((WriteError, ValueError)):
        write_bytes(tmp_path / "a", b"")


def test_a_folder_that_is_not_there_is_a_write_error(tmp_path):
    with pytest.raises(WriteError, match="No such file"):
        write_bytes(tmp_path / "no" / "a", b"")


def test_json_is_indented_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"ü": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "ü": [\n    1\n  ]\n}\n'


def test_names_of_any_length_have_room_for_the_temporary(tmp_path):
    path = tmp_path / ("ü" * 127)
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def fail() -> None:
        with stage_folder(tmp_path / "set") as folder:
            write_bytes(folder / "a", b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set").mkdir()
    with stage_folder(tmp_path / "set") as folder:
        write_bytes(folder / "a", b"1")
        assert list((tmp_path / "set").iterdir()) == []
    assert (tmp_path / "set" / "a").read_bytes() == b"1"


def test_the_next_run_removes_what_a_killed_one_left(tmp_path):
    killed_in(tmp_path)
    assert len(leftovers(tmp_path)) == 2
    write_bytes(tmp_path / "other", b"")
    assert leftovers(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_is_not_ours_or_still_written_stays(tmp_path):
    tag = atomic._host_tag()
    strangers = [
        tmp_path / ".model.pt.tmp",
        tmp_path / f"model.pt.wmtui-{tag}-999999999-1-00000000.tmp",
        tmp_path / ".model.pt.wmtui-00000000-999999999-1-00000000.tmp",
    ]
    for path in strangers:
        path.write_bytes(b"")
    with write_atomically(tmp_path / "a") as output:
        assert clean(tmp_path) == []
        assert output.path.exists()
    assert all(path.exists() for path in strangers)


def test_a_locked_file_stays_although_its_process_looks_dead(tmp_path):
    name = f".model.pt.wmtui-{atomic._host_tag()}-999999999-1-00000000.tmp"
    path = tmp_path / name
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDONLY)
    assert atomic._lock(fd)
    assert clean(tmp_path) == []
    os.close(fd)
    assert clean(tmp_path) == [path]


def test_an_owner_is_told_from_a_later_process_with_its_number():
    me = this_process()
    assert me.runs
    assert not Owner(me.host, me.pid, me.started + 1).runs
    assert Owner(me.host, me.pid).runs
    assert not Owner(socket.gethostname(), 999_999_999).runs
    assert Owner("elsewhere", 999_999_999).runs
