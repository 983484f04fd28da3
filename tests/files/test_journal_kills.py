"""kill -9 in the middle of a review: whatever was said to be decided is in the journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from wmtui.core.decisions import Decision
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.proposal import Pair, Proposal
from wmtui.core.review import Review
from wmtui.core.side import Side, SideSpec
from wmtui.files.journal import Journal

KILLS = 200
KEYS = 12


def sides() -> tuple[Side, Side]:
    listings = (Listing(name, [TensorSpec(f"{name}.{n}", (2, 2)) for n in range(KEYS)]) for name in ("old", "new"))
    old, new = (Side(SideSpec(f"{listing.name}.pt"), listing, "x", 1) for listing in listings)
    return old, new


def proposal() -> Proposal:
    pairs = {f"old.{n}": Pair(f"old.{n}", f"new.{n}", 0.9) for n in range(KEYS)}
    return Proposal(pairs, {}, (), (), lambda key, limit: ())


# What is killed: it is forked anew for each kill, takes the journal over, and decides at random for as long as it
# lives, the journal first; each decision is told as soon as it counts.
PROGRAM = """
import os, random, sys
from tests.files.test_journal_kills import proposal, sides
from wmtui.core.decisions import Redo, Undo
from wmtui.core.review import Refused, Review
from wmtui.files.journal import Journal
import msgspec

def tell(line):
    # In one write, also where Python does not buffer: parent and child share the pipe.
    sys.stdout.write(f"{line}\\n")
    sys.stdout.flush()

def live(seed):
    dice = random.Random(seed)
    old, new = sides()
    journal = Journal.open(old, new)
    review = Review(old.listing, new.listing, proposal())
    for decision in journal.decisions:
        review.apply(decision)
    tell(len(journal.decisions))
    keys = range(len(old.listing))
    while True:
        some = dice.sample(keys, dice.randint(1, 3))
        make = dice.choice((
            lambda: review.accept(some), lambda: review.reject(some), lambda: review.ignore(some),
            lambda: review.ignore(targets=some), lambda: review.reopen(some, some),
            lambda: review.assign(some[:1], dice.choice(keys)), lambda: review.swap(some[:1], some[-1:]),
            lambda: Undo() if review.session.can_undo else review.accept(some),
            lambda: Redo() if review.session.can_redo else review.accept(some),
        ))
        try:
            decision = make()
        except Refused:
            continue
        journal.append(decision)
        review.apply(decision)
        tell(msgspec.json.encode(decision).decode())

for line in sys.stdin:
    child = os.fork()
    if not child:
        live(int(line))
    tell(f"child {child}")
    os.waitpid(child, 0)
    tell("gone")
"""


def test_nothing_is_lost_by_kill_9_after_each_of_200_random_decisions(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WMTUI_STATE_DIR", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told: list[Decision] = []
    try:
        for kill in range(KILLS):
            process.stdin.write(f"{kill}\n")
            process.stdin.flush()
            # The child's lines and its parent's may come in any order.
            child = found = 0
            fresh: list[str] = []
            while not (child and fresh):
                line = process.stdout.readline()
                if line.startswith("child"):
                    child = int(line.split()[1])
                elif line.startswith("{"):
                    fresh.append(line)
                else:
                    found = int(line)
            os.kill(child, signal.SIGKILL)
            while not (line := process.stdout.readline()).endswith("gone\n"):
                fresh.append(line)
            # A line that the kill cut was not told; what it told of is at most one decision more in the journal.
            told += [msgspec.json.decode(text, type=Decision) for text in fresh if text.endswith("}\n")]
            assert found <= len(told)
            old, new = sides()
            journal = Journal.open(old, new)
            kept = list(journal.decisions)
            journal.close()
            assert kept[: len(told)] == told
            assert len(kept) <= len(told) + 1
            told = kept
    finally:
        process.kill()
        process.wait()
    assert len(told) >= KILLS
    review = Review(old.listing, new.listing, proposal())
    for decision in told:
        review.apply(decision)
        targets = [mapped.target for mapped in review.session.mapped(include_pending=True)]
        assert len(set(targets)) == len(targets)
