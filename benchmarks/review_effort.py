"""``python -m benchmarks.review_effort [pairs | held] [NAME...]``: keys pressed from start to saved, right outputs.

The driver presses keys in the real app at 120x40 and reads the screen's state, with the proven answer as its eyes. It
corrects what is wrong where that costs the fewest keys (a candidate's number, a reject, a search for another target,
a group as a whole or, where that cannot be, key by key), accepts the rest at once and saves. Against it stands a
review of one key at a time: one key press to accept each right pair, and the same corrections, none for a whole group.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from itertools import combinations
from statistics import median

from benchmarks.cases import FOLDERS, ONE_TO_ONE, Case, judge, listings, load_all
from benchmarks.tables import table
from tests.ui.standins import NotingSave
from tests.ui.user import User, at_the_screen
from wmtui.core.decisions import unfold_pairs
from wmtui.core.listing import Listing
from wmtui.core.match_options import MatchOptions
from wmtui.core.matching import match
from wmtui.core.ports import CancelledCall, Progress, ProgressCall
from wmtui.core.proposal import Facts, Proposal
from wmtui.core.review import Refused, Review
from wmtui.core.session import Status
from wmtui.core.table import Order
from wmtui.ui.pickers import TargetPicker, make_entries
from wmtui.ui.review.rules import RuleWindow
from wmtui.ui.windows import Question

SIZE = (120, 40)
MOST_CORRECTIONS = 400
LONGEST_WORD = 14
NUMBERED, WORD = re.compile(r"[0-9]+[./_][a-z]?"), re.compile(r"[a-z][a-z0-9]*")


class Engine:
    """The real matcher as the app's port."""

    def __init__(self, source: Listing, target: Listing) -> None:
        self.source, self.target = source, target
        self.options = MatchOptions()

    def tune(self, options: MatchOptions) -> None:
        self.options = options

    def __call__(self, facts: Facts, progress: ProgressCall, cancelled: CancelledCall) -> Proposal:
        return match(
            self.source,
            self.target,
            options=self.options,
            facts=facts,
            progress=lambda stage, share: progress(Progress(stage, int(share * 1000), 1000)),
            cancelled=cancelled,
        )


class Answer:
    """What is right for each source key."""

    def __init__(self, case: Case, source: Listing, target: Listing) -> None:
        unknown = set(case.unknown)
        self.unjudged = {target.index[key] for key in unknown if key in target}
        self.free = {source.index[key] for key in unknown if key in source}
        self.allowed: dict[int, set[int]] = {}
        self.home: dict[int, int] = {}
        self.wanted: dict[int, int] = {}
        for n, relation in enumerate(case.relations):
            sources = {source.index[key] for key in relation.sources}
            if relation.op in (*ONE_TO_ONE, "other"):
                targets = {target.index[key] for key in relation.targets}
                for place in sources:
                    self.allowed[place] = targets
                    self.home[place] = n
                self.wanted[n] = 0 if relation.op == "other" else min(len(sources), len(targets))
        self.members: dict[int, list[int]] = {}
        for place, n in self.home.items():
            self.members.setdefault(n, []).append(place)

    def right(self, source: int, target: int) -> bool:
        """Whether a pair is right, or is not judged."""
        return source in self.free or target in self.unjudged or target in self.allowed.get(source, ())

    def wrong(self, review: Review, place: int) -> bool:
        """Whether a source key has to be corrected."""
        partner = review.session.partner(place)
        if partner >= 0:
            return not self.right(place, partner)
        home = self.home.get(place)
        if home is None or place in self.free:
            return False
        return sum(review.session.partner(p) in self.allowed[p] for p in self.members[home]) < self.wanted[home]


