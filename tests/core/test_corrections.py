"""Rules from corrections: what two like pairs say of all other keys, and what is left for it to do."""

from __future__ import annotations

import pytest

from wmtui.core.corrections import Offer, compare, last_corrections, offer
from wmtui.core.decisions import Accept, Assign, Ignore, PairRun, Run, Undo, fold_pairs
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.proposal import Pair, Proposal, Transform
from wmtui.core.session import Session


def session_of(
    source: list[str],
    target: list[str],
    proposed: dict[str, str] | None = None,
    odd: tuple[str, ...] = (),
) -> Session:
    here, there = (
        Listing(name, [TensorSpec(key, (5,) if key in odd else (4, 4)) for key in keys])
        for name, keys in (("old", source), ("new", target))
    )
    pairs = {s: Pair(s, t, 0.5) for s, t in (proposed or {}).items()}
    return Session(here, there, Proposal(pairs, {}, (), (), lambda key, limit: ()))


def give(session: Session, *pairs: tuple[str, str]) -> Assign:
    decision = Assign(fold_pairs((session.source.index[s], session.target.index[t], Transform.NONE) for s, t in pairs))
    session.apply(decision)
    return decision


def said(session: Session, found: Offer | None) -> dict[str, str]:
    assert found is not None
    return {session.source.tensors[s].key: session.target.tensors[t].key for s, t, _ in found.rest.pairs}


BLOCKS = [
    f"{side}.blocks.{n}.attn.{w}.{p}"
    for side in ("enc", "dec")
    for n in range(3)
    for w in ("query", "key")
    for p in ("weight", "bias")
]
RENAMED = {"blocks": "layers", "attn": "self_attn", "query": "q_proj", "key": "k_proj"}
LAYERS = [".".join(["model", *(RENAMED.get(word, word) for word in key.split("."))]) for key in BLOCKS]


def test_two_like_corrections_of_single_keys_say_what_all_others_get():
    session = session_of(BLOCKS, LAYERS)
    first = give(session, ("enc.blocks.0.attn.query.weight", "model.enc.layers.0.self_attn.q_proj.weight"))
    assert offer(session, [first]) is None, "one correction is no rule"
    assert offer(session, [first, first]) is None, "nor is the same one again"
    second = give(session, ("enc.blocks.1.attn.query.weight", "model.enc.layers.1.self_attn.q_proj.weight"))
    found = offer(session, [second, first])
    assert found is not None
    assert (found.rules[0].source, found.rules[0].target) == (
        "{A}.blocks.{i}.{B}.query.{C}",
        "model.{A}.layers.{i}.self_{B}.q_proj.{C}",
    )
    assert said(session, found) == {
        f"{side}.blocks.{n}.attn.query.{p}": f"model.{side}.layers.{n}.self_attn.q_proj.{p}"
        for side in ("enc", "dec")
        for n in range(3)
        for p in ("weight", "bias")
        if (side, p) != ("enc", "weight") or n == 2
    }
    assert [session.source.tensors[s].key for s, _, _ in found.near.pairs] == ["enc.blocks.2.attn.query.weight"]
    assert found.rest.other == len(found.rest.pairs)


def test_corrections_of_groups_and_what_is_proposed_so_already():
    wanted = dict(zip(BLOCKS, LAYERS, strict=True))
    session = session_of(BLOCKS, LAYERS, {s: t for s, t in wanted.items() if s.startswith("dec.blocks.0")})
    decisions = [
        give(session, *((s, t) for s, t in wanted.items() if s.startswith("enc") and s.endswith(f"query.{p}")))
        for p in ("weight", "bias")
    ]
    found = offer(session, decisions[::-1])
    assert said(session, found) == {s: t for s, t in wanted.items() if s.startswith("dec") and ".query." in s}
    assert found is not None
    assert (found.rest.other, found.rest.kept) == (4, 0)


@pytest.mark.parametrize(
    ("examples", "rest"),
    [
        ({0: 1, 1: 2}, {2: 3, 3: 4}),
        ({0: 3, 1: 2}, {2: 1, 3: 0}),
        ({0: 0, 1: 2}, {2: 4}),
        ({0: 1, 3: 2}, None),
    ],
    ids=["moved", "backwards", "every second", "not whole"],
)
def test_numbers_are_carried_over(examples, rest):
    session = session_of([f"a.{n}.w" for n in range(4)], [f"b.{n}.w" for n in range(5)])
    decisions = [give(session, (f"a.{n}.w", f"b.{m}.w")) for n, m in examples.items()]
    found = offer(session, decisions[::-1])
    if rest is None:
        assert found is None
    else:
        assert said(session, found) == {f"a.{n}.w": f"b.{m}.w" for n, m in rest.items()}


@pytest.mark.parametrize(
    ("carry", "template"), [({0: 1, 1: 2}, "b.{i+1}.{A}"), ({0: 3, 1: 2}, "b.{3-i}.{A}"), ({0: 0, 1: 2}, "b.{2i}.{A}")]
)
def test_the_template_says_how_numbers_go(carry, template):
    session = session_of([f"a.{n}.w" for n in range(4)], [f"b.{n}.w" for n in range(5)])
    found = offer(session, [give(session, (f"a.{n}.w", f"b.{m}.w")) for n, m in carry.items()])
    assert found is not None
    assert found.rules[0].target == template


