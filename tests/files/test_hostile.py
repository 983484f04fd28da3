"""The corpus of hostile and broken files: refused in two clear lines, no code run, memory and time bounded."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.files.hostile import PARTLY, REFUSED
from tests.files.hostile_archives import archive, checkpoint
from tests.files.hostile_pickles import CANARY, table, tensor, text
from tests.files.reading import side
from wmtui.core.side import SideSpec
from wmtui.errors import ChoiceError, FormatError, InputError
from wmtui.files.open import open_side
from wmtui.files.regular_file import RegularFile

MEMORY = 500 * 1024
"""Most that all of it may take above the interpreter, in KiB."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The corpus is opened once, in a process of its own; a file that takes more than ten seconds is stopped there."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "hostile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker runs it for all
        kept = shared / "hostile.json"
        if not kept.exists():
            kept.write_text(json.dumps(open_all(tmp_path_factory.mktemp("hostile"))))
        return json.loads(kept.read_text())


def open_all(folder: Path) -> dict[str, Any]:
    """What came of each file, and which canaries stand in the folder afterwards."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.files.hostile_run", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
    )
    ran = [str(path) for path in folder.rglob(CANARY)]
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout), "ran": ran}


def test_the_corpus_is_large():
    assert len(REFUSED) + len(PARTLY) > 200


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_in_two_lines_that_name_it(outcome, name):
    result = outcome["results"][name]
    assert "message" in result, result
    assert len(result["message"].splitlines()) == 1
    assert len(result["remedy"].splitlines()) == 1
    assert repr(Path(result["location"]).name[:100])[1:-1].split("\\")[0] in result["message"]


def test_nothing_of_any_file_was_run(outcome):
    assert outcome["ran"] == []
    assert not outcome["torch"]


def test_no_file_takes_much_memory(outcome):
    assert outcome["used"] < MEMORY


@pytest.mark.parametrize("name", PARTLY)
def test_what_can_be_read_is_listed_with_a_note(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(PARTLY[name])
    opened = open_side(SideSpec("w.pt"))
    assert opened.side.listing.keys == ("w",)
    assert opened.side.notes
    assert not (tmp_path / CANARY).exists()
    if name.startswith(("storage", "tensor beyond", "tensor of")):
        with pytest.raises(InputError):
            opened.source.place("w")


def test_names_that_steer_a_terminal_do_not_get_into_notes_and_messages(tmp_path):
    """Class names and names of dictionaries are shown escaped; keys stay as they are for whoever draws them."""
    evil = "\n\x1b[31m\u202e"
    weights = {f"a{evil}": table(w=tensor()), "b": table(v=tensor())}
    path = tmp_path / "w.pt"
    path.write_bytes(archive(checkpoint(table(**weights))))
    with pytest.raises(ChoiceError) as caught:
        side(path)
    assert caught.value.choices == (f"a{evil}", "b")
    assert caught.value.message.isprintable()
    assert caught.value.remedy.isprintable()
    path.write_bytes(archive(checkpoint(table(w=tensor(), x=text(evil) + text(evil) + b"\x93)R"))))
    assert all(note.isprintable() for note in side(path).notes)


def test_a_file_that_shrinks_while_it_is_read_is_said_so(tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes(bytes(1000))
    with RegularFile(path) as file:
        os.truncate(path, 500)
        with pytest.raises(FormatError, match="ends before its byte 1000"):
            file.read_at(400, 600)


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_may_not_be_read_is_said_so(tmp_path, monkeypatch, name):
    """Permissions do not bind root, who runs tests in containers; the system's answer is given in its place."""

    def deny(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    location = tmp_path
    if name == "file":
        location = tmp_path / "w.pt"
        location.write_bytes(b"x")
    monkeypatch.setattr(os, "open" if name == "file" else "listdir", deny)
    with pytest.raises(InputError, match="may not be read") as caught:
        side(location)
    assert "permissions" in caught.value.remedy
