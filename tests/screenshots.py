"""Draws the pictures of the README: ``python -m tests.screenshots FOLDER`` drives the real app on real pairs."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wmtui.cli.main import parser
from wmtui.ui.terminal import Terminal, prepare_environment

WIDE, NARROW = (120, 40), (80, 24)
PAIRS = Path(__file__).parents[1] / "benchmarks" / "pairs"
LOOKS = Terminal()
NAMES = {"/": "slash", "?": "question_mark", "(": "left_parenthesis", ")": "right_parenthesis", ".": "full_stop"}
NAMES |= {"_": "underscore", " ": "space"}


async def shoot(app: object, size: tuple[int, int], keys: Sequence[str], path: Path) -> None:
    """Start an app, press keys, each after the workers are done, and write the picture."""
    from textual.app import App

    assert isinstance(app, App)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            await pilot.press(NAMES.get(key, key))
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


def review(source: str, target: str, *more: str) -> object:
    """The review app as the command line makes it."""
    from wmtui.cli.review import make_app
    from wmtui.cli.sides import open_pair
    from wmtui.files.journal import Journal

    args = parser().parse_args(["review", "--afresh", source, target, *more])
    sides = open_pair(args)
    os.environ["WMTUI_STATE_DIR"] = tempfile.mkdtemp(dir=".")
    return make_app(args, *sides, Journal.open(sides[0].side, sides[1].side), LOOKS)


def inspect(path: str) -> object:
    """The inspector as the command line makes it."""
    from wmtui.cli.inspect import make_app
    from wmtui.cli.sides import open_one

    return make_app(parser().parse_args(["inspect", path]), open_one(path), LOOKS)


def compare(here: str, there: str) -> object:
    """The comparison as the command line makes it."""
    from wmtui.cli.looking import Describer
    from wmtui.cli.sides import open_one
    from wmtui.ui.inspect.compare import CompareApp

    sides = open_one(here), open_one(there)
    return CompareApp(sides[0].side, sides[1].side, Describer(*sides), values=True, terminal=LOOKS)


def listings(name: str, folder: Path) -> tuple[str, str]:
    """Both sides of a benchmark pair as listings."""
    kinds = {"param": "parameter", "buffer": "buffer"}
    with gzip.open(PAIRS / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        case = json.load(file)
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


async def draw(folder: Path) -> None:
    """All pictures."""
    from wmtui.cli.demo import make_pair

    make_pair(Path(), force=True)
    old, new = "old_model.pth", "new_model.py:NewModel"
    _other_checkpoint(old)
    whisper = listings("openai_whisper_small__hf", Path())
    mixture = listings("hf_qwen3_30b_a3b__litgpt", Path())
    pictures: dict[str, tuple[object, tuple[int, int], Sequence[str]]] = {
        "review": (review(*whisper), WIDE, ("n", "a", "n", "a", "n")),
        "review-80x24": (review(*whisper), NARROW, ("n", "a", "n")),
        "candidates": (review(*whisper), WIDE, ("n", "n", "e")),
        "mixture-of-experts": (review(*mixture), WIDE, ("n", "n")),
        "reassign": (review(old, new), WIDE, ("n", "r", *"final norm")),
        "details": (review(old, new), WIDE, ("n", "n", "d")),
        "save": (review(old, new), WIDE, ("A", "enter", "S")),
        "save-80x24": (review(old, new), NARROW, ("A", "enter", "S")),
        "help": (review(old, new), WIDE, ("?",)),
        "inspect": (inspect(old), WIDE, ("j", "j", "j", "d")),
        "inspect-80x24": (inspect(old), NARROW, ("j",)),
        "compare": (compare(old, "other.pth"), WIDE, ()),
    }
    for name, (app, size, keys) in pictures.items():
        await shoot(app, size, keys, folder / f"{name}.svg")
        print(f"{name}.svg")


def _other_checkpoint(old: str) -> None:
    import torch

    checkpoint = torch.load(old, weights_only=True)
    state = checkpoint["state_dict"]
    state["module.enc_ln.weight"] = state["module.enc_ln.weight"] + 1
    state["module.head2.weight"] = state.pop("module.aux_head.weight")
    torch.save(checkpoint, "other.pth")


def main(folder: Path) -> None:
    """Draw into a folder."""
    folder.mkdir(exist_ok=True)
    prepare_environment(os.environ)
    with tempfile.TemporaryDirectory() as room:
        final = folder.resolve()
        os.chdir(room)
        asyncio.run(draw(final))
        os.chdir(final)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
