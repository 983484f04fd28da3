"""The review's actions that decide: accept, reject, choose, reassign, swap, ignore, undo and their like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wmtui.core.align import align
from wmtui.core.corrections import Offer, last_corrections, offer
from wmtui.core.decisions import Assign, Decision, Redo, Undo, fold_pairs
from wmtui.core.listing import Listing
from wmtui.core.printable import plural
from wmtui.core.review import BARS, Refused, Scope
from wmtui.core.session import Status
from wmtui.ui.review.base import VERBS, Ports
from wmtui.ui.review.moving import Moving
from wmtui.ui.review.panes import percent
from wmtui.ui.text import shorten
from wmtui.ui.windows import Answer, Question

ASK_ABOVE = 1
"""A decision about all that the filter shows asks first where it is about more keys than this."""


class Deciding(Moving):
    """See the module.

    Attributes:
        declined: the rules that the user did not want, so that they are not offered again unasked.
    """

    def __init__(self, source: Listing, target: Listing, ports: Ports) -> None:
        super().__init__(source, target, ports)
        self.declined: set[str] = set()

    def attempt(self, make: Callable[[], Decision], text: str = "", onward: bool = False) -> None:
        """Make a decision and carry it out, or say why it cannot be.

        Args:
            onward: go on to the next open key afterwards.
        """
        try:
            decision = make()
        except Refused as reason:
            self.say(str(reason), "warn")
            return
        self.carry_out(decision, text, onward)

    def carry_out(self, decision: Decision, text: str = "", onward: bool = False) -> None:
        """Carry a decision out and go on; where it is a correction like an earlier one, offer to do the rest alike."""
        self.decide(decision, text, onward)
        if isinstance(decision, Assign):
            found = offer(self.review.session, last_corrections(self.done))
            if found is not None and found.rest.other and found.name not in self.declined:
                self.offer_rest(found, 2)

    def do_rule(self) -> None:
        corrections = last_corrections(self.done)
        found = offer(self.review.session, corrections)
        alone = None if found is not None else offer(self.review.session, corrections, alone=True)
        if found is not None:
            self.offer_rest(found, 2)
        elif alone is not None:
            self.offer_rest(alone, 1)
        else:
            self.say("no other open key is like those of the last correction", "warn")

    def offer_rest(self, found: Offer, count: int) -> None:
        """Show what rules of the last corrections would do with the rest, and do it if that is wanted."""
        from wmtui.ui.review.rules import RuleWindow  # not needed before

        def answered(answer: str | None) -> None:
            if not answer:
                self.declined.add(found.name)
                return
            pairs = (found.near if answer == "near" else found.rest).pairs
            text = f"assigned {plural(len(pairs), 'like key')}; u takes it back"
            self.decide(Assign(fold_pairs(pairs)), text, onward=True)

        self.app.push_screen(RuleWindow(self.review, found, count), answered)

    def ask_if_many(self, verb: str, make: Callable[[Sequence[int]], Decision], onward: bool) -> None:
        """Carry a decision about the present scope out; one about the whole filter is asked about."""
        places = self.places()
        if not places:
            return
        if self.status.scope is not Scope.FILTER or self.source_pane.mark is not None or len(places) <= ASK_ABOVE:
            self.attempt(lambda: make(places), onward=onward)
            return
        try:
            decision = make(places)
        except Refused as reason:
            self.say(str(reason), "warn")
            return
        keys = plural(self.review.affected(decision), "key")

        def answered(answer: str | None) -> None:
            if answer:
                self.carry_out(decision, onward=onward)

        texts = [f"This {verb}s {keys} of the {plural(len(places), 'key')} that the filter shows.", "One u undoes it."]
        self.app.push_screen(
            Question(f"{verb.capitalize()} all that is shown?", texts, [Answer("y", verb, "y"), Answer("n", "no", "")]),
            answered,
        )

    def do_accept(self) -> None:
        pane = self.pane_name()
        if pane == "candidates":
            self.take_candidate(self.candidates.cursor)
        elif pane == "target":
            self.take_target()
        else:
            self.ask_if_many("accept", self.review.accept, onward=True)

    def do_enter(self) -> None:
        pane = self.pane_name()
        if pane == "candidates":
            self.take_candidate(self.candidates.cursor)
        elif pane == "target":
            self.take_target()
        else:
            self.open_group(None)

    def on_row_list_chosen(self) -> None:
        self.do_enter()

    def do_reject(self) -> None:
        self.ask_if_many("reject", self.review.reject, onward=False)

    def do_choose(self, number: int) -> None:
        self.take_candidate(number - 1)

    def take_candidate(self, place: int) -> None:
        """Give the selected key or group the candidate."""
        places = self.row_places()
        self.candidates.look_at(places)
        if place >= len(self.candidates.found):
            self.say(f"there is no candidate {place + 1}", "warn")
            return
        self.take(places, self.candidates.target_of(place))

    def take_target(self) -> None:
        """Give the selected source the target under the cursor of the target pane."""
        places, row = self.row_places(), self.target_pane.selected
        if not places or row is None:
            return
        targets = self.review.targets.members(row)
        if row >= 0 or len(places) == 1:
            self.take(places, targets[0])
        else:
            self.attempt(lambda: self.review.assign_group(places, targets), onward=True)

    def take(self, places: Sequence[int], target: int) -> None:
        """Assign, and say what was taken from whom."""
        if not places:
            return
        review = self.review
        holder = review.session.holder(target)
        taken = holder not in (-1, *places) and review.session.status(holder) is Status.ACCEPTED
        name = shorten(review.source.tensors[holder].key, 30) if taken else ""
        text = f"assigned; {name} is open again, u takes it back" if taken else ""
        self.attempt(lambda: review.assign(places, target), text, onward=True)

    def do_reassign(self) -> None:
        places = self.row_places()
        if not places:
            return
        lead = self.review.leader(places)

        def picked(target: int | None) -> None:
            if target is not None:
                self.assign_asking(places, target)

        from wmtui.ui.pickers import TargetPicker  # textual's Input is not needed before

        self.app.push_screen(TargetPicker(self.review, lead, places), picked)

    def assign_asking(self, places: Sequence[int], target: int) -> None:
        """Assign; where an accepted source has the target, ask whether to swap with it or to free it."""
        review, session = self.review, self.review.session
        lead = review.leader(places)
        holder = session.holder(target)
        if holder in (-1, *places) or session.status(holder) is not Status.ACCEPTED:
            self.attempt(lambda: review.assign(places, target, lead), onward=True)
            return

        def answered(answer: str | None) -> None:
            if answer == "swap":
                others = self.holders(places, target)
                self.attempt(lambda: review.swap(places, others), onward=True)
            elif answer == "free":
                self.attempt(lambda: review.assign(places, target, lead), onward=True)

        answers = [Answer("f", "take it, that key is open again", "free"), Answer("n", "no", "")]
        if session.partner(lead) >= 0:
            answers.insert(0, Answer("s", "swap the two", "swap"))
        name = shorten(review.source.tensors[holder].key, 60)
        self.app.push_screen(Question("This target is taken", [f"{name} has it."], answers), answered)

    def holders(self, places: Sequence[int], target: int) -> Sequence[int]:
        """Who has the targets that these keys would get."""
        if len(places) == 1:
            return (self.review.session.holder(target),)
        group = self.review.targets.groups[self.review.targets.of_key[target]].members
        lead = self.review.leader(places)
        pairs = align(self.review.source, places, self.review.target, group, (lead, target))
        return [holder for _, t, _ in pairs if (holder := self.review.session.holder(t)) >= 0]

    def do_swap(self) -> None:
        pane, review = self.source_pane, self.review
        if pane.mark is not None:
            rows = [review.sources.rows[at] for at in pane.marked()]
            if len(rows) < 2:
                self.say("mark two rows to swap, or press w on each of them", "warn")
                return
            one, other = review.sources.members(rows[0]), review.sources.members(rows[-1])
            self.attempt(lambda: review.swap(one, other))
            return
        places = tuple(self.row_places())
        if not self.swapping:
            self.swapping = places
            group = review.sources.groups[review.sources.of_key[places[0]]]
            key = group.name if len(places) > 1 else review.source.tensors[places[0]].key
            self.status.note = f"swapping {shorten(key, 26)}"
            self.say("press w on the other one; Esc gives up")
            return
        one, self.swapping = self.swapping, ()
        self.status.note = ""
        self.attempt(lambda: review.swap(one, places))
        self.status.show()

    def do_ignore(self) -> None:
        if self.pane_name() == "target":
            row = self.target_pane.selected
            if row is not None:
                targets = self.review.targets.members(row)
                self.attempt(lambda: self.review.ignore(targets=targets))
            return
        self.ask_if_many("ignore", lambda places: self.review.ignore(places), onward=True)

    def do_reopen(self) -> None:
        if self.pane_name() == "target":
            row = self.target_pane.selected
            if row is not None:
                targets = self.review.targets.members(row)
                self.attempt(lambda: self.review.reopen(targets=targets))
            return
        self.ask_if_many("reopen", lambda places: self.review.reopen(places), onward=False)

    def do_accept_above(self) -> None:
        review = self.review
        groups, keys = review.above()
        left = review.open_keys - keys
        bar = percent(BARS[review.bar])

        def answered(answer: str | None) -> None:
            if answer:
                text = f"accepted {plural(keys, 'key')}; {below}" if below else ""
                self.attempt(lambda: review.accept(review.above_places()), text, onward=True)

        below = self.below()
        texts = [
            f"{plural(groups, 'group')}, {plural(keys, 'key')} have a confidence of {bar} or more"
            + (" and are shown." if review.sources.filtered else "."),
            f"{plural(left, 'key')} stay open. One u takes it all back.",
        ]
        answers = [Answer("y", "accept", "y"), Answer("n", "no", "")]
        self.app.push_screen(Question("Accept all above the bar?", texts, answers), answered)

    def do_undo(self) -> None:
        self.step(Undo(), self.done[-1], "undone")

    def do_redo(self) -> None:
        self.step(Redo(), self.undone[-1], "done again")

    def step(self, decision: Undo | Redo, about: Decision, word: str) -> None:
        """Undo or redo, and say what it was about."""
        self.decide(decision, f"{word}: {VERBS[type(about)]} {plural(self.review.affected(about), 'key')}")
