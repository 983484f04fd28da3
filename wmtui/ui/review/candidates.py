"""The pane of candidates: the targets that the matcher can imagine for the selected key, with scores and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.style import Style
from textual.strip import Strip

from wmtui.core.fused import source_story
from wmtui.core.printable import plural
from wmtui.core.proposal import Candidate, Transform
from wmtui.core.review import Review
from wmtui.core.session import Status
from wmtui.ui.lines import Part, RowList, paint
from wmtui.ui.review.panes import percent
from wmtui.ui.text import bar, clip, fit, safe, shape_text, shorten

LIMIT = 9
DEEP = 40
"""Candidates that are looked through for those of different groups."""


class CandidatesPane(RowList):
    """Candidates of one source key, or of the key that speaks for a group."""

    DEFAULT_CSS = "CandidatesPane { height: 8; padding: 0 1; }"

    def __init__(self, review: Review, *, id: str) -> None:
        super().__init__(id=id)
        self.review = review
        self.lead = -1
        self._asked: object = None
        self.places: Sequence[int] = ()
        self.found: tuple[Candidate, ...] = ()
        self.fused = ""

    def look_at(self, places: Sequence[int]) -> None:
        """Show the candidates of these keys; none clears the pane."""
        lead = self.review.leader(places) if places else -1
        if lead != self.lead:
            self.cursor = self.top = 0
        self.lead = lead
        self.places = places
        asked = (self.review.session.proposal, self.review.targets.groups, lead, len(places) > 1)
        if lead < 0:
            self.found = ()
        elif asked != self._asked:
            self.found = self._distinct(places, lead)
        self._asked = asked
        self.fused = self._fused()
        self.show()

    def _fused(self) -> str:
        """What a key without a partner looks like where it lies in a fused tensor."""
        review, lead = self.review, self.lead
        fusion = review.fused.of_source(lead) if lead >= 0 else None
        if fusion is None or review.session.partner(lead) >= 0:
            return ""
        return safe(source_story(fusion, review.source.tensors[lead].key))

    def _distinct(self, places: Sequence[int], lead: int) -> tuple[Candidate, ...]:
        """The candidates of a key; for several keys the best of each target group, as that is what they get."""
        if len(places) == 1:
            return self.review.candidates(lead, LIMIT)
        index, of_target = self.review.target.index, self.review.targets.of_key
        best: dict[int, Candidate] = {}
        for candidate in self.review.candidates(lead, DEEP):
            best.setdefault(of_target[index[candidate.target]], candidate)
        return tuple(best.values())[:LIMIT]

    def target_of(self, place: int) -> int:
        """The target's place of a candidate."""
        return self.review.target.index[self.found[place].target]

    @property
    def selected(self) -> Candidate | None:
        return self.found[self.cursor] if self.cursor < len(self.found) else None

    @property
    def page(self) -> int:
        return max(1, self.content_size.height - 2 - len(self._fused_lines()))

    def _fused_lines(self) -> list[str]:
        return wrap(self.fused, max(20, self.content_size.width - 2))[:2]

    def count(self) -> int:
        return len(self.found)

    def title(self, cells: int) -> Iterable[Part]:
        if self.lead < 0:
            return [("Candidates", None)]
        review = self.review
        status = review.session.status(self.lead)
        word = str(status)
        if status is Status.PROPOSED:
            word += f", confidence {percent(review.row_confidence(self.lead))}"
        elif status is Status.ACCEPTED:
            settled = review.session.settled(self.lead)
            word = "assigned by you" if settled is not None and settled.by_user else "accepted"
        left, right = "Candidates for ", f"  {word}"
        spec = review.source.tensors[self.lead]
        key = spec.key
        if len(self.places) > 1:
            group = review.sources.groups[review.sources.of_key[self.lead]]
            key = group.name if set(self.places) <= set(group.members) else key
            right = f"  {plural(len(self.places), 'key')}, {word}"
        right = f"  {shape_text(spec.shape)}{right}"
        if cells < len(left) + len(right) + 40:
            left = "For "
        name = shorten(key, cells - len(left) - len(right), review.sources.spare(review.sources.of_key[self.lead]))
        return [(left, None), (name, None), (right, None)]

    def empty(self) -> str:
        if self.lead < 0:
            return "choose a key"
        if not self.review.matched:
            return "candidates come when the matcher is done"
        if self.fused:
            return "no single target is as large: i ignores the key"
        return "no target is as large: r searches all targets, i ignores the key"

    def row(self, place: int, cells: int) -> Iterable[Part]:
        looks, review = self.looks, self.review
        candidate = self.found[place]
        score = candidate.score
        index = review.target.index[candidate.target]
        partner = review.session.partner(self.lead) == index
        wide = cells >= 110
        marks = ">" if partner else " "
        numbers = f" conf {percent(candidate.confidence)} score {percent(score.total)}"
        parts: list[tuple[str, float]] = [("shape", score.shape), ("name", score.name), ("hierarchy", score.hierarchy)]
        if not wide:
            parts = [(label[0], value) for label, value in parts]
        bars = "".join(f" {label} {bar(value, 4)}" if wide else f" {label}{bar(value, 3)}" for label, value in parts)
        reasons = self._reasons(candidate) if wide else ""
        reason_cells = max(0, min(26, cells - 84)) if wide else 0
        name_cells = cells - 4 - len(numbers) - len(bars) - (reason_cells + 1 if wide else 0)
        good: Style = looks.good if partner else looks.muted
        shown: list[Part] = [
            (f"{marks}{place + 1} ", good),
            (self._target_name(index, max(name_cells, 8)) + " ", None),
            (numbers, looks.accent if partner else None),
            (bars, looks.muted),
        ]
        if wide:
            shown.append((" " + clip(reasons, reason_cells), looks.muted))
        return shown

    def _target_name(self, target: int, cells: int) -> str:
        targets = self.review.targets
        group = targets.of_key[target]
        name = targets.groups[group].name if len(self.places) > 1 else targets.listing.tensors[target].key
        return fit(name, cells, spare=targets.spare(group))

    def _reasons(self, candidate: Candidate) -> str:
        pro = [evidence.label for evidence in candidate.evidence if evidence.weight > 0]
        contra = [evidence.label for evidence in candidate.evidence if evidence.weight < 0]
        texts = []
        if pro:
            texts.append("why: " + ", ".join(pro))
        if contra:
            texts.append("why not: " + ", ".join(contra))
        return "; ".join(texts)

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        fused = [paint([("  " + text, self.looks.warn)], cells) for text in self._fused_lines()]
        found = list(super().lines(cells, count - 1 - len(fused)))
        found += fused
        found += [Strip.blank(cells)] * (count - 1 - len(found))
        return [*found, paint([(self._story(cells), self.looks.muted)], cells)]

    def _story(self, cells: int) -> str:
        """One line about the candidate under the cursor."""
        candidate = self.selected
        if candidate is None or self.lead < 0:
            return ""
        review = self.review
        index = review.target.index[candidate.target]
        texts = [evidence.text for evidence in candidate.evidence if evidence.weight > 0][:3]
        texts += ["but " + evidence.text for evidence in candidate.evidence if evidence.weight < 0][:1]
        if candidate.transform is not Transform.NONE:
            here, there = review.source.tensors[self.lead].shape, review.target.tensors[index].shape
            texts.insert(0, f"{candidate.transform} {shape_text(here)} to {shape_text(there)}")
        holder = review.session.holder(index)
        if holder not in (-1, self.lead):
            texts.insert(0, f"taken by {safe(review.source.tensors[holder].key)}")
        return clip(f"{self.cursor + 1}: " + "; ".join(texts), cells) if texts else ""
