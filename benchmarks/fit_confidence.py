"""Fit the confidence model of :mod:`wmtui.core.matching.evidence.confidence` and check it by leaving families out.

``python -m benchmarks.fit_confidence``: matches every case of up to 1,500 keys as it is and in changed forms, takes the
features and the truth of each decision (equal decisions count once), fits a logistic regression, prints the weights to
paste, and the calibration of families that the fit has not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation import opaque
from benchmarks.cases import FOLDERS, Case, Judgement, judge, listings, load_all
from benchmarks.lookalikes import planted
from wmtui.core.matching import MatchOptions
from wmtui.core.matching.engine import Engine
from wmtui.core.matching.evidence.confidence import FEATURES
from wmtui.core.proposal import Facts

Floats = NDArray[np.float64]

LARGEST = 1_500
RIDGE = 0.5
NEWTON_STEPS = 25
WRONG_WEIGHT = 4.0
"""A wrong decision that looks sure costs more than a right one that does not: confidences err to the low side."""

UNKNOWABLE = ("depth_anything", "midas_dpt")
"""Cases with like blocks in reverse, which nothing in the listings tells."""

SURE = 0.9


class Sample(NamedTuple):
    """One decision: its features, whether it was right, and what it weighs."""

    family: str
    form: str
    case: str
    features: tuple[float, ...]
    right: bool
    weight: float


def _as_is(case: Case) -> Case:
    return case


def _replanted(salt: str) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        return planted(msgspec.structs.replace(case, name=case.name + salt))

    return change


FORMS: tuple[tuple[str, Callable[[Case], Case], float], ...] = (
    ("as it is", _as_is, 1.0),
    ("look-alikes", planted, 1.0),
    *((f"look-alikes {salt}", _replanted(salt), 0.5) for salt in "bcd"),
    ("opaque", opaque, 0.3),
)
"""Changed forms of a case and what their samples weigh; each is taken in every order."""


def collect(case: Case) -> list[Sample]:
    """Decisions of a case in all forms and orders."""
    found: list[Sample] = []
    for form, change, weight in FORMS:
        changed = change(case)
        for order in ("in order", "source sorted", "both sorted"):
            found += _decisions(case, changed, form, order, weight)
    return found


def _decisions(case: Case, changed: Case, form: str, order: str, weight: float) -> Iterator[Sample]:
    source, target = listings(changed, order)  # type: ignore[arg-type]
    engine = Engine(source, target, options=MatchOptions(), facts=Facts())
    engine.propose()
    state = engine.state
    pairs = []
    for i, j, verdict in engine.solution.pairs if engine.solution else ():
        if verdict.features:
            leaves = state.shapes.fit(i, j).leaves
            if not leaves:
                continue
            leaf_a, leaf_b = leaves[0]
            rows = state.source.leaves[i][leaf_a], state.target.leaves[j][leaf_b]
            pairs.append((state.source.specs[rows[0]].key, state.target.specs[rows[1]].key, verdict.features))
    judgement: Judgement = judge(changed, {s: t for s, t, _ in pairs})
    decided: defaultdict[tuple[float, ...], list[bool]] = defaultdict(list)
    for key, _, features in pairs:
        if key in judgement.verdicts:
            decided[features].append(judgement.verdicts[key])
    share = weight / 3 / max(1, len(decided)) * 40
    for features, verdicts in decided.items():
        for right in set(verdicts):
            yield Sample(case.family, f"{form}, {order}", case.name, features, right, share)


def fit(samples: list[Sample]) -> Floats:
    """Weights of the logistic regression with a small ridge."""
    x: Floats = np.array([sample.features for sample in samples])
    y: Floats = np.array([float(sample.right) for sample in samples])
    w: Floats = np.array([sample.weight * (1.0 if sample.right else WRONG_WEIGHT) for sample in samples])

    beta: Floats = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (chance - y)) + 2 * RIDGE * beta
        curvature = (x * (w * chance * (1 - chance))[:, None]).T @ x + 2 * RIDGE * np.eye(len(beta))
        beta = beta - np.linalg.solve(curvature, gradient)
    return beta


def left_out(samples: list[Sample]) -> list[tuple[Sample, float]]:
    """Each sample with the confidence by a fit without its family."""
    found: list[tuple[Sample, float]] = []
    for family in sorted({sample.family for sample in samples}):
        beta = fit([sample for sample in samples if sample.family != family])
        for sample in samples:
            if sample.family == family:
                z = float(np.array(sample.features) @ beta)
                found.append((sample, 1 / (1 + float(np.exp(-np.clip(z, -30, 30))))))
    return found


def report(judged: list[tuple[Sample, float]]) -> None:
    """Print how many sure decisions are right, by form."""
    for form in sorted({sample.form for sample, _ in judged}):
        some = [(sample.right, value, sample.case) for sample, value in judged if sample.form == form]
        sure = [(right, case) for right, value, case in some if value >= SURE]
        by_case: defaultdict[str, list[bool]] = defaultdict(list)
        for right, case in sure:
            by_case[case].append(right)
        mean = float(np.mean([np.mean(rights) for rights in by_case.values()]))
        reached = sum(right for right, _ in sure) / max(1, sum(right for right, _, _ in some))
        print(f"{form:30s} {len(sure):6d} sure, right {np.mean([r for r, _ in sure]):.4f}, ", end="")
        print(f"mean over cases {mean:.4f}, of the right ones {reached:.3f} are sure")


def main() -> None:
    cases = [case for case in load_all(FOLDERS.values()) if len(case.source) <= LARGEST]
    cases = [case for case in cases if not case.name.startswith(UNKNOWABLE)]
    with ProcessPoolExecutor() as pool:
        samples = [sample for found in pool.map(collect, cases) for sample in found]
    print(f"{len(samples)} decisions, {sum(not s.right for s in samples)} wrong")
    report(left_out(samples))
    for name, weight in zip(FEATURES, fit(samples), strict=True):
        print(f"    {weight:.3f},  # {name}")


if __name__ == "__main__":
    main()
