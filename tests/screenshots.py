"""``python -m tests.screenshots FOLDER [all]`` draws the README's pictures, or every screen at both sizes.

It drives the real app on real pairs.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from wmtui.cli.main import parser
from wmtui.ui.terminal import Terminal, prepare_environment

WIDE, NARROW = (120, 40), (80, 24)
PAIRS = Path(__file__).parents[1] / "benchmarks" / "pairs"
LOOKS = Terminal()
NAMES = {"/": "slash", "?": "question_mark", "(": "left_parenthesis", ")": "right_parenthesis", ".": "full_stop"}
NAMES |= {"_": "underscore", " ": "space", ",": "comma"}


async def shoot(app: object, size: tuple[int, int], keys: Sequence[str | tuple[str, ...]], path: Path) -> None:
    """Start an app, press keys, each after the workers are done, or a few at once, and write the picture."""
    from textual.app import App

    assert isinstance(app, App)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            for one in (key,) if isinstance(key, str) else key:
                await pilot.press(NAMES.get(one, one))
            await settle(pilot)
        path.write_text(app.export_screenshot(title="wmtui"), "utf-8")


async def settle(pilot: object) -> None:
    """Wait until no worker is at work and what it said has been shown."""
    from textual.pilot import Pilot

    assert isinstance(pilot, Pilot)
    await pilot.pause(0.4)
    while any(not worker.is_finished for worker in pilot.app.workers):
        await pilot.pause(0.05)
    await pilot.pause(0.1)


def review(source: str, target: str, looks: Terminal = LOOKS, first: bool = False) -> object:
    """The review app as the command line makes it.

    Args:
        first: for who has never decided anything.
    """
    from wmtui.cli.review import make_app
    from wmtui.cli.sides import open_pair
    from wmtui.files.journal import Journal

    os.environ.pop("NO_COLOR", None)
    if not looks.colour:
        os.environ["NO_COLOR"] = "1"
    args = parser().parse_args(["review", "--afresh", source, target])
    sides = open_pair(args)
    state = Path(tempfile.mkdtemp(dir="."))
    os.environ["WMTUI_STATE_DIR"] = str(state)
    if not first:
        (state / "journals").mkdir()
        (state / "journals" / "other.jsonl").touch()
    return make_app(args, *sides, Journal.open(sides[0].side, sides[1].side), looks)


def inspect(path: str, looks: Terminal = LOOKS) -> object:
    """The inspector as the command line makes it."""
    from wmtui.cli.inspect import make_app
    from wmtui.cli.sides import open_one

    return make_app(parser().parse_args(["inspect", path]), open_one(path), looks)


def compare(here: str, there: str) -> object:
    """The comparison as the command line makes it."""
    from wmtui.cli.looking import Describer
    from wmtui.cli.sides import open_one
    from wmtui.ui.inspect.compare import CompareApp

    sides = open_one(here), open_one(there)
    return CompareApp(sides[0].side, sides[1].side, Describer(*sides), values=True, terminal=LOOKS)


def listings(name: str) -> tuple[str, str]:
    """Both sides of a benchmark pair as listings."""
    kinds = {"param": "parameter", "buffer": "buffer"}
    with gzip.open(PAIRS / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        case = json.load(file)
    folder = Path(name)
    folder.mkdir()
    paths = []
    for side, shown in zip(("source", "target"), name.split("__"), strict=True):
        tensors = [
            {"key": key, "shape": shape, "dtype": dtype, "kind": kinds.get(kind)}
            for key, shape, dtype, kind in case[side]
        ]
        path = folder / f"{shown}.json"
        path.write_text(json.dumps({"format": "wmtui-listing/1", "name": shown, "tensors": tensors}), "utf-8")
        paths.append(str(path))
    return paths[0], paths[1]


KEPT = ("review", "review-80x24", "mixture-of-experts", "reassign", "save", "inspect", "compare")
"""What the repository holds; the README shows some of it."""


async def draw(folder: Path, everything: bool) -> None:
    """The pictures that are kept, or all."""
    from wmtui.cli.demo import make_pair

    make_pair(Path(), force=True)
    demo = "old_model.pth", "new_model.py:NewModel"
    _other_checkpoint(demo[0])
    whisper = listings("openai_whisper_small__hf")
    detr = listings("fb_detr_resnet50__hf")
    mixture = listings("hf_qwen3_30b_a3b__litgpt")
    scenes: dict[str, tuple[Callable[[], object], Sequence[str | tuple[str, ...]]]] = {
        "guide": (lambda: review(*whisper, first=True), ()),
        "review": (lambda: review(*whisper), ("n", "a", "n", "a", "n")),
        "fused": (lambda: review(*detr), ()),
        "mixture-of-experts": (lambda: review(*mixture), ("n", "n")),
        "expanded": (lambda: review(*whisper), ("n", "n", "n", "n", "l", "j", "x")),
        "status": (lambda: review(*detr), ("f", "f")),
        "search": (lambda: review(*whisper), ("/", *"attn w")),
        "marked": (lambda: review(*whisper), ("v", "j", "j")),
        "targets": (lambda: review(*whisper), ("tab", "tab", "j")),
        "above": (lambda: review(*whisper), ("(", "(", "A")),
        "explain": (lambda: review(*whisper), ("n", "n", "n", "n", "e")),
        "rule": (lambda: review(*whisper), ("j", "j", "j", ("2", "2"))),
        "reassign": (lambda: review(*whisper), ("j", "j", "j", "r", *"dec q_")),
        "taken": (lambda: review(*whisper), ("j", "j", "j", "a", "a", "r", *"q_", "enter")),
        "details": (lambda: review(*demo), ("n", "n", "d")),
        "save": (lambda: review(*demo), ("A", "enter", "S")),
        "saved": (lambda: review(*demo), ("A", "enter", "S", "enter", "enter")),
        "settings": (lambda: review(*demo), (",",)),
        "help": (lambda: review(*demo), ("?",)),
        "palette": (lambda: review(*demo), ("ctrl+p", *"acc")),
        "quit": (lambda: review(*demo), ("a", "q")),
        "light": (lambda: review(*whisper, Terminal(light=True)), ("n", "a", "n", "a", "n")),
        "ansi": (lambda: review(*whisper, Terminal(few_colours=True)), ("n", "a", "n", "a", "n")),
        "no-colour": (lambda: review(*whisper, Terminal(colour=False)), ("n", "a", "n", "a", "n")),
        "ascii": (lambda: review(*whisper, Terminal(ascii_only=True)), ("n", "a", "n", "a", "n")),
        "inspect": (lambda: inspect(demo[0]), ("j", "j", "j", "d")),
        "inspect-tree": (lambda: inspect(demo[0]), ("t", "j", "j")),
        "inspect-contents": (lambda: inspect(demo[0]), ("3",)),
        "inspect-more": (lambda: inspect(demo[0]), ("5", "j", "j")),
        "inspect-check": (lambda: inspect(demo[0]), ("c",)),
        "inspect-help": (lambda: inspect(demo[0]), ("?",)),
        "inspect-light": (lambda: inspect(demo[0], Terminal(light=True)), ("j",)),
        "compare": (lambda: compare(demo[0], "other.pth"), ()),
    }
    for scene, (make, keys) in scenes.items():
        for size in (WIDE, NARROW):
            name = scene if size == WIDE else f"{scene}-80x24"
            if everything or name in KEPT:
                await shoot(make(), size, keys, folder / f"{name}.svg")
                print(f"{name}.svg")


def _other_checkpoint(old: str) -> None:
    import torch

    checkpoint = torch.load(old, weights_only=True)
    state = checkpoint["state_dict"]
    state["module.enc_ln.weight"] = state["module.enc_ln.weight"] + 1
    state["module.head2.weight"] = state.pop("module.aux_head.weight")
    torch.save(checkpoint, "other.pth")


def main(folder: Path, everything: bool) -> None:
    """Draw into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare_environment(os.environ)
    with tempfile.TemporaryDirectory() as room:
        final = folder.resolve()
        os.chdir(room)
        asyncio.run(draw(final, everything))
        os.chdir(final)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["all"])
