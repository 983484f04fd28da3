"""Two like corrections, and the rest of the keys done alike."""

from __future__ import annotations

from tests.ui.standins import listing
from tests.ui.user import User, at_the_screen
from wmtui.core.decisions import Assign, Undo
from wmtui.ui.review.rules import RuleWindow

WORDS = ("query", "key")
SOURCE = listing("old.pth", *(f"{s}.{n}.{w}.x" for s in ("enc", "dec") for n in range(3) for w in WORDS))
TARGET = listing("Net", *(f"m.{s}.{n}.{w}_proj.y" for s in ("enc", "dec") for n in range(3) for w in ("q", "k")))
QUERIES = {f"{s}.{n}.query.x": f"m.{s}.{n}.q_proj.y" for s in ("enc", "dec") for n in range(3)}


async def correct(user: User, word: str, *rows: int) -> None:
    """Give single keys of the first group a target by searching it."""
    for row in rows:
        await user.press("g", "l", *["j"] * (row + 1), "r")
        await user.type(f"enc.{row}.{word}")
        await user.press("enter")


async def test_two_like_corrections_offer_the_rest_and_one_undo_takes_it_back():
    async with at_the_screen(SOURCE, TARGET) as user:
        await correct(user, "q_", 0)
        assert user.window is user.screen
        await correct(user, "q_", 1)
        assert isinstance(user.window, RuleWindow)
        user.sees(
            "Do the rest alike?",
            "4 keys get another target.",
            "{A}.{i}.query.x",
            "dec.{0-2}.query.x",
            "m.dec.{0-2}.q_proj.y",
            "no target",
        )
        await user.press("y")
        assert user.pairs == QUERIES
        assert user.said == "assigned 4 like keys; u takes it back"
        await user.press("u")
        assert set(user.pairs) == {"enc.0.query.x", "enc.1.query.x"}
        assert [type(d) for d in user.journal.decisions] == [Assign, Assign, Assign, Undo]


async def test_only_the_keys_with_the_same_words():
    async with at_the_screen(SOURCE, TARGET) as user:
        await correct(user, "q_", 0, 1)
        user.sees("s only the 1 with the same words")
        await user.press("s")
        assert user.pairs == {key: target for key, target in QUERIES.items() if key.startswith("enc")}


async def test_what_is_declined_is_offered_again_only_when_it_is_asked_for():
    async with at_the_screen(SOURCE, TARGET) as user:
        await correct(user, "q_", 0, 1)
        await user.press("n")
        assert user.window is user.screen
        await correct(user, "q_", 2)
        assert user.window is user.screen
        assert len(user.pairs) == 3
        await user.press("R")
        user.sees("3 keys get another target.")
        await user.press("enter")
        assert user.pairs == QUERIES


async def test_one_correction_is_done_elsewhere_when_that_is_asked_for():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("R")
        assert "no correction yet" in user.said
        await correct(user, "q_", 0)
        await user.press("R")
        user.sees("Your last correction follows a rule")
        await user.press("y")
        assert user.pairs == QUERIES
        await user.press("R")
        assert user.said == "no other open key is like those of the last correction"


async def test_the_preview_scrolls_and_fits_any_terminal():
    words = [f"w{chr(97 + n)}" for n in range(20)]
    source = listing("a", *(f"{w}.{n}.one" for w in words for n in range(2)))
    target = listing("b", *(f"m.{w}.{n}.two" for w in words for n in range(2)))
    async with at_the_screen(source, target) as user:
        for n in range(2):
            await user.press("g", "l", *["j"] * (n + 1), "r")
            await user.type(f"wa.{n}.")
            await user.press("enter")
        assert isinstance(user.window, RuleWindow)
        user.sees("y do 38 keys", "What it would do  1-")
        for _ in range(12):
            await user.press("ctrl+d")
        user.sees("m.wt.{0,1}.two", "y do 38 keys")
        for size in ((40, 12), (120, 40)):
            await user.pilot.resize_terminal(*size)
            user.sees("y do 38 keys")
