"""Stories of the review at 80x24, told with the keyboard."""

from __future__ import annotations

import pytest

from tests.ui.standins import listing
from tests.ui.user import User, at_the_screen
from wmtui.core.decisions import Accept, Assign, Ignore, Redo, Undo
from wmtui.core.session import Status
from wmtui.ui.review.details import DetailsWindow
from wmtui.ui.windows import PageWindow, Question

LAYERS = range(4)
SOURCE = listing(
    "old.pth", *(f"enc.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "stem.weight:2x3", "lost:7"
)
TARGET = listing(
    "Net", *(f"body.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "first.weight:2x3", "spare:5"
)


async def test_accepting_goes_on_to_the_next_open_key_until_nothing_is_open():
    async with at_the_screen(SOURCE, TARGET) as user:
        assert "enc.{0-3}.q.weight" in user.row
        await user.press("a")
        assert "enc.{0-3}.k.weight" in user.row
        assert user.said == "accepted 4 keys; u takes it back"
        await user.press("a", "a")
        assert user.said == "nothing is open any more: S saves"
        user.sees("reviewed 9/10 keys", "load_state_dict forecast: 1 missing")
        await user.press("G", "i")
        user.sees("all 10 keys reviewed")
        assert len(user.pairs) == 9
        assert [type(d) for d in user.journal.decisions] == [Accept, Accept, Accept, Ignore]


async def test_undo_and_redo_are_decisions_too():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "a", "u", "u")
        assert not user.pairs
        await user.press("ctrl+r")
        assert len(user.pairs) == 4
        assert user.journal.decisions[2:] == [Undo(), Undo(), Redo()]
        await user.press("u", "u")
        assert user.said == "nothing to undo"


async def test_a_group_splits_down_to_one_key():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("l", "j", "a")
        assert user.pairs == {"enc.0.q.weight": "body.0.q.weight"}
        assert "enc.1.q.weight" in user.row
        await user.press("s")
        assert user.said == "decide about the whole group"
        await user.press("a")
        assert len(user.pairs) == 4


async def test_choosing_another_candidate_for_a_group_takes_its_members_along():
    async with at_the_screen(SOURCE, TARGET) as user:
        user.sees("body.{0-3}.q.weight", "body.{0-3}.k.weight", widget="candidates")
        await user.press("2")
        assert user.pairs == {f"enc.{n}.q.weight": f"body.{n}.k.weight" for n in LAYERS}
        assert isinstance(user.journal.decisions[0], Assign)
        await user.idle()
        assert user.screen.ports.match.calls[-1].pairs == user.pairs  # type: ignore[attr-defined]


async def test_rejecting_proposes_anew_and_keeps_decisions():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "x")
        await user.idle()
        refused = user.screen.ports.match.calls[-1].refused  # type: ignore[attr-defined]
        assert ("enc.0.k.weight", "body.0.k.weight") in refused
        assert len(user.pairs) == 4
        user.sees("rejected 1")


async def test_reassigning_by_words_offers_to_swap_with_the_holder():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "a", "g", "l", "j", "r")
        await user.type("body.1.q")
        user.sees("✓ body.1.q.weight", "taken by enc.1.q.weight  (accepted)", widget="found")
        await user.press("enter")
        assert isinstance(user.window, Question)
        user.sees("This target is taken")
        await user.press("s")
        assert user.pairs["enc.0.q.weight"] == "body.1.q.weight"
        assert user.pairs["enc.1.q.weight"] == "body.0.q.weight"


async def test_a_target_of_another_size_cannot_be_picked_and_says_why():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("r")
        await user.type("spare")
        user.sees("another number of elements", widget="found")
        await user.press("enter")
        user.sees("cannot take it: another number of elements", widget="found")
        assert not user.app._notifications
        await user.press("up")
        user.sees("New target for enc.{0-3}.q.weight", widget="found")
        assert user.window is not user.screen
        await user.press("escape")
        assert not user.journal.decisions


async def test_swapping_two_groups():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("w", "j", "w")
        assert user.pairs["enc.2.q.weight"] == "body.2.k.weight"
        assert user.pairs["enc.2.k.weight"] == "body.2.q.weight"
        assert len(user.journal.decisions) == 1


async def test_ignoring_keys_on_both_sides():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("G", "i")
        assert user.session.status(9) is Status.IGNORED
        await user.press("tab", "tab", "G", "i")
        assert user.session.target_status(9) is Status.IGNORED
        await user.press("c")
        assert user.session.target_status(9) is Status.UNMATCHED


async def test_the_target_pane_assigns_to_the_selected_source():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("tab", "tab", "j", "enter")
        assert user.pairs["enc.3.q.weight"] == "body.3.k.weight"


async def test_facets_search_and_order_narrow_the_rows():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "f")
        user.sees("[proposed 2]")
        await user.press("f")
        user.sees("[accepted 1]", "1 of 4 groups")
        await user.press("escape", "/")
        await user.type("k.w")
        user.sees("1 of 4 groups", "/k.w")
        await user.press("enter", "escape", "o")
        user.sees("least certain first")
        assert "lost" in user.row


async def test_a_decision_about_all_that_is_shown_asks_first():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("/")
        await user.type("enc")
        await user.press("enter", "s", "s")
        user.sees("all shown: 8 keys")
        await user.press("a")
        user.sees("This accepts 8 keys of the 8 keys that the filter shows.")
        await user.press("n")
        assert not user.pairs
        await user.press("a", "y")
        assert len(user.pairs) == 8
        await user.press("u")
        assert not user.pairs


