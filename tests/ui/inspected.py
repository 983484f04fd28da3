"""Files that the inspector is tried on: one like a real checkpoint, one with every hostile name, and ports for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import prod

from textual.pilot import Pilot

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.ports import CancelledCall, Progress, ProgressCall, SideName
from wmtui.core.side import Content, Side, SideSpec
from wmtui.core.tensor_stats import ScanResult, TensorStats
from wmtui.errors import Cancelled, FormatError

HOSTILE = (
    "a[/b].w", "[red]x", "\x1b[31mesc.w", "a\nb.w", "\u202eabc.w", "a\u200bb", "שלום.w", "模型.层.0.权重", "x" * 5000,
    "\ud800lone.w", "", "a..b", ".lead", "trail.", "é e\u0301", " ", "a\tb\r", "\x9b31mc1", "[@click=app.quit]x",
    "$primary", "\\[b]", "🙂.w", "\U000e0001tag", "layers.9layers.9", "\x07.\x00",
)  # fmt: skip


def spec(key: str, *shape: int, dtype: str = "float32", shares: str | None = None) -> TensorSpec:
    return TensorSpec(key, shape, dtype, "parameter", nbytes=4 * prod(shape), shares=shares)


def transformer(layers: int = 4) -> Side:
    tensors = [spec("embed.weight", 1000, 64)]
    for i in range(layers):
        tensors += [spec(f"layers.{i}.attn.{name}.weight", 64, 64) for name in ("query", "key")]
        tensors.append(spec(f"layers.{i}.norm.weight", 64, dtype="float16"))
    tensors.append(spec("head.weight", 1000, 64, shares="embed.weight"))
    optimizer = Content("dict", "dict of 2", (("lr", Content("value", "0.1")), ("betas", Content("list", "list"))), 4)
    contents = Content("dict", "dict of 2", (("epoch", Content("value", "3")), ("optimizer", optimizer)), 2)
    count = len(tensors)
    return Side(
        SideSpec("small.pt"), Listing("small.pt", tensors), "torch zip checkpoint", 600_000, "model",
        {"model": count, "ema": count}, metadata={"format": "pt"}, contents=contents, notes=("a note",),
    )  # fmt: skip


def hostile() -> Side:
    tensors = [TensorSpec(key, (n,), "float32", None, 4 * n, where=key) for n, key in enumerate(HOSTILE)]
    tensors.append(TensorSpec("tied\x1b", (1,), "\x1b[1m", shares="[red]x"))
    contents = Content("dict", "x", tuple((k, Content("text", k, ((k, Content("value", k)),), 9)) for k in HOSTILE), 99)
    return Side(
        SideSpec("x"), Listing("bad[/i]\x1b[0m\u202e.pt", tensors), "torch [zip]\x1b", 1, "a\x1b[/]",
        {"a\x1b[/]": 1, "": 2}, metadata={key or "-": key for key in HOSTILE}, contents=contents, notes=HOSTILE,
    )  # fmt: skip


class Values:
    """A describe port: every tensor has the same statistics; equal where ``same`` says so."""

    def __init__(self, same: Callable[[str], bool | None] = lambda _: True) -> None:
        self.asked: list[str] = []
        self.same = same

    def stats(self, side: SideName, key: str) -> TensorStats | None:
        self.asked.append(key)
        if "norm" in key:
            raise FormatError(f"the data of {key} are damaged")
        if "query" in key:
            return None
        return TensorStats(
            key, (64, 64), "float32", 4096, -0.5, 0.5, 0.001, 0.02, 2, 0, 17, (1, 5, 9, 5, 1), ("0.1", "nan", key)
        )

    def equal(self, source: str, target: str) -> bool | None:
        return self.same(source)


class Scan:
    """A scan port that finds what it was told to; ``hold`` makes it wait until it is cancelled."""

    def __init__(self, bad: dict[str, tuple[int, int]], hold: bool = False) -> None:
        self.bad = bad
        self.hold = hold
        self.began = threading.Event()

    def __call__(self, progress: ProgressCall, cancelled: CancelledCall) -> ScanResult:
        progress(Progress("checking", 1, 4))
        self.began.set()
        while self.hold:
            if cancelled():
                raise Cancelled("stopped")
            time.sleep(0.01)
        return ScanResult(14, 600_000, self.bad, {"layers.0.norm.weight": "it is\x1b quantized"})


def screen_lines(pilot: Pilot[None]) -> list[str]:
    """What the terminal shows, line by line."""
    return [strip.text for strip in pilot.app.screen._compositor.render_strips()]


async def settle(pilot: Pilot[None]) -> list[str]:
    """Wait for the workers and what they post; what the terminal shows then."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return screen_lines(pilot)
