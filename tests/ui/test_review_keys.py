"""Keys without a pause, as a slow line brings them: in their order, and ten thousand of them at random."""

from __future__ import annotations

import random
from itertools import chain

import pytest

from tests.ui.standins import listing
from tests.ui.test_review_storms import check
from tests.ui.user import User, at_the_screen
from wmtui.core.session import Session
from wmtui.ui.actions import ACTIONS
from wmtui.ui.pickers import TargetPicker
from wmtui.ui.windows import PageWindow, Question

LAYERS = range(4)
SOURCE = listing(
    "old.pth", *(f"enc.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight", "v.x:2x2")), "head:4x1", "odd:3"
)
TARGET = listing(
    "Net", *(f"body.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight", "v.x:2x2")), "spare", "other:4"
)


async def test_a_bunch_of_keys_goes_where_they_would_go_one_by_one():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.bunch("tab", "tab", "j", "enter")
        assert user.pairs["enc.3.q.weight"] == "body.3.k.weight"
        await user.bunch("/", "e", "x")
        assert user.screen.status.typed == "ex"
        await user.bunch("escape", "tab", "G", "k", "r", *"other")
        assert isinstance(user.window, TargetPicker)
        user.sees("other", widget="found")
        await user.bunch("enter")
        assert user.pairs["head"] == "other"


async def test_keys_for_a_window_that_is_closed_go_to_what_is_below():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.bunch("e", "escape", "escape", "j", "?", "q", "e", "enter")
        assert user.window is user.screen
        assert user.screen.source_pane.cursor == 1
        await user.bunch("s", "s", "a", "y", "y", "u")
        assert user.window is user.screen
        assert not user.pairs
        await user.bunch("a", "q", "n", "n", "escape", "d", "d", "d")
        assert isinstance(user.window, PageWindow)
        assert not isinstance(user.window, Question)


async def test_a_window_closes_only_itself():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("?")
        window = user.window
        assert isinstance(window, PageWindow)
        window.action_close()
        window.action_close()
        await user.pilot.pause()
        assert user.window is user.screen


KEYS = [key for action in ACTIONS for key in action.keys if action.id not in ("quit", "palette")]
OTHERS = ["y", "n", "s", "enter", "backspace", "escape", "space", "left", "right", "ctrl+s"]
RUNS, PRESSES, BUNCH = 8, 1250, 25


@pytest.mark.parametrize("seed", range(RUNS))
async def test_ten_thousand_keys_at_random_never_raise_and_never_break_one_to_one(seed):
    dice = random.Random(seed)
    async with at_the_screen(SOURCE, TARGET, size=((80, 24), (120, 40))[seed % 2]) as user:
        for _ in range(PRESSES // BUNCH):
            await user.bunch(*(dice.choice(KEYS if dice.random() < 0.8 else OTHERS) for _ in range(BUNCH)))
            look(user)
        for _ in range(9):
            await user.bunch("escape")
        await user.idle()
        assert user.window is user.screen
        look(user)
        assert len(user.journal.decisions) > PRESSES // 100
        replay(user)


def look(user: User) -> None:
    """The screen is whole, the session one to one, and its numbers are what they say."""
    check(user)
    session = user.session
    for pending in (False, True):
        targets = [mapped.target for mapped in session.mapped(include_pending=pending)]
        assert len(set(targets)) == len(targets)
    assert sum(session.source_counts.values()) == len(SOURCE)
    assert sum(session.target_counts.values()) == len(TARGET)


def replay(user: User) -> None:
    """What was journalled gives the session again, and is one to one after each decision."""
    again = Session(SOURCE, TARGET, user.session.proposal)
    for decision in user.journal.decisions:
        again.apply(decision)
        targets = [mapped.target for mapped in again.mapped(include_pending=True)]
        assert len(set(targets)) == len(targets)
    assert again.facts == user.session.facts


def test_the_runs_are_ten_thousand_keys():
    assert RUNS * PRESSES >= 10_000
    assert PRESSES % BUNCH == 0
    assert not {"q", "ctrl+q", "ctrl+c"} & set(chain(KEYS, OTHERS)), "these leave"