class Driver:
    """Corrects one case with the keyboard."""

    def __init__(self, user: User, case: Case) -> None:
        self.user = user
        self.answer = Answer(case, self.review.source, self.review.target)
        self.keys = 0
        self.corrections = 0

    @property
    def review(self) -> Review:
        """The review that the screen shows now: a correction brings another."""
        return self.user.screen.review

    async def press(self, *keys: str) -> None:
        self.keys += len(keys)
        await self.user.press(*keys)

    def wrong_rows(self) -> list[int]:
        """Where the rows stand that have something wrong; the keys of an open group, not its own row."""
        view = self.review.sources
        wrong = {place for place in range(len(self.review.source)) if self.answer.wrong(self.review, place)}
        if not wrong:
            return []
        return [
            n
            for n, row in enumerate(view.rows)
            if wrong.intersection(view.members(row)) and not (row < 0 and -1 - row in view.expanded)
        ]

    def route(self, to: int) -> list[str]:
        """The fewest keys to a row of the source pane."""
        pane = self.user.screen.source_pane
        half = max(1, pane.page // 2)

        def walk(distance: int) -> list[str]:
            down, up, far = ("j", "k", "ctrl+d") if distance >= 0 else ("k", "j", "ctrl+u")
            leaps, rest = divmod(abs(distance), half)
            return (
                [far] * leaps + [down] * rest if rest <= half // 2 + 1 else [far] * (leaps + 1) + [up] * (half - rest)
            )

        last = len(self.review.sources.rows) - 1
        ways = [walk(to - pane.cursor), ["g", *walk(to)], ["G", *walk(to - last)]]
        landing = [way for way in ways if self.lands(way, to)]
        return min(landing, key=len, default=["j" if to > pane.cursor else "k"] * abs(to - pane.cursor))

    def lands(self, way: Sequence[str], to: int) -> bool:
        """Whether the keys really lead there; a leap stops at the ends."""
        pane = self.user.screen.source_pane
        at, last, half = pane.cursor, len(self.review.sources.rows) - 1, max(1, pane.page // 2)
        for key in way:
            step = {"j": 1, "k": -1, "ctrl+d": half, "ctrl+u": -half, "g": -last, "G": last}[key]
            at = max(0, min(last, at + step))
        return at == to

    async def correct(self) -> None:
        """Put everything right that is wrong."""
        await self.choose_order()
        while (rows := self.wrong_rows()) and self.corrections < MOST_CORRECTIONS:
            self.corrections += 1
            to = min(rows, key=lambda row: len(self.route(row)))
            await self.press(*self.route(to))
            await self.fix(self.review.sources.rows[to])
            await self.answer_rule()
            await self.user.idle()

    async def answer_rule(self) -> None:
        """Where the app offers to do the rest alike, take as much of it as is right."""
        window = self.user.window
        if isinstance(window, RuleWindow):
            rest, near = (
                all(self.answer.right(s, t) for s, t, _ in part.pairs)
                for part in (window.offer.rest, window.offer.near)
            )
            await self.press("y" if rest else "s" if near and window.offer.near.pairs else "n")

    async def choose_order(self) -> None:
        """Sort by certainty where that brings the wrong rows nearer."""
        view = self.review.sources
        rows = self.wrong_rows()
        if not rows:
            return
        here = sum(min(row, 8) for row in rows)
        view.sort(Order.CERTAINTY)
        there = sum(min(row, 8) for row in self.wrong_rows()) + 1
        view.sort(Order.FILE)
        if there < here:
            await self.press("o")

    def gain(self, places: Sequence[int], target: int) -> int:
        """How many wrong keys an assignment puts right; -1 where it puts another wrong."""
        try:
            decision = self.review.assign(places, target)
        except Refused:
            return -1
        pairs = [(s, t) for s, t, _ in unfold_pairs(decision.pairs)]
        if not all(self.answer.right(s, t) for s, t in pairs):
            return -1
        return sum(self.answer.wrong(self.review, s) for s, _ in pairs)

    async def fix(self, row: int) -> None:
        """Correct the row under the cursor, or open its group."""
        review, screen = self.review, self.user.screen
        places = review.sources.members(row)
        wrong = [p for p in places if self.answer.wrong(review, p)]
        unwanted = [p for p in wrong if review.session.partner(p) >= 0 and not self.answer.allowed.get(p)]
        if len(unwanted) == len(places):
            await self.press("x")
            return
        needed = max(1, len(wrong) // 2)
        for n in range(screen.candidates.count()):
            if self.gain(places, screen.candidates.target_of(n)) >= needed:
                await self.press(str(n + 1))
                return
        lead = review.leader(places)
        entries = make_entries(review, lead, places)
        found = next((n for n, e in enumerate(entries) if not e.reason and self.gain(places, e.target) >= needed), -1)
        if found >= 0:
            await self.press("r")
            await self.pick(found)
        elif row < 0:
            await self.press("l")
        elif unwanted or review.session.partner(lead) >= 0:
            await self.press("x")
        else:
            raise RuntimeError(f"nothing helps {review.source.tensors[lead].key}")

    async def pick(self, entry: int) -> None:
        """Type few letters that bring an entry of the picker to the top, and take it."""
        picker = self.user.window
        assert isinstance(picker, TargetPicker)
        name = picker.entries[entry].name.lower()
        words = sorted({name[a:b] for a in range(len(name)) for b in range(a + 1, a + 1 + LONGEST_WORD)}, key=len)
        for word in ("", *words, *several_words(name), name):
            place = next((n for n, found in enumerate(picker.find(word)[:3]) if found == entry), -1)
            if place >= 0 and word.isprintable() and word == word.strip():
                self.keys += len(word)
                await self.user.type(word)
                await self.press(*["down"] * place, "enter")
                break
        if isinstance(self.user.window, Question):
            await self.press("f")

    async def finish(self) -> None:
        """Accept what is left, and save."""
        review = self.review
        counts = review.session.source_counts
        if counts[Status.PROPOSED]:
            if review.above()[1] == counts[Status.PROPOSED]:
                await self.press("A", "y")
            else:
                await self.press("s", "s", "a", "y")
        await self.press("S")
        await self.user.idle()
        await self.press("enter")
        await self.user.idle()


def several_words(name: str) -> list[str]:
    """Short words that are all in a name, two or three at once: numbers with what follows, and beginnings of words."""
    parts = dict.fromkeys([*NUMBERED.findall(name), *(word[:4] for word in WORD.findall(name))])
    return sorted((" ".join(some) for count in (2, 3) for some in combinations(parts, count)), key=len)


def key_by_key(driver: Driver) -> int:
    """Keys of a review of one key at a time, from the first proposal on; the same ways to correct a key."""
    review, keys = driver.review, 1 + 2
    for place in range(len(review.source)):
        if not driver.answer.wrong(review, place):
            keys += review.session.partner(place) >= 0
            continue
        allowed = driver.answer.allowed.get(place, set())
        candidates = {review.target.index[c.target] for c in review.candidates(place)}
        keys += 1 if not allowed or candidates & allowed else 10
    return keys


async def effort(case: Case) -> tuple[str, int, int, int, int, str, float]:
    """One row of the table."""
    source, target = listings(case)
    save = NotingSave()
    began = time.monotonic()
    async with at_the_screen(source, target, size=SIZE, match=Engine(source, target), save=save) as user:
        driver = Driver(user, case)
        singly = key_by_key(driver)
        await driver.correct()
        await driver.finish()
        verdict = judge(case, save.saved[-1][1])
    said = "right" if verdict.perfect else f"recall {verdict.recall:.4f} precision {verdict.precision:.4f}"
    return case.name, len(source), driver.corrections, driver.keys, singly, said, time.monotonic() - began


def main(names: Sequence[str]) -> int:
    folders = [FOLDERS[name] for name in names if name in FOLDERS] or [FOLDERS["pairs"]]
    wanted = {name for name in names if name not in FOLDERS}
    cases = [case for case in load_all(folders) if not wanted or case.name in wanted]
    rows = []
    for case in cases:
        rows.append(asyncio.run(effort(case)))
        print(*rows[-1], file=sys.stderr, flush=True)
    head = ("pair", "keys of the source", "corrections", "keys pressed", "one key at a time", "outputs", "seconds")
    print(table(head, rows))
    print(f"\nmedian {median(row[3] for row in rows)} keys a pair, one key at a time {median(row[4] for row in rows)}")
    return 0 if all(row[5] == "right" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
