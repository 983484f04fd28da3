"""Stories of what lasts: the forecast, saving, quitting, and earlier decisions."""

from __future__ import annotations

import pytest

from tests.ui.standins import NotingSave, listing
from tests.ui.user import at_the_screen
from wmtui.core.decisions import Accept, Assign, PairRun, Undo
from wmtui.core.ports import SaveRequest
from wmtui.errors import InputError, WriteError
from wmtui.ui.save import SaveWindow

LAYERS = range(4)
SOURCE = listing(
    "old.pth", *(f"enc.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "stem.weight:2x3", "lost:7"
)
TARGET = listing(
    "Net", *(f"body.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "first.weight:2x3", "spare:5"
)


async def test_the_forecast_counts_proposals_and_says_so_while_there_are_some():
    async with at_the_screen(SOURCE, TARGET) as user:
        user.sees("\nforecast with all proposals: 1 missing", "reviewed 0/10 keys")
    async with at_the_screen(SOURCE, SOURCE, size=(120, 40)) as user:
        user.sees("load_state_dict forecast with all proposals: 0 missing  0 unexpected  0 mismatched  ✓ loads")
        await user.press("S")
        await user.idle()
        user.sees("10 missing", "tick the pending proposals, or A first: then it loads")
        await user.press("tab", "tab", "tab", "space")
        await user.idle()
        assert "or A first" not in user.text()


async def test_enter_saves_also_where_a_tick_has_the_focus():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "S", "tab", "tab", "tab", "space")
        await user.idle()
        await user.press("enter")
        await user.idle()
        assert user.saved[0][0].include_pending
        user.sees("back to the review")


async def test_many_keys_are_counted_with_separators():
    many = listing("many", *(f"a.{n}.{w}" for n in range(600) for w in ("q", "k")))
    async with at_the_screen(listing("one", "other:7"), many) as user:
        user.sees("1,200 missing")
        await user.press("S")
        await user.idle()
        user.sees("1,200 missing, 0 unexpected")


async def test_saving_shows_first_and_writes_what_is_accepted():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "S")
        await user.idle()
        assert isinstance(user.window, SaveWindow)
        user.sees("mapping.json", "4 renamed, 6 dropped", "6 missing", "missing: body.0.k.weight and 5 more")
        await user.press("enter")
        await user.idle()
        request, mapping = user.saved[0]
        assert request == SaveRequest("mapping.json", "report.json", "renamed.safetensors")
        assert mapping == user.pairs
        user.sees("Saved", "✓ mapping")
        await user.press("enter", "q")
        assert user.app.return_code == 0
        assert [one.path for one in user.screen.written] == ["mapping.json", "report.json", "renamed.safetensors"]


async def test_saving_over_what_is_there_is_asked_about():
    async with at_the_screen(SOURCE, TARGET, save=NotingSave(["mapping.json"])) as user:
        await user.press("S")
        await user.idle()
        user.sees("! mapping.json is there already")
        await user.press("enter")
        await user.idle()
        user.sees("Replace what is there?")
        await user.press("y")
        await user.idle()
        assert user.saved[0][0].force


async def test_a_switch_asks_for_the_result_to_be_loaded():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "S", "tab", "tab", "tab", "tab", "tab", "space", "ctrl+s")
        await user.idle()
        assert user.saved[0][0] == SaveRequest("mapping.json", "report.json", "renamed.safetensors", strict_load=True)


async def test_enter_saves_once_wherever_the_focus_is():
    async with at_the_screen(SOURCE, TARGET) as user:
        for n, back in enumerate((0, 1, 2), 1):
            await user.press("a", "S")
            await user.idle()
            await user.press(*["shift+tab"] * back, "enter")
            await user.idle()
            assert len(user.saved) == n
            assert isinstance(user.window, SaveWindow)
            user.sees("Saved")
            await user.press("enter")
            await user.pilot.pause()
            assert not isinstance(user.window, SaveWindow)


async def test_the_switch_takes_pending_proposals_along():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("S", "tab", "tab", "tab", "space")
        await user.idle()
        user.sees("9 renamed")
        await user.press("ctrl+s")
        await user.idle()
        assert len(user.saved[0][1]) == 9


async def test_quitting_asks_only_where_something_is_unsaved():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "ctrl+q")
        user.sees("Quit without saving?", "1 decision is not saved")
        await user.press("n", "a", "q")
        user.sees("2 decisions are not saved")
        await user.press("q")
        assert user.app.return_code == 0


