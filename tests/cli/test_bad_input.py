"""What cannot be used gets one or two lines, exit code 2 and no traceback, and nothing is written."""

import json
import os
import pickle
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

MODEL = "new_model.py:NewModel"


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch ran",)


def write_listing(path, tensors):
    path.write_text(json.dumps({"format": "wmtui-listing/1", "name": "x", "tensors": tensors}))


CASES = {
    "a file that is not there": ("map nosuch.pth new_model.py:NewModel", "nosuch.pth"),
    "an empty file": ("map empty.pth new_model.py:NewModel", "empty.pth"),
    "a folder without weights": ("inspect folder", "folder"),
    "a truncated zip": ("inspect cut.pth", "cut.pth"),
    "a listing with a key twice": ("inspect twice.json", "twice.json"),
    "a factory that is not there": ("map old_model.pth new_model.py:Nothing", "Nothing"),
    "a module that is not there": ("map old_model.pth nosuch.module:Model", "nosuch"),
    "a factory that raises": ("map old_model.pth raising.py:Model", "raising.py:Model"),
    "a factory that takes no such argument": ("map old_model.pth new_model.py:NewModel --target-args x=1", "x"),
    "a malformed dummy input": ("map old_model.pth new_model.py:NewModel --input 1x3xfoo", "1x3xfoo"),
    "a pickle that would run code": ("inspect evil.pth", "evil.pth"),
    "a prefix that nothing has": ("map old_model.pth new_model.py:NewModel --source-prefix nope", "nope"),
    "a dictionary that is not there": ("map old_model.pth new_model.py:NewModel --weights-key ema", "ema"),
    "an output that exists": ("map old_model.pth new_model.py:NewModel --output there.pth", "there.pth"),
    "a mapping that exists": ("map old_model.pth new_model.py:NewModel --mapping there.pth", "there.pth"),
    "an output that is a pipe": ("map old_model.pth new_model.py:NewModel --output pipe --force", "pipe"),
    "a report that is a device": ("map old_model.pth new_model.py:NewModel --report /dev/null --force", "/dev/null"),
    "an output over the input": ("map old_model.pth new_model.py:NewModel --output old_model.pth --force", "old_model"),
    "an output in a folder that is not there": ("map old_model.pth new_model.py:NewModel --output no/x.pth", "no"),
    "a mapping that is none": ("apply empty.pth old_model.pth -o x.pth", "empty.pth"),
    "a mapping for another checkpoint": ("apply other.json old_model.pth -o x.pth", "other.json"),
    "two sources for one target": ("apply collision.json old_model.pth -o x.pth", "same"),
    "a mapping that is not there": ("apply nosuch.json old_model.pth -o x.pth", "nosuch.json"),
    "outputs that are one file": ("map old_model.pth new_model.py:NewModel --mapping x --report x", "x"),
    "a review without a terminal": ("old_model.pth new_model.py:NewModel", "terminal"),
    "a listing of nothing": ("inspect none.json", "none.json"),
    "values without a second side": ("inspect old_model.pth --values", "--diff"),
    "no such strategy": ("map old_model.pth new_model.py:NewModel --strategy best", "best"),
    "a threshold out of range": ("map old_model.pth new_model.py:NewModel --threshold 2", "2"),
    "weights of nothing": ("map old_model.pth new_model.py:NewModel --weights size=1", "size"),
    "an output without a name": ("map old_model.pth new_model.py:NewModel --output=", "--output"),
    "a side without a name": ("map '' new_model.py:NewModel", "SOURCE"),
    "a threshold that is no number": ("map old_model.pth new_model.py:NewModel --threshold x", "'x' is not a number"),
    "a strict load of nothing": ("map old_model.pth new_model.py:NewModel --strict-load", "--output"),
    "a source model that would not be run": (
        "map old_model.pth new_model.py:NewModel --output x.pth --source-model old_model.py:OldModel",
        "--strict-load and --input",
    ),
    "arguments for a file": ("map old_model.pth new_model.py:NewModel --source-args a=1", "old_model.pth is no model"),
    "weights that are all 0": ("map old_model.pth new_model.py:NewModel --weights shape=0,name=0,hierarchy=0", "all"),
    "an output that cannot be looked at": (f"apply same.json old_model.pth -o {'x' * 300}", "cannot be read"),
    "a mapping that cannot be looked at": (
        f"map old_model.pth new_model.py:NewModel --mapping {'x' * 300}",
        "cannot be read",
    ),
    "a shard of no size": ("map old_model.pth new_model.py:NewModel --output x.pth --shard-size big", "big"),
}


@pytest.fixture
def room(pair):
    (pair / "empty.pth").write_bytes(b"")
    (pair / "folder").mkdir()
    os.mkfifo(pair / "pipe")
    whole = (pair / "old_model.pth").read_bytes()
    (pair / "cut.pth").write_bytes(whole[: len(whole) // 2])
    write_listing(pair / "twice.json", [{"key": "a", "shape": [1], "dtype": "float32", "kind": None}] * 2)
    write_listing(pair / "none.json", [])
    (pair / "raising.py").write_text("def Model():\n    raise RuntimeError('not today')\n")
    (pair / "evil.pth").write_bytes(pickle.dumps(Evil()))
    (pair / "there.pth").write_bytes(b"precious")
    (pair / "other.json").write_text(json.dumps({"not.there": "x"}))
    one, other = "module.enc_ln.weight", "module.dec_ln.weight"
    (pair / "same.json").write_text(json.dumps({one: one}))
    (pair / "collision.json").write_text(json.dumps({one: "same", other: "same"}))
    return pair


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_a_line(room, wmtui, case):
    before = {path: path.read_bytes() for path in room.iterdir() if path.is_file()}
    line, named = CASES[case]
    said = wmtui(*shlex.split(line))
    assert said.status == 2
    assert named in said.err
    assert "Traceback" not in said.err
    assert 1 <= len(said.err.splitlines()) <= 2, said.err
    after = {path: path.read_bytes() for path in room.iterdir() if path.is_file()}
    assert after == before


def test_names_cannot_steer_the_terminal(pair, wmtui):
    key = "a\x1b[2J[/b]\u202e.w"
    write_listing(pair / "hostile.json", [{"key": key, "shape": [2], "dtype": "float32", "kind": None}])
    for words in (("inspect", "hostile.json"), ("map", "hostile.json", "hostile.json")):
        said = wmtui(*words)
        assert said.status == 0
        assert "\x1b" not in said.out
        assert "\u202e" not in said.out
    (pair / "m.json").write_text(json.dumps({key + "x": "y"}))
    torch.save({key: torch.zeros(2)}, "hostile.pth")
    said = wmtui("apply", "m.json", "hostile.pth", "-o", "out.pth")
    assert said.status == 2
    assert "\x1b" not in said.err


def test_a_reader_that_goes_away_is_no_error(pair):
    done = subprocess.run(
        f"{sys.executable} -m wmtui inspect old_model.pth | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_an_interrupt_ends_with_130_and_leaves_nothing(pair):
    (pair / "slow.py").write_text("import time\ndef Model():\n    open('up', 'w').close()\n    time.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "wmtui", "map", "old_model.pth", "slow.py:Model", "--output", "x.pth"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in the background of a shell
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (pair / "up").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (pair / "x.pth").exists()
