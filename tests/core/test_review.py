"""The review: numbers that change with each decision are what a recount says; what actions mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtui.core.decisions import Accept, Assign, Redo, Undo
from wmtui.core.forecast import forecast
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Pair, Proposal, Transform
from wmtui.core.review import BARS, Refused, Review, Scope
from wmtui.core.session import Status
from wmtui.core.table import Order
from wmtui.core.view import STATUSES, PaneView

LAYERS = 3


def a_review(confidence: float = 0.95, matched: bool = True) -> Review:
    """Three blocks with two tensors each, a head and an extra key; the target has a tied head and a key too many."""
    source = [TensorSpec(f"b.{n}.{w}", (2, 3) if w == "w" else (4,)) for n in range(LAYERS) for w in ("w", "v")]
    source += [TensorSpec("head", (8,)), TensorSpec("extra", (9,))]
    target = [TensorSpec(f"l.{n}.{w}", (3, 2) if w == "w" else (4,)) for n in range(LAYERS) for w in ("w", "v")]
    target += [TensorSpec("out", (8,)), TensorSpec("tied", (8,), shares="out"), TensorSpec("more", (4,))]
    sides = Listing("source", source), Listing("target", target)
    if matched:
        pairs = {}
        for n in range(LAYERS):
            for w, transform in (("w", Transform.TRANSPOSE), ("v", Transform.NONE)):
                pairs[f"b.{n}.{w}"] = Pair(f"b.{n}.{w}", f"l.{n}.{w}", confidence - n / 10, transform)
        pairs["head"] = Pair("head", "out", 0.5)
        proposal = Proposal(pairs, {}, (), (), lambda key, limit: ())
        return Review(*sides, proposal)
    return Review(*sides)


def check(review: Review) -> None:
    """Every number against a recount."""
    session = review.session
    pairs = [(m.source, m.target, m.transform) for m in session.mapped(include_pending=True)]
    plan = make_plan(session.source, pairs, unmapped="drop", target=session.target)
    said = forecast(plan, session.source, session.target)
    assert (review.missing, 0, review.mismatched) == tuple(map(len, (said.missing, said.unexpected, said.mismatched)))
    target = session.target.tensors
    assert [target[t].key for t in review.missing_targets()] == list(said.missing)
    assert {target[session.partner(s)].key for s in review.mismatched_sources()} == set(said.mismatched)
    shown = {place for row in review.sources.rows for place in review.sources.members(row)}
    below = [
        session.confidence(s)
        for s in shown
        if session.status(s) is Status.PROPOSED and session.confidence(s) < BARS[review.bar]
    ]
    assert review.below() == (len(below), max(below, default=0.0))
    everything = range(len(session.source))
    assert review.open_keys == sum(map(session.is_open, everything)) == sum(map(review.is_open, everything))
    sides: tuple[tuple[PaneView, list[Status]], ...] = (
        (review.sources, list(map(session.status, everything))),
        (review.targets, list(map(session.target_status, range(len(session.target))))),
    )
    for view, statuses in sides:
        assert [STATUSES[code] for code in view.codes] == statuses
        with_status = Counter(s for group in view.groups for s in {statuses[p] for p in group.members})
        assert view.facet_counts() == {status: with_status[status] for status in Status}
        for g, group in enumerate(view.groups):
            assert view.group_counts(g) == Counter(statuses[p] for p in group.members)
        shown = {p for row in view.rows if row < 0 for p in view.members(row)} | {row for row in view.rows if row >= 0}
        assert shown == {p for p, status in enumerate(statuses) if view.facet in (None, status)}
    above = review.above_places()
    assert review.above() == (len({review.sources.of_key[p] for p in above}), len(above))
    for g, group in enumerate(review.sources.groups):
        goals = Counter(review.targets.of_key[t] for p in group.members if (t := session.partner(p)) >= 0)
        assert review.goals.of(g) == sorted(goals, key=lambda goal: (-goals[goal], goal))
        proposed = [session.confidence(p) for p in group.members if session.status(p) is Status.PROPOSED]
        assert review.row_confidence(-1 - g) == min(proposed, default=0.0)


def a_group(review: Review, n: int) -> Sequence[int]:
    """Some group that is shown."""
    rows = review.sources.rows
    return review.scoped(Scope.GROUP, rows[n % len(rows)]) if rows else (n,)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("accept", "reject", "ignore", "reopen", "assign", "swap", "undo", "redo", "bar", "facet", "target")
        ),
        st.integers(0, 7),
        st.integers(0, 8),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.booleans())
def test_every_number_is_what_a_recount_says(steps: list[tuple[str, int, int]], matched: bool):
    review = a_review(matched=matched)
    check(review)
    for what, source, target in steps:
        try:
            if what == "accept":
                review.apply(review.accept(a_group(review, source)))
            elif what == "reject":
                review.apply(review.reject([source]))
            elif what == "ignore":
                review.apply(review.ignore([source]))
            elif what == "target":
                review.apply(review.ignore(targets=[target]))
            elif what == "reopen":
                review.apply(review.reopen([source], [target]))
            elif what == "assign":
                review.apply(review.assign(a_group(review, source), target))
            elif what == "swap":
                review.apply(review.swap([source], [target % 8]))
            elif what == "bar":
                review.move_bar(source - 4)
            elif what == "facet":
                review.sources.choose_facet(STATUSES[source] if source < len(STATUSES) else None)
            elif review.session.can_undo if what == "undo" else review.session.can_redo:
                review.apply(Undo() if what == "undo" else Redo())
        except Refused:
            pass
        check(review)


def test_groups_are_rows_and_expand():
    review = a_review()
    view = review.sources
    assert [view.groups[-1 - row].name if row < 0 else row for row in view.rows] == ["b.{0-2}.w", "b.{0-2}.v", 6, 7]
    view.toggle(0)
    assert view.rows == [-1, 0, 2, 4, -2, 6, 7]
    assert view.row_of(2) == 2
    assert view.row_of(1) == 4, "a key of a closed group is found by the group's row"


def test_what_was_expanded_stays_so_after_a_new_proposal():
    review = a_review()
    review.sources.toggle(1)
    review.sources.sort(Order.SIZE)
    review.targets.choose_facet(Status.PROPOSED)
    review.move_bar(1)
    again = Review(review.source, review.target, review.session.proposal)
    again.follow(review.looks)
    assert review.sources.rows == again.sources.rows == [-1, -2, 1, 3, 5, 7, 6]
    assert again.targets.rows == review.targets.rows
    assert again.above() == review.above() == (2, 2)


def test_the_next_open_key_goes_round_and_ends():
    review = a_review()
    assert review.next_open(0) == 1
    assert review.next_open(2) == 0, "extra, in row 3, has no target of its size"
    assert review.next_open(0, -1) == 2
    for row in list(review.sources.rows[:3]):
        review.apply(review.accept(review.sources.members(row)))
    assert review.next_open(0) == -1


def test_least_certain_first():
    review = a_review()
    review.sources.sort(Order.CERTAINTY)
    assert review.sources.rows == [7, 6, -1, -2], "unmatched, .5, then the groups with .75 at least"


def test_accepting_above_the_bar_takes_what_is_shown():
    review = a_review()
    review.bar = BARS.index(0.9)
    review.move_bar(0)
    assert review.above() == (2, 2)
    review.sources.search(".w")
    assert review.above() == (1, 1)
    assert review.above_places() == [0]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda r: r.accept([7]), "nothing is proposed"),
        (lambda r: r.reject([7]), "no pair"),
        (lambda r: r.assign([7], 0), "different numbers of elements"),
        (lambda r: r.swap([0], [0]), "two different"),
        (lambda r: r.swap([0], [1]), "does not fit"),
        (lambda r: r.swap([0, 2], [1]), "cannot be swapped"),
        (lambda r: r.swap([6], [7]), "must have a target"),
        (lambda r: r.reopen([0]), "nothing is decided"),
        (lambda r: r.swap_with_holder(0, 8), "nobody else"),
    ],
)
def test_what_cannot_be_decided_says_why(ask, says):
    review = a_review()
    with pytest.raises(Refused, match=says):
        ask(review)


def test_before_the_matcher_nothing_can_be_accepted():
    with pytest.raises(Refused, match="not proposed anything yet"):
        a_review(matched=False).accept([0])


def test_choosing_what_is_proposed_accepts_it_and_anything_else_assigns():
    review = a_review()
    assert isinstance(review.assign([1], 1), Accept)
    assert isinstance(review.assign([1], 8), Assign)
    review.apply(review.assign([1], 1))
    with pytest.raises(Refused, match="accepted already"):
        review.assign([1], 1)


def test_a_group_is_assigned_member_by_member():
    review = a_review()
    decision = review.assign([1, 3, 5], 3, 1)
    pairs = {run.source + n: run.target + n for run in decision.pairs for n in range(run.length)}
    assert pairs[1] == 3
    assert review.affected(decision) == 2, "there is no fourth layer for the last"


def test_groups_swap_member_by_member():
    source = Listing("s", [TensorSpec(f"{n}.{w}", (4,)) for w in "qk" for n in range(3)])
    target = Listing("t", [TensorSpec(f"{n}.{w}", (4,)) for w in "xy" for n in range(3)])
    pairs = {s.key: Pair(s.key, t.key, 0.9) for s, t in zip(source, target, strict=True)}
    proposal = Proposal(pairs, {}, (), (), lambda key, limit: ())
    review = Review(source, target, proposal)
    review.apply(review.swap([0, 1, 2], [3, 4, 5]))
    assert [review.session.partner(p) for p in range(6)] == [3, 4, 5, 0, 1, 2]
    review.apply(Undo())
    assert [review.session.partner(p) for p in range(6)] == [0, 1, 2, 3, 4, 5]


def test_targets_begin_beside_the_sources_that_they_get():
    source = Listing("s", [TensorSpec(key, (n,)) for key, n in (("a", 1), ("b", 2), ("c", 3), ("d", 4))])
    target = Listing("t", [TensorSpec(key, (n,)) for key, n in (("y", 3), ("free", 9), ("x", 1), ("z", 4))])
    pairs = {s: Pair(s, t, 0.9) for s, t in (("a", "x"), ("c", "y"), ("d", "z"))}
    review = Review(source, target, Proposal(pairs, {}, (), (), lambda *_: ()))
    shown = [target.tensors[row].key for row in review.targets.rows]
    assert shown == ["x", "y", "free", "z"], "what nobody gets stays after what it follows in the listing"
    review.targets.sort(Order.FILE)
    assert [target.tensors[row].key for row in review.targets.rows] == ["y", "free", "x", "z"]