def test_what_is_decided_stays():
    source, target = [f"a.{n}.w" for n in range(6)], [f"b.{n}.w" for n in range(6)] + ["c"]
    session = session_of(source, target, {s: t for s, t in zip(source, target, strict=False) if s != "a.5.w"})
    decisions = [give(session, (f"a.{n}.w", f"b.{n}.w")) for n in (0, 1)]
    session.apply(Accept((PairRun(2, 6),)))
    session.apply(Ignore(targets=(Run(3),)))
    session.apply(Ignore(sources=(Run(4),)))
    found = offer(session, decisions[::-1])
    assert said(session, found) == {"a.5.w": "b.5.w"}
    assert found is not None
    assert found.rest.kept == 3
    session.apply(Undo())
    assert set(said(session, offer(session, decisions[::-1]))) == {"a.4.w", "a.5.w"}


def test_other_sizes_and_unlike_corrections_are_left_alone():
    session = session_of(
        ["a.0.w", "a.1.w", "a.2.w", "a.3.w"], ["b.0.w", "b.1.w", "b.2.w", "b.3.w", "q.1.v"], odd=("b.2.w",)
    )
    first = give(session, ("a.0.w", "b.0.w"))
    unlike = give(session, ("a.1.w", "q.1.v"))
    assert offer(session, [unlike, first]) is None
    second = give(session, ("a.1.w", "b.1.w"))
    assert said(session, offer(session, [second, unlike, first])) == {"a.3.w": "b.3.w"}


def test_a_swap_of_two_groups_is_two_rules():
    source = [f"{side}.{n}.{w}" for side in ("e", "d", "f") for n in range(2) for w in ("one", "two")]
    target = [f"m.{key}" for key in source]
    session = session_of(source, target, dict(zip(source, target, strict=True)))

    def crossed(side: str) -> list[tuple[str, str]]:
        return [(f"{side}.{n}.{w}", f"m.{side}.{n}.{v}") for n in range(2) for w, v in (("one", "two"), ("two", "one"))]

    decisions = [give(session, *crossed(side)) for side in ("e", "d")]
    assert said(session, offer(session, decisions[::-1])) == dict(crossed("f"))


def test_one_correction_is_enough_where_the_rule_is_asked_for():
    session = session_of(BLOCKS, LAYERS)
    only = give(session, ("enc.blocks.0.attn.key.bias", "model.enc.layers.0.self_attn.k_proj.bias"))
    found = offer(session, [only], alone=True)
    assert len(said(session, found)) == 11


def test_names_of_any_kind_are_compared():
    long = ".".join(["a"] * 5000)
    for one, other in ((long, long), ("", ""), ("9" * 5000, "9" * 5000), ("²", "²"), ("[a](b", "\\1*{0}"), (".", "_")):
        change, example = compare(one, other)
        assert len(change.numeric) == len(example[0]) == len(example[1])
        session = session_of([one, "other.1"], [other, "other.2"])
        offer(session, [give(session, (one, other))], alone=True)


def test_the_last_corrections_come_first():
    first, second = Assign((PairRun(0, 0),)), Assign((PairRun(1, 1),))
    assert last_corrections([first, Accept((PairRun(2, 2),)), second]) == [second, first]


def test_a_key_that_two_rules_speak_of_gets_one_target():
    source = [f"a.{n}.{w}" for n in range(4) for w in "qk"]
    target = [f"{side}.{n}.{w}" for n in range(4) for side, w in ("bz", "cq", "ck")]
    session = session_of(source, target)
    given = [give(session, (f"a.{n}.q", f"b.{n}.z"), (f"a.{n}.k", f"c.{n}.k")) for n in (0, 1)]
    found = offer(session, given[::-1])
    assert found is not None
    assert len(found.rules) == 2
    session.apply(Assign(found_pairs := fold_pairs(found.rest.pairs)))
    assert sum(run.length for run in found_pairs) == len(said(session, found)) == 4


def test_a_number_that_was_seen_to_become_another_says_that_of_no_other_number_for_sure():
    norms = [f"blocks.{n}.norm{m}.w" for n in range(4) for m in (1, 2, 3)]
    session = session_of(norms, norms)
    corrections = [give(session, (f"blocks.{n}.norm2.w", f"blocks.{n}.norm3.w")) for n in (1, 0)]
    found = offer(session, corrections)
    assert found is not None
    done = {"blocks.0.norm2.w", "blocks.1.norm2.w"}
    shifted = {f"blocks.{n}.norm{m}.w": f"blocks.{n}.norm{m + 1}.w" for n in range(4) for m in (1, 2)}
    assert said(session, found) == {s: t for s, t in shifted.items() if s not in done}
    near = {session.source.tensors[s].key: session.target.tensors[t].key for s, t, _ in found.near.pairs}
    assert near == {f"blocks.{n}.norm2.w": f"blocks.{n}.norm3.w" for n in (2, 3)}
