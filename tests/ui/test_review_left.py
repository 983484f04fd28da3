"""What is left to do: what the forecast misses, and what is below the bar."""

from __future__ import annotations

from tests.ui.standins import SuffixMatch, listing
from tests.ui.user import at_the_screen
from wmtui.errors import Cancelled, WriteError
from wmtui.ui.windows import Answer, PageWindow, Question

SOURCE = listing("old.pth", "enc.0.w", "enc.1.w", "stem.bias:2x3")
TARGET = listing("Net", "body.0.w", "body.1.w", "body.2.w", "first.bias:2x3", "spare.w:5", "tied.w:7")


async def test_m_goes_round_what_is_missing_opens_its_group_and_clears_a_filter_that_hides_it():
    async with at_the_screen(SOURCE, TARGET) as user:
        user.sees("3 missing", "m: which", widget="header")
        pane = user.screen.target_pane
        seen = []
        for key in ("m", "m", "m", "m"):
            await user.press(key)
            seen += [TARGET.tensors[row].key for row in (pane.selected,) if row is not None and row >= 0]
        assert seen == ["body.2.w", "spare.w", "tied.w", "body.2.w"]
        assert user.said == "3 missing: Enter gives the selected source, e says more, m: the next"
        user.sees("body.2.w", user.said)
        await user.press("/", *"first", "enter")
        assert pane.count() == 1
        await user.press("m")
        assert TARGET.tensors[pane.selected or 0].key == "body.2.w"
        assert not pane.view.filtered


async def test_m_finds_nothing_where_all_is_given():
    async with at_the_screen(SOURCE, listing("Net", "body.0.w", "body.1.w", "first.bias:2x3")) as user:
        user.sees("loads", widget="header")
        await user.press("m")
        assert user.said == "nothing is missing or mismatched"
        assert user.screen.pane_name() == "source"


async def test_accepting_all_above_the_bar_says_how_to_reach_the_rest():
    async with at_the_screen(
        listing("a", "x.y.w", "x.y.v", "q.n.k.b:3"), listing("b", "p.y.w", "p.y.v", "r.b:3")
    ) as user:
        await user.press("(", "(")
        assert user.said == "A: nothing at .80 and above; 3 below the bar, the surest .77: ( lowers it"
        await user.press("(")
        assert user.said.startswith("A: 2 groups, 2 keys at .70")
        await user.press("A", "y")
        assert user.said == "accepted 2 keys; 1 below the bar, the surest .48: ( lowers it"
        user.sees(user.said, widget="status")
        await user.press("(")
        assert ": ( lowers it" in user.said


async def test_a_message_longer_than_the_line_takes_two_until_the_cursor_moves():
    async with at_the_screen(SOURCE, TARGET) as user:
        user.journal.broken = WriteError("the journal of this review cannot be written: No space left on device", "")
        await user.press("a")
        height = user.screen.status.size.height
        shown = user.text("status").splitlines()
        assert (height, len(shown)) == (2, 2)
        assert " ".join(line.strip() for line in shown) == user.said
        await user.press("j")
        assert user.screen.status.size.height == 1
        user.sees("row:", widget="status")


async def test_what_a_missing_target_could_get_is_explained():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("m", "e")
        user.sees("No source key goes there.", "2 source keys are as large, 0 without a target.")
        await user.press("escape", "m", "e")
        user.sees("spare.w", "No source key is as large: it keeps what the model gives it", "strict=False")


async def test_a_swap_says_between_its_two_presses_what_to_do():
    async with at_the_screen(SOURCE, TARGET) as user:
        await user.press("w")
        user.sees("press w on the other one; Esc gives up", "swapping enc.{0,1}.w", widget="status")


async def test_a_question_is_shown_to_its_last_word():
    texts = ["a remedy that " + "goes on and " * 8 + "ends", "and [another] one"]
    async with at_the_screen(SOURCE, TARGET, size=(40, 24)) as user:
        user.app.push_screen(Question("Sure?", texts, [Answer("y", "yes", "y")]))
        await user.pilot.pause()
        shown = " ".join(line.strip() for line in user.text().splitlines())
        assert " ".join(texts) in shown
        user.sees("y yes")


async def test_the_help_tells_a_reason_once():
    class Never(SuffixMatch):
        def __call__(self, *_):
            raise Cancelled("stopped")

    async with at_the_screen(SOURCE, TARGET, match=Never(SOURCE, TARGET)) as user:
        await user.press("?")
        assert isinstance(user.window, PageWindow)
        lines = [part for line in user.window.page._lines for part, _ in line]
        assert sum("the matcher has not proposed" in text for text in lines) == 1
        assert sum("not now either" in text for text in lines) > 5
