"""Locks with an owner."""

import json
import subprocess
import sys

import pytest

from wmtui.errors import InputError
from wmtui.files.locks import acquire
from wmtui.files.owner import this_process

TAKE = "import sys; from pathlib import Path; from wmtui.files.locks import acquire; acquire(Path(sys.argv[1]), 'x')"
RACE = """
import os, sys, time
from pathlib import Path
from wmtui.errors import InputError
from wmtui.files.locks import acquire
sys.stdin.read()
try:
    acquire(Path(sys.argv[1]), "x")
    print("mine", flush=True)
except InputError:
    print("no", flush=True)
while os.path.exists(sys.argv[2]):
    time.sleep(0.01)
"""


def test_a_lock_is_refused_while_its_owner_runs_and_free_afterwards(tmp_path):
    path = tmp_path / "a.lock"
    lock = acquire(path, "the review of a.pt")
    me = this_process()
    with pytest.raises(InputError) as caught:
        acquire(path, "the review of a.pt")
    assert str(me.pid) in caught.value.remedy
    assert me.host in caught.value.remedy
    assert str(path) in caught.value.remedy
    lock.release()
    acquire(path, "the review of a.pt").release()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_owners_lock_is_taken_over(tmp_path):
    path = tmp_path / "a.lock"
    subprocess.run([sys.executable, "-c", TAKE, str(path)], check=True)
    assert path.exists()
    lock = acquire(path, "x")
    assert json.loads(path.read_bytes())["pid"] == this_process().pid
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_another_hosts_lock_is_never_taken_over(tmp_path):
    path = tmp_path / "a.lock"
    path.write_text('{"host": "elsewhere", "pid": 999999999, "started": 1}')
    with pytest.raises(InputError) as caught:
        acquire(path, "x")
    assert "host elsewhere" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}'])
def test_a_damaged_lock_is_taken_over(tmp_path, content):
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    acquire(path, "x").release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_somebody_else_has_since_is_not_released(tmp_path):
    path = tmp_path / "a.lock"
    lock = acquire(path, "x")
    path.write_bytes(b"theirs")
    lock.release()
    assert path.read_bytes() == b"theirs"


def test_of_many_that_take_over_a_dead_lock_one_gets_it(tmp_path):
    path, others_run = tmp_path / "a.lock", tmp_path / "others run"
    path.write_bytes(b"")
    others_run.touch()
    command = [sys.executable, "-c", RACE, str(path), str(others_run)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    answers = []
    for child in children:
        assert child.stdout is not None
        answers.append(child.stdout.readline())
    others_run.unlink()
    for child in children:
        assert child.wait() == 0
        assert child.stdout is not None
        child.stdout.close()
    assert sorted(answers) == [b"mine\n", b"no\n", b"no\n", b"no\n"]
