"""The inspector, by its keys."""

from __future__ import annotations

import os
import random
import signal

import pytest
from rich.cells import cell_len
from textual import events

from tests.ui.inspected import HOSTILE, Scan, Values, hostile, screen_lines, settle, transformer
from wmtui.core.listing import Listing
from wmtui.core.side import Side, SideSpec
from wmtui.errors import FormatError
from wmtui.ui.inspect.actions import ACTIONS
from wmtui.ui.inspect.app import InspectApp, Inspected, InspectScreen
from wmtui.ui.terminal import Terminal
from wmtui.ui.text import safe

SMALL, LARGE = (80, 24), (120, 40)


def app_of(side=None, values=None, scan=None, **options):
    side = side or transformer()
    values = values or Values()
    return InspectApp(Inspected(side, values, scan or Scan({})), terminal=Terminal(), **options)


def shows(lines, *texts):
    shown = "\n".join(lines)
    missing = [text for text in texts if text not in shown]
    assert not missing, f"{missing} not in\n{shown}"


async def test_it_opens_on_the_groups_with_whole_keys():
    async with app_of().run_test(size=SMALL) as pilot:
        lines = screen_lines(pilot)
    shows(
        lines,
        "small.pt",
        "torch zip checkpoint  600 KB",
        "14 tensors  97.0 K elements  388 KB  float32 +1  in model (1 of 2)",
        "[1 groups 5]",
        "5 groups  14 tensors",
        "▸ layers.{0-3}.attn.query.weight",
        "1000x64 float32",
        "64 float16",
        "x4",
        "/ search",
    )
    assert lines[5].strip().startswith("= ") or "embed.weight" in lines[4]


async def test_groups_open_and_close():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("j", "l")
        shows(screen_lines(pilot), "▾ layers.{0-3}.attn.query.weight", "layers.3.attn.query.weight")
        await pilot.press("j", "j", "h")
        lines = screen_lines(pilot)
        shows(lines, "▸ layers.{0-3}.attn.query.weight", "2/5")
        assert "layers.1.attn.query.weight" not in "\n".join(lines)
        await pilot.press("E")
        assert pilot.app.screen.view.count() == 17
        await pilot.press("E", "G")
        shows(screen_lines(pilot), "5/5", "tied to embed.weight")


async def test_the_tree_and_back_keep_the_tensor():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("j", "j", "l", "j", "j", "t")
        screen = pilot.app.screen
        assert screen.view.text_of(screen.list.cursor) == "layers.1.attn.key.weight"
        shows(screen_lines(pilot), "[2 tree]", "▾ layers", "▾ attn", "key.weight")
        await pilot.press("t")
        assert screen.view.text_of(screen.list.cursor) == "layers.1.attn.key.weight"
        await pilot.press("2", *"hhhhhh")
        shows(screen_lines(pilot), "▸ layers", "12 tensors")


async def test_search_is_live_and_loose():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("slash", *"attnk")
        shows(screen_lines(pilot), "1 of 5 groups  4 of 14 tensors  /attnk")
        await pilot.press("enter", "2")
        shows(screen_lines(pilot), "4 of 14 tensors", "attn.key.weight")
        await pilot.press("escape", "1")
        shows(screen_lines(pilot), "5 groups  14 tensors")
        await pilot.press("slash", *"zzz")
        shows(screen_lines(pilot), "no key fits the search: Esc clears it")
        await pilot.press("escape")
        shows(screen_lines(pilot), "5 groups  14 tensors")
        assert pilot.app.focused is pilot.app.screen.list
        await pilot.press("3", "slash", *"norm", "enter")
        shows(screen_lines(pilot), "[1 groups", "4 of 14 tensors  /norm")


async def test_a_search_is_typed_as_in_a_shell():
    async with app_of().run_test(size=SMALL) as pilot:
        table, line = pilot.app.screen.table, pilot.app.screen.status
        await pilot.press("slash", *"attn", "space", *"keyy", "backspace")
        assert table.text == "attn key"
        await pilot.press("ctrl+w")
        assert table.text == "attn"
        line.post_message(events.Paste("x\x1b[31m\nsecond line"))
        await pilot.pause()
        assert table.text == "attnx\x1b[31m"
        shows(screen_lines(pilot), r"/attnx\x1b[31m")
        await pilot.press("ctrl+u", "q", "j")
        assert table.text == "qj"
        await pilot.press("ctrl+u", *"norm", "down", "slash")
        assert line.typed == "norm"
        await pilot.press("enter", "slash", "escape")
        assert table.text == ""


