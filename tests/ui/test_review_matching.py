"""Stories of the matcher at work behind the screen: slow, stopped, failing, and asked again."""

from __future__ import annotations

import threading

from tests.ui.standins import SuffixMatch, listing
from tests.ui.user import at_the_screen
from wmtui.core.proposal import Facts
from wmtui.core.session import Status

LAYERS = range(4)
SOURCE = listing(
    "old.pth", *(f"enc.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "stem.weight:2x3", "lost:7"
)
TARGET = listing(
    "Net", *(f"body.{n}.{w}" for n in LAYERS for w in ("q.weight", "k.weight")), "first.weight:2x3", "spare:5"
)


class SlowMatch(SuffixMatch):
    """Waits until it is let go or cancelled."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.go = threading.Event()

    def __call__(self, facts, progress, cancelled):
        while not self.go.wait(0.01) and not cancelled():
            pass
        return super().__call__(facts, progress, cancelled)


async def test_keys_are_shown_while_the_matcher_works():
    match = SlowMatch(SOURCE, TARGET)
    async with at_the_screen(SOURCE, TARGET, match=match, wait=False) as user:
        await user.pilot.pause()
        user.sees("enc.{0-3}.q.weight", "matching")
        await user.press("a")
        assert user.said == "the matcher has not proposed anything yet"
        await user.press("G", "i", "S")
        assert user.said == "the matcher has not proposed anything yet"
        assert user.window is user.screen
        match.go.set()
        await user.idle()
        user.sees("[all 4]", "ignored 1")
        assert user.session.status(9) is Status.IGNORED, "what was decided meanwhile stays"


async def test_matching_can_be_stopped():
    match = SlowMatch(SOURCE, TARGET)
    async with at_the_screen(SOURCE, TARGET, match=match, wait=False) as user:
        await user.pilot.pause()
        await user.press("escape")
        assert user.said == "matching was stopped; , proposes again"
        await user.idle()
        assert not user.screen.review.matched


class FailingMatch(SuffixMatch):
    def __call__(self, facts, progress, cancelled):
        raise ZeroDivisionError("a [bug] in the matcher")


async def test_a_matcher_that_fails_leaves_a_screen_to_work_by_hand():
    async with at_the_screen(SOURCE, TARGET, match=FailingMatch(SOURCE, TARGET)) as user:
        assert "the matcher failed: ZeroDivisionError: a [bug] in the matcher" in user.said
        await user.press("r")
        await user.type("body.0.q")
        await user.press("enter")
        assert user.session.decided == 1
        await user.idle()
        await user.press("S")
        await user.idle()
        user.sees("4 renamed")


class FollowingMatch(SuffixMatch):
    """Takes one correction for a rule: once a query is a key, all are."""

    def __call__(self, facts, progress, cancelled):
        if any(".q." in source and ".k." in target for source, target in facts.pairs.items()):
            given = {f"enc.{n}.{a}.weight": f"body.{n}.{b}.weight" for n in LAYERS for a, b in ("qk", "kq")}
            proposal = super().__call__(Facts({**given, **facts.pairs}), progress, cancelled)
            self.calls[-1] = facts
            return proposal
        return super().__call__(facts, progress, cancelled)


async def test_one_correction_moves_the_proposals_that_follow_from_it_and_says_how_many():
    async with at_the_screen(SOURCE, TARGET, match=FollowingMatch(SOURCE, TARGET)) as user:
        await user.press("l", "j", "r")
        await user.type("0.k")
        await user.press("enter")
        assert user.pairs == {"enc.0.q.weight": "body.0.k.weight"}
        await user.idle()
        assert user.said == "assigned 1 key; 7 other proposals changed with it"
        assert user.pairs == {"enc.0.q.weight": "body.0.k.weight"}, "they are proposals until they are accepted"
        await user.press("u", "u")
        assert user.said == "nothing to undo"
        await user.idle()
        assert user.said == "undone: assigned 1 key; 8 other proposals changed with it", (
            "not glued on what was said last"
        )


async def test_the_cursor_stays_on_the_row_of_an_open_group_when_its_keys_are_proposed_anew():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("l", "j", "x", "g")
        group = user.row
        assert "▾" in group
        await user.idle()
        assert user.row == group
        for _ in range(2):
            await user.press("E")
            assert "enc.{0-3}" in user.row