@pytest.mark.parametrize("window", ["", "?", "S"])
async def test_ctrl_c_asks_as_q_does_and_says_no_more_than_that(window):
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", *window)
        await user.idle()
        if window == "S":
            user.window.query_one("#preview").focus()
        await user.press("ctrl+c")
        await user.pilot.pause()
        user.sees("Quit without saving?")
        assert not user.app._notifications
        await user.press("ctrl+c")
        assert user.window is user.screen


async def test_a_save_is_the_end_of_what_is_unsaved():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "a", "S")
        await user.idle()
        await user.press("enter")
        await user.idle()
        await user.press("escape")
        assert user.screen.unsaved == 0
        await user.press("u", "q")
        user.sees("1 decision is not saved")
        await user.press("n", "ctrl+r")
        assert user.screen.unsaved == 0, "it is again as it was saved"
        await user.press("u", "a", "a")
        assert user.screen.unsaved == 3, "one that was saved is gone, two are new"


async def test_leaving_from_the_save_window_after_a_save_does_not_ask():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "S")
        await user.idle()
        await user.press("enter")
        await user.idle()
        await user.press("ctrl+q")
        await user.pilot.pause()
        assert user.app.return_code == 0


async def test_earlier_decisions_are_offered_and_resumed():
    past = (Accept((PairRun(0, 0), PairRun(2, 2))), Assign((PairRun(1, 3),)), Undo())
    async with at_the_screen(SOURCE, TARGET, past=past, wait=False) as user:
        await user.pilot.pause()
        user.sees("There are 3 decisions on this pair of yesterday 18:40.")
        await user.press("r")
        await user.idle()
        assert user.pairs == {"enc.0.q.weight": "body.0.q.weight", "enc.1.q.weight": "body.1.q.weight"}
        assert not user.journal.decisions
        assert "enc.{0-3}.q.weight" in user.row, "the first key that is still open"
        await user.press("ctrl+r")
        assert user.pairs["enc.0.k.weight"] == "body.1.k.weight"


async def test_earlier_decisions_can_be_put_aside():
    async with at_the_screen(SOURCE, TARGET, past=(Accept((PairRun(0, 0),)),), wait=False) as user:
        await user.pilot.pause()
        await user.press("s")
        await user.idle()
        assert user.journal.afresh == 1
        assert not user.pairs


OTHERS = ("/runs/step-1000/model.pt", "net.py:Net")


@pytest.mark.parametrize(("key", "taken"), [("y", True), ("enter", True), ("n", False), ("escape", False)])
async def test_decisions_on_files_with_equal_keys_are_offered_and_taken_over_only_when_that_is_wanted(key, taken):
    past = (Accept((PairRun(0, 0),)),)
    async with at_the_screen(SOURCE, TARGET, past=past, past_of=OTHERS, wait=False) as user:
        await user.pilot.pause()
        user.sees("There is 1 decision on files that have the same keys of yesterday 18:40:", *OTHERS)
        await user.press(key)
        await user.idle()
        assert (user.journal.taken_over, user.journal.afresh) == ((1, 0) if taken else (0, 1))
        assert len(user.pairs) == taken


async def test_decisions_that_cannot_be_journalled_when_they_are_taken_over_count_all_the_same():
    past = (Accept((PairRun(0, 0),)),)
    async with at_the_screen(SOURCE, TARGET, past=past, past_of=OTHERS, wait=False) as user:
        await user.pilot.pause()
        user.journal.broken = WriteError("no space left on the disk")
        await user.press("y")
        user.sees("not in the journal: no space left on the disk", widget="status")
        await user.idle()
        assert len(user.pairs) == 1


@pytest.mark.parametrize(
    "trouble", [WriteError("no space left on the disk"), InputError("another window has the journal")]
)
async def test_a_journal_that_cannot_be_written_is_said_and_work_goes_on(trouble):
    async with at_the_screen(SOURCE, TARGET) as user:
        user.journal.broken = trouble
        await user.press("a")
        assert user.said == f"not in the journal: {trouble.message}"
        assert len(user.pairs) == 4


async def test_a_save_that_is_stopped_before_it_begins_can_be_asked_for_again():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("S")
        await user.idle()
        window = user.window
        assert isinstance(window, SaveWindow)
        window.write(window.asked())
        window.action_close()
        await user.idle()
        assert not window.writing
        assert not user.saved
        await user.press("escape")
        assert user.window is user.screen
