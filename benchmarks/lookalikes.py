"""Planted look-alikes: changed cases in which a tensor of the right shape is the wrong answer.

Two changes to the target, each chosen by a generator that the case's name seeds:

* *beside*: every instance of one module gets a twin with the same tensors (``blocks.{i}.attn.proj_extra``), as a
  network with an added branch has;
* *instead*: two single modules are taken out, and ``auxiliary.{n}`` at the root holds tensors of the same shapes, as
  a network with other heads has. The sources of what was taken out must stay unmatched.
"""

from __future__ import annotations

import random

import msgspec

from benchmarks.cases import ONE_TO_ONE, Case, Row
from wmtui.core.groups import skeleton

INSTEAD = 2
FEWEST = 8
"""Modules that a case must have for anything to be planted."""


def planted(case: Case) -> Case:
    """The case with look-alikes; itself where it has too few modules."""
    modules = _modules(case)
    if len(modules) < FEWEST:
        return case
    generator = random.Random(case.name)
    like = skeleton(generator.choice(sorted(modules)))
    beside = {name for name in modules if skeleton(name) == like}
    instead = generator.sample(sorted(modules.keys() - beside), min(INSTEAD, len(modules) - len(beside)))
    lost = {key for name in instead for key in modules[name]}
    target: list[Row] = []
    twins: list[Row] = []
    others: list[Row] = []
    for row in case.target:
        if row.key in lost:
            place = instead.index(_parent(row.key))
            others.append(msgspec.structs.replace(row, key=f"auxiliary.{place}{_leaf(row.key)}"))
            continue
        target.append(row)
        if _parent(row.key) in beside:
            twins.append(msgspec.structs.replace(row, key=f"{_parent(row.key)}_extra{_leaf(row.key)}"))
            target.append(twins[-1])
    return msgspec.structs.replace(
        case,
        target=(*target, *others),
        relations=tuple(relation for relation in case.relations if not lost.intersection(relation.targets)),
        source_only=(
            *case.source_only,
            *(key for relation in case.relations if lost.intersection(relation.targets) for key in relation.sources),
        ),
        target_only=(*case.target_only, *(row.key for row in (*twins, *others))),
    )


def _modules(case: Case) -> dict[str, list[str]]:
    """Modules of the target whose tensors all have one counterpart -> their keys."""
    plain = {r.targets[0] for r in case.relations if r.op in ONE_TO_ONE and len(r.sources) == len(r.targets) == 1}
    modules: dict[str, list[str]] = {}
    for row in case.target:
        modules.setdefault(_parent(row.key), []).append(row.key)
    return {name: keys for name, keys in modules.items() if name and plain.issuperset(keys)}


def _parent(key: str) -> str:
    return key.rpartition("." if "." in key else "/")[0]


def _leaf(key: str) -> str:
    return key[len(_parent(key)) :]