async def test_it_sorts():
    async with app_of().run_test(size=SMALL) as pilot:
        first = []
        for _ in range(4):
            await pilot.press("o")
            first.append(pilot.app.screen.view.text_of(0))
        assert first == ["embed.weight", "embed.weight", "layers.{0-3}.norm.weight", "embed.weight"]
        await pilot.press("3", "o")
        shows(screen_lines(pilot), "only groups and tree are sorted")


async def test_totals_ties_and_contents():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("3")
        shows(screen_lines(pilot), "by dtype", "float16", "4 tensors", "by module", "layers", "12 tensors")
        await pilot.press("tab")
        shows(screen_lines(pilot), "1 storage with more than one key", "= head.weight", "tied to")
        await pilot.press("tab", "j", "j", "j", "j", "j")
        shows(screen_lines(pilot), "▾ notes", "a note", "format  pt", "epoch  3", "▸ optimizer")
        await pilot.press("l")
        shows(screen_lines(pilot), "▾ optimizer  dict of 2  (2 more not shown)", "lr  0.1")
        await pilot.press("shift+tab", "shift+tab", "shift+tab", "shift+tab")
        shows(screen_lines(pilot), "[1 groups 5]")


async def test_statistics_are_read_when_asked_for():
    values = Values()
    async with app_of(values=values).run_test(size=LARGE) as pilot:
        shows(screen_lines(pilot), "d reads its values")
        assert values.asked == []
        await pilot.press("enter")
        shows(
            await settle(pilot), "min -0.5  max 0.5  mean 0.001  std 0.02", "NaN 2  inf 0", "zeros 17", "▂▅█▅▂", "nan"
        )
        await pilot.press("d")
        assert values.asked == ["embed.weight"]
        await pilot.press("j", "d")
        shows(await settle(pilot), "its values cannot be read")
        await pilot.press("j", "d")
        shows(await settle(pilot), "first of 4: min -0.5")
        await pilot.press("j", "d")
        shows(await settle(pilot), "reading layers.0.norm.weight: the data of layers.0.norm.weight are damaged")


async def test_the_check_marks_what_is_bad():
    scan = Scan({"layers.2.attn.key.weight": (3, 0), "head.weight": (0, 7), "gone": (1, 1)})
    async with app_of(scan=scan, check=True).run_test(size=SMALL) as pilot:
        lines = await settle(pilot)
        shows(
            lines, "2 tensors with NaN or infinity (14 tensors, 600 KB read; 1 could not be read)", "! ▸ layers.{0-3}"
        )
        await pilot.press("f")
        shows(screen_lines(pilot), "2 of 5 groups  2 of 14 tensors  with NaN or infinity", "1/4")
        shows(screen_lines(pilot), "layers.2.attn.key.weight")
        await pilot.press("j")
        shows(screen_lines(pilot), "3 NaN")
        await pilot.press("escape")
        shows(screen_lines(pilot), "5 groups  14 tensors")


async def test_a_clean_file_is_said_to_be_clean():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("c")
        shows(await settle(pilot), "no NaN and no infinity: 14 tensors, 600 KB read")
        await pilot.press("f")
        shows(screen_lines(pilot), "no bad tensor is known")


async def test_the_check_can_be_stopped():
    scan = Scan({}, hold=True)
    async with app_of(scan=scan).run_test(size=SMALL) as pilot:
        await pilot.press("c")
        scan.began.wait(10)
        await pilot.press("c")
        shows(screen_lines(pilot), "the check is going on: Esc stops it")
        await pilot.press("escape")
        shows(await settle(pilot), "checking all tensors: stopped")
        await pilot.press("j")
        shows(screen_lines(pilot), "2/5")


async def test_without_values_it_says_so():
    app = InspectApp(Inspected(transformer()), terminal=Terminal())
    async with app.run_test(size=SMALL) as pilot:
        for key in "dc":
            await pilot.press(key)
            shows(screen_lines(pilot), "there are no values: this is a listing or a model")
        await pilot.press("w")
        shows(screen_lines(pilot), "the file has one dictionary of weights")


