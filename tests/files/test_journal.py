"""Journals: decisions on the disk before they count."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtui.core.decisions import Accept, Assign, Decision, Ignore, PairRun, Redo, Reject, Reopen, Run, Undo
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.side import Side, SideSpec
from wmtui.errors import InputError, WriteError
from wmtui.files import disk as disk_module
from wmtui.files.disk import Disk
from wmtui.files.journal import Journal, state_folder

DECISIONS: list[Decision] = [
    Accept((PairRun(0, 1, 3),)),
    Assign((PairRun(4, 0, 1, 2), PairRun(5, 7))),
    Reject((PairRun(2, 2),)),
    Ignore((Run(0, 2),), (Run(9),)),
    Reopen((Run(1),)),
    Undo(),
    Redo(),
]


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("WMTUI_STATE_DIR", str(tmp_path / "state"))


def side(location: str, keys: str = "ab", **more: Any) -> Side:
    return Side(SideSpec(location), Listing(location, [TensorSpec(key) for key in keys]), "x", 1, **more)


def open_journal(source: str = "old.pt", target: str = "new.pt") -> Journal:
    return Journal.open(side(source), side(target))


def write(decisions: list[Decision]) -> Path:
    journal = open_journal()
    for decision in decisions:
        journal.append(decision)
    journal.close()
    return journal.path


def read() -> tuple[Decision, ...]:
    journal = open_journal()
    journal.close()
    return journal.decisions


def test_decisions_come_back_in_order_with_their_times():
    before = datetime.now(UTC) - timedelta(seconds=1)
    write(DECISIONS)
    journal = open_journal()
    assert list(journal.decisions) == DECISIONS
    assert journal.started is not None
    assert journal.last is not None
    assert before < journal.started <= journal.last < datetime.now(UTC) + timedelta(seconds=1)
    assert journal.others is None
    assert journal.problem is None
    journal.close()


def test_nothing_is_left_of_a_review_without_decisions():
    journal = open_journal()
    assert journal.decisions == ()
    assert journal.started is None
    assert journal.last is None
    journal.close()
    assert list((state_folder() / "journals").iterdir()) == []


def test_each_decision_is_on_the_disk_when_append_returns():
    journal = open_journal()
    for number, decision in enumerate(DECISIONS):
        journal.append(decision)
        assert journal.path.read_bytes().count(b"\n") == number + 2
    journal.close()


def test_a_journal_that_is_reopened_goes_on():
    write(DECISIONS[:3])
    write(DECISIONS[3:])
    assert list(read()) == DECISIONS


def test_a_journal_cut_at_every_byte_keeps_every_whole_line():
    path = write(DECISIONS)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        assert list(read()) == DECISIONS[: max(lines - 1, 0)]
        write([Undo()])
        assert list(read()) == [*DECISIONS[: max(lines - 1, 0)], Undo()]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_journal_damaged_in_the_middle_is_kept_beside_and_its_good_part_counts():
    path = write(DECISIONS)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b'{"at": 1, "decision": {"type": "unheard of"}}\n'
    path.write_bytes(b"".join(lines))
    assert list(read()) == DECISIONS[:2]
    assert path.with_suffix(".damaged").read_bytes() == b"".join(lines)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_without_a_crash(data):
    path = open_journal()
    path.close()
    path.path.write_bytes(data)
    assert read() == ()
    path.path.unlink()


def test_the_name_depends_on_listings_weights_keys_prefixes_and_files():
    def name(source: Side, target: Side) -> str:
        journal = Journal.open(source, target)
        journal.close()
        return journal.path.name

    plain = name(side("a"), side("b"))
    others = {
        name(side("a", "abc"), side("b")),
        name(side("a"), side("b", "ba")),
        name(side("a", weights_key="ema"), side("b")),
        name(side("a", prefix="ema"), side("b")),
        name(side("a"), side("b", prefix="ema")),
    }
    assert len({found.partition("-")[0] for found in others | {plain}}) == 6
    elsewhere = name(side("elsewhere"), side("b"))
    assert elsewhere != plain
    assert elsewhere.partition("-")[0] == plain.partition("-")[0]


def test_files_with_equal_listings_are_offered_the_decisions_and_get_a_journal_of_their_own():
    own = write(DECISIONS)
    kept = own.read_bytes()
    journal = open_journal("copy.pt")
    assert journal.others == (os.path.realpath("old.pt"), os.path.realpath("new.pt"))
    assert list(journal.decisions) == DECISIONS
    journal.take_over()
    journal.append(Undo())
    journal.close()
    again = open_journal("copy.pt")
    assert again.others is None
    assert list(again.decisions) == [*DECISIONS, Undo()]
    again.close()
    assert own.read_bytes() == kept
    assert list(read()) == DECISIONS


def test_the_latest_of_several_journals_of_equal_listings_is_offered_and_none_that_was_put_aside(monkeypatch):
    times = iter((100.0, 300.0, 200.0, 400.0))
    monkeypatch.setattr("wmtui.files.journal.time.time", lambda: next(times))
    for name, decision in (("a.pt", Undo()), ("b.pt", Redo()), ("c.pt", DECISIONS[0]), ("d.pt", DECISIONS[1])):
        journal = open_journal(name)
        journal.start_afresh()
        journal.append(decision)
        if name == "d.pt":
            journal.start_afresh()
        journal.close()
    journal = open_journal()
    assert journal.decisions == (Redo(),)
    assert journal.last == datetime.fromtimestamp(300, UTC)
    journal.start_afresh()
    assert not journal.decisions
    assert not journal.others
    journal.close()


def test_what_other_files_brought_is_not_lost_where_it_cannot_be_written_at_once(monkeypatch):
    write(DECISIONS[:2])
    disk = Full()
    monkeypatch.setattr(disk_module, "disk", disk)
    journal = open_journal("copy.pt")
    with pytest.raises(WriteError):
        journal.take_over()
    disk.room = True
    journal.append(Undo())
    journal.close()
    again = open_journal("copy.pt")
    assert list(again.decisions) == [*DECISIONS[:2], Undo()]
    again.close()


def test_the_same_model_is_the_same_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    names = []
    for folder, location in ((tmp_path, "code/net.py:Net"), (tmp_path / "code", "net.py:Net")):
        monkeypatch.chdir(folder)
        model = Side(SideSpec(location, args={"depth": 2}), Listing("Net", [TensorSpec("a")]), "model")
        journal = Journal.open(side("/old.pt"), model)
        names.append(journal.path.name)
        journal.close()
    assert names[0] == names[1]


def test_starting_afresh_keeps_the_old_journal_beside():
    path = write(DECISIONS)
    old = path.read_bytes()
    for _ in range(2):
        journal = open_journal()
        journal.start_afresh()
        assert journal.decisions == ()
        assert journal.started is None
        journal.append(Undo())
        journal.close()
        assert read() == (Undo(),)
    kept = [p for p in path.parent.iterdir() if p != path]
    assert len(kept) == 2
    assert old in [p.read_bytes() for p in kept]


def test_a_second_window_on_the_same_files_is_refused_until_the_first_is_closed():
    journal = open_journal()
    with pytest.raises(InputError, match=r"the review of old\.pt and new\.pt is open in another window"):
        open_journal()
    open_journal("copy.pt").close()
    journal.close()
    open_journal().close()


class Full(Disk):
    """A disk that is full until ``room`` is set; half of what is refused lands on it all the same."""

    room = False

    def write(self, fd, data, offset):
        if not self.room:
            super().write(fd, memoryview(data)[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data, offset)


def test_what_a_full_disk_refused_is_written_with_the_next_decision(monkeypatch):
    disk = Full()
    monkeypatch.setattr(disk_module, "disk", disk)
    journal = open_journal()
    for decision in DECISIONS[:2]:
        with pytest.raises(WriteError, match="No space left"):
            journal.append(decision)
        assert journal.problem is not None
    disk.room = True
    journal.append(DECISIONS[2])
    assert journal.problem is None
    disk.room = False
    with pytest.raises(WriteError):
        journal.append(DECISIONS[3])
    disk.room = True
    journal.close()
    assert list(read()) == DECISIONS[:4]


def test_a_state_folder_that_cannot_be_made_is_no_error_until_something_is_kept(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("WMTUI_STATE_DIR", str(blocked / "state"))
    journal = open_journal()
    assert journal.problem is not None
    with pytest.raises(WriteError):
        journal.append(Undo())
    blocked.unlink()
    journal.append(Redo())
    journal.close()
    assert read() == (Undo(), Redo())


def test_ninety_thousand_keys_are_one_short_line():
    path = write([Accept((PairRun(0, 0, 90_000),))])
    assert path.stat().st_size < 1000
