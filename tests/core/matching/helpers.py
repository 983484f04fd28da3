"""Short ways to make listings and to match them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.cases import FOLDERS, Case, Order, judge, listings, load
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.matching import match
from wmtui.core.proposal import Facts, Proposal


def listing(shapes: Mapping[str, tuple[int, ...]], name: str = "side") -> Listing:
    return Listing(name, (TensorSpec(key, shape) for key, shape in shapes.items()))


def mapping(proposal: Proposal) -> dict[str, str]:
    return {key: pair.target for key, pair in proposal.pairs.items()}


def case(name: str) -> Case:
    return load(next(path for folder in FOLDERS.values() if (path := folder / f"{name}.json.gz").exists()))


def scores(some: Case, order: Order = "in order", facts: Facts = Facts()) -> tuple[float, float]:  # noqa: B008
    judged = judge(some, mapping(match(*listings(some, order), facts=facts)))
    return judged.recall, judged.precision


def blocks(prefix: str, names: Mapping[str, tuple[int, ...]], count: int = 4) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.{i}.{name}": shape for i in range(count) for name, shape in names.items()}