async def test_another_dictionary_of_weights_can_be_chosen():
    asked = []

    def choose(name):
        asked.append(name)
        if len(asked) == 1:
            raise FormatError("no such\x1b dictionary")
        return Inspected(transformer(layers=2))

    async with app_of(choose=choose).run_test(size=SMALL) as pilot:
        await pilot.press("w")
        shows(screen_lines(pilot), "Dictionaries of weights in this file", "ema", "14 tensors")
        await pilot.press("escape", "w", "enter")
        assert asked == []
        await pilot.press("w", "j", "enter")
        shows(await settle(pilot), r"opening ema: no such\x1b dictionary")
        await pilot.press("w", "j", "enter")
        shows(await settle(pilot), "layers.{0,1}.attn.query.weight")
        assert asked == ["ema", "ema"]


async def test_keys_are_copied_whole():
    async with app_of(hostile()).run_test(size=SMALL) as pilot:
        await pilot.press("j", "j", "y")
        assert pilot.app.clipboard == "\x1b[31mesc.w"
        shows(screen_lines(pilot), r"copied: \x1b[31mesc.w")


async def test_help_and_palette_show_every_action():
    async with app_of().run_test(size=(110, 60)) as pilot:
        await pilot.press("question_mark")
        shows(screen_lines(pilot), *(action.title for action in ACTIONS), "1-5", "Ctrl+p")
        await pilot.press("escape", "ctrl+p")
        await pilot.press(*"tied")
        shows(await settle(pilot), "next view (Tab)")
        await pilot.press("escape")
        await pilot.press("q")
    assert pilot.app.return_code == 0


async def test_ctrl_c_leaves():
    async with app_of().run_test(size=SMALL) as pilot:
        await pilot.press("question_mark", "ctrl+c")
        await pilot.pause()
        assert not pilot.app._notifications
    assert pilot.app.return_code == 0


async def test_hangup_ends_it():
    async with app_of().run_test(size=SMALL) as pilot:
        os.kill(os.getpid(), signal.SIGHUP)
        await pilot.pause(0.05)
    assert pilot.app.return_code == 130


@pytest.mark.parametrize("size", [(80, 24), (30, 8), (200, 60)])
async def test_hostile_names_harm_no_view(size):
    scan = Scan(dict.fromkeys(HOSTILE[:3], (1, 1)))
    app = app_of(hostile(), scan=scan, choose=lambda _: Inspected(hostile()), check=True)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for keys in (
            ["d"],
            ["E", "G"],
            ["t"],
            ["E", "d"],
            ["3"],
            ["4", "j"],
            ["5"],
            ["E"],
            ["question_mark"],
            ["escape", "w"],
        ):
            await pilot.press(*keys)
            for line in await settle(pilot):
                assert line.isprintable()
                assert cell_len(line) == size[0]
        await pilot.press("escape", "1", "g")
        if size[0] > 40:
            shows(screen_lines(pilot), *(safe(name) for name in HOSTILE[:8]))


@pytest.mark.parametrize(("height", "rows", "details"), [(40, 5, True), (24, 5, True), (14, 5, True), (9, 3, False)])
async def test_the_list_keeps_its_room(height, rows, details):
    async with app_of().run_test(size=(80, height)) as pilot:
        await pilot.press("G")
        lines = screen_lines(pilot)
        assert sum("float" in line for line in lines[3:-2]) >= rows
        assert pilot.app.screen.details.display is details


async def test_an_empty_file_is_no_trouble():
    side = Side(SideSpec("x"), Listing("empty", []), "listing")
    async with InspectApp(Inspected(side), terminal=Terminal()).run_test(size=SMALL) as pilot:
        shows(screen_lines(pilot), "there are no tensors", "0 tensors")
        await pilot.press(*"jkhlEGt", "enter", "o", "y", "d", "c", "f", "2", "3", "4", "5", "l", "enter", "y")
        shows(screen_lines(pilot), "nothing besides the tensors")


async def test_random_keys_and_sizes_never_break_it():
    chance = random.Random(7)
    keys = [key for action in ACTIONS for key in action.keys if key not in ("q", "ctrl+q")] + [*"abnw.0", "backspace"]
    app = app_of(choose=lambda _: Inspected(transformer(3), Values(), Scan({})), scan=Scan({"head.weight": (1, 0)}))
    async with app.run_test(size=SMALL) as pilot:
        for _ in range(20):
            await pilot.press(*chance.choices(keys, k=5))
            await pilot.resize_terminal(chance.randint(12, 160), chance.randint(4, 50))
        await settle(pilot)
        assert any(isinstance(screen, InspectScreen) for screen in app.screen_stack)