@pytest.mark.parametrize(
    ("narrow", "widen"),
    [("f", ["escape"]), ("f", ["F"]), ("/", ["escape"]), ("/", ["/", "ctrl+u", "enter"]), ("/", ["/", "escape"])],
)
async def test_decisions_are_about_the_row_again_when_the_filter_is_cleared(narrow, widen):
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press(*([narrow] if narrow == "f" else ["/", *"enc", "enter"]), "s", "s")
        user.sees("all shown: ")
        await user.press(*widen)
        user.sees("row: 4 keys")
        await user.press("s", "s")
        user.sees("all shown: 10 keys")


async def test_redo_and_undo_that_cannot_be_leave_no_words_behind():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", "ctrl+r")
        assert user.said == "nothing to do again"
        await user.press("u", "u")
        assert user.said == "nothing to undo"
        await user.press("ctrl+r")
        assert user.said == "done again: accepted 4 keys"


async def test_a_marked_range_is_decided_as_a_whole():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("v", "j")
        user.sees("marked: 8 keys")
        await user.press("a")
        assert len(user.pairs) == 8


async def test_the_bar_says_what_it_would_accept_and_accepts_it_in_one():
    async with at_the_screen(SOURCE, TARGET) as user:
        user.sees("( .90 ) A: 0 keys")
        await user.press("A")
        assert "( lowers it" in user.said
        for _ in range(3):
            await user.press("(")
        assert user.said == "A: 2 groups, 8 keys at .70 and above"
        await user.press("A")
        user.sees("2 groups, 8 keys have a confidence of .70 or more.")
        await user.press("y")
        assert len(user.pairs) == 8
        assert len(user.journal.decisions) == 1
        await user.press("u")
        assert not user.pairs


@pytest.mark.parametrize(
    ("key", "window", "text"),
    [
        ("?", PageWindow, "Show the keys."),
        ("e", PageWindow, "the last 2 segments agree"),
        ("d", DetailsWindow, "no values: neither side is a checkpoint with data"),
    ],
)
async def test_windows_open_and_close(key, window, text):
    async with at_the_screen(SOURCE, TARGET, size=(120, 40)) as user:
        await user.press(key)
        await user.idle()
        assert isinstance(user.window, window)
        if key == "?":
            await user.press("G")
        user.sees(text)
        await user.press("q")
        assert user.window is user.screen


async def test_settings_propose_anew():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("a", ",")
        await user.press("tab", "tab", "tab")
        await user.type("0.25")
        await user.press("tab", "enter")  # on the switch below, which Enter leaves as it is
        await user.idle()
        match = user.screen.ports.match
        assert match.options.shape_tolerance == 0.25  # type: ignore[attr-defined]
        assert match.options.allow_transforms  # type: ignore[attr-defined]
        assert len(match.calls) == 2  # type: ignore[attr-defined]
        assert len(user.pairs) == 4


async def test_the_palette_finds_actions_by_name():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("ctrl+p")
        await user.type("explain")
        await user.pilot.pause(0.5)
        await user.press("enter")
        await user.pilot.pause()
        assert isinstance(user.window, PageWindow)


async def test_the_command_is_copied():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("y")
        assert user.app.clipboard == "wmtui map old.pth Net"
        assert user.said == "copied: wmtui map old.pth Net"
        await user.press("a", "y")
        assert user.said == "copied; it reads your decisions from the report, which S saves: wmtui map old.pth Net"


async def panes_by_tab(user: User) -> list[str]:
    found = []
    for _ in range(3):
        await user.press("tab")
        found.append(user.screen.pane_name())
    return found


async def test_tab_goes_round_the_panes_at_80_columns_and_shows_what_has_the_focus():
    async with at_the_screen(SOURCE, TARGET) as user:
        assert await panes_by_tab(user) == ["candidates", "target", "source"]
        await user.press("tab", "tab")
        assert user.screen.target_pane.size.height > 3
        assert not user.screen.candidates.display
        await user.press("tab")
        assert user.screen.candidates.display


async def test_at_80_columns_the_row_of_a_source_shows_its_target():
    async with at_the_screen(SOURCE, TARGET) as user:
        assert "→ body.{0-3}.q.weight" in user.row
        await user.press("l", "j")
        assert "→ body.0.q.weight" in user.row
        await user.press("5")
        assert user.session.partner(0) == TARGET.index["body.0.k.weight"]
        await user.press("g")
        assert "→ body.{0-3}.q.weight +1" in user.row
        await user.press("G")
        assert "unmatched" in user.row
        await user.pilot.resize_terminal(120, 40)
        await user.press("g")
        assert "→" not in user.row
        user.sees("body.{0-3}.q.weight", widget="target")


async def test_wide_screens_show_all_panes_and_follow_the_partner():
    async with at_the_screen(SOURCE, TARGET, size=(120, 40)) as user:
        await user.press("j")
        pane = user.screen.target_pane
        assert "body.{0-3}.k.weight" in pane._strips[1 + pane.cursor - pane.top].text
        await user.press("t")
        assert user.screen.pane_name() == "target"
        await user.press("k", "t")
        assert "enc.{0-3}.q.weight" in user.row


@pytest.mark.parametrize("end", ["escape", "a"])
async def test_the_first_start_shows_a_guide_that_covers_nothing(end):
    async with at_the_screen(SOURCE, TARGET, guide=True) as user:
        user.sees("First steps", "enc.{0-3}.q.weight", "body.{0-3}.q.weight", "accept")
        assert user.screen.source_pane.size.height >= 5
        height = user.screen.source_pane.size.height
        await user.press(end)
        assert not user.screen.guide.display
        assert user.screen.source_pane.size.height == height + 5
        assert bool(user.pairs) == (end == "a")


async def test_who_has_decided_something_before_sees_no_guide():
    async with at_the_screen(SOURCE, TARGET) as user:
        assert not user.screen.guide.display
