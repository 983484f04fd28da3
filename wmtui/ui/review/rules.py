"""The window that offers to do the rest as like corrections were done, and shows what that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size

from wmtui.core.corrections import Offer, Rest
from wmtui.core.printable import plural
from wmtui.core.review import Review
from wmtui.ui.lines import Part
from wmtui.ui.text import safe, shorten
from wmtui.ui.theme import Palette, palette
from wmtui.ui.windows import Answer, Page, Question

SCROLLS = {"j": 1, "down": 1, "k": -1, "up": -1, "pagedown": 8, "ctrl+d": 8, "pageup": -8, "ctrl+u": -8}


class RuleWindow(Question):
    """Offers a rule's rest; hands back ``all``, ``near`` or "".

    Args:
        offer: the rules, and what they would do.
        count: of the corrections that they come from.
    """

    DEFAULT_CSS = """
    RuleWindow > Vertical { width: 100; max-width: 100%; max-height: 96%; }
    RuleWindow Page { max-height: 100%; height: auto; }
    """
    MORE: ClassVar[int] = 7
    """Lines of the window beside its page: border, question, answers."""

    def __init__(self, review: Review, offer: Offer, count: int) -> None:
        near = len(offer.near.pairs)
        answers = [Answer("y", f"do {plural(len(offer.rest.pairs), 'key')}", "all"), Answer("n", "no", "")]
        if near:
            answers.insert(1, Answer("s", f"only the {near:,} with the same words", "near"))
        said = "Your last two corrections follow a rule" if count > 1 else "Your last correction follows a rule"
        super().__init__(
            "Do the rest alike?", [f"{said}. One u takes back what it does.", summary(offer.rest)], answers
        )
        self.review, self.offer = review, offer
        self.page = Page("What it would do", [], id="rest")
        self.filled: Size | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.asked
            yield self.page
            yield self.answering

    def on_resize(self, _: events.Resize) -> None:
        self.fill()

    def on_mount(self) -> None:
        self.fill()

    def fill(self) -> None:
        """Lay the preview out for the window's width."""
        if self.filled == self.app.size:
            return
        self.filled = self.app.size
        cells = min(100, self.app.size.width) - 4
        self.page.styles.max_height = max(3, self.app.size.height * 96 // 100 - self.MORE)
        self.page.set_lines(preview(self.review, self.offer, palette(self.app), cells))

    def on_key(self, event: events.Key) -> None:
        # Textual gives the key to the base class's method too.
        if event.key in SCROLLS:
            self.page.scroll(SCROLLS[event.key])


def summary(rest: Rest) -> str:
    """What a rest is, in numbers."""
    same = len(rest.pairs) - rest.other
    texts = [f"{plural(rest.other, 'key')} get another target" if rest.other != 1 else "1 key gets another target"]
    if same:
        texts.append(f"{same:,} {'are' if same != 1 else 'is'} proposed so already")
    if rest.kept:
        texts.append(f"{rest.kept:,} decided otherwise {'stay' if rest.kept != 1 else 'stays'}")
    return ", ".join(texts) + "."


def preview(review: Review, offer: Offer, looks: Palette, cells: int) -> list[Sequence[Part]]:
    """The rules, then each group that they are about: what it gets, and what it has now."""
    lines: list[Sequence[Part]] = []
    for rule in offer.rules:
        lines += [
            [("rule   ", looks.accent), (shorten(rule.source, cells - 7), looks.strong)],
            [("    →  ", looks.accent), (shorten(rule.target, cells - 7), looks.strong)],
        ]
    sources, targets = review.sources, review.targets
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for s, t, _ in offer.rest.pairs:
        groups.setdefault((sources.of_key[s], targets.of_key[t]), []).append((s, t))
    for (group, target_group), pairs in groups.items():
        s, t = pairs[0]
        single = len(pairs) == 1
        name = sources.listing.tensors[s].key if single else sources.groups[group].name
        goal = targets.listing.tensors[t].key if single else targets.groups[target_group].name
        now = {review.session.partner(s) for s, _ in pairs}
        count = plural(len(pairs), "key")
        lines += [
            [],
            [(f"{count:>10}  ", looks.muted), (shorten(name, cells - 12), None)],
            [("         →  ", looks.muted), (shorten(goal, cells - 12), looks.good)],
        ]
        if now != {t for _, t in pairs}:
            before = next(iter(now))
            had = "no target" if before < 0 else targets.listing.tensors[before].key
            if len(now) > 1 and before >= 0:
                had = targets.groups[targets.of_key[before]].name
            lines.append([("       now  ", looks.muted), (shorten(safe(had), cells - 12), looks.warn)])
    return lines
