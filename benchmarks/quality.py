"""Quality of the matching on real pairs: recall, precision, and whether the confidence keeps its word.

``python -m benchmarks quality [pairs] [held] [--settings ...] [--case PART]``. Each case is matched in ``state_dict``
order, with the source sorted by name, with both sides sorted, and with planted look-alikes.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.cases import FOLDERS, ORDERS, Case, Judgement, Order, judge, listings, load_all
from benchmarks.lookalikes import planted
from benchmarks.tables import mean, table
from wmtui.core.groups import skeleton
from wmtui.core.matching import Switches, match

PLANTED = "look-alikes"
SETTINGS: tuple[str, ...] = (*ORDERS, PLANTED)
BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class GroupResult(msgspec.Struct, frozen=True):
    """One group of proposed pairs: keys that differ only in numbers, on both sides."""

    confidence: float
    right: int
    size: int


class Result(msgspec.Struct, frozen=True):
    """One case matched in one setting."""

    case: Case
    setting: str
    judgement: Judgement
    seconds: float
    groups: tuple[GroupResult, ...]
    wrong: tuple[tuple[str, str, float], ...]


def run(case: Case, setting: str = "in order", switches: Switches | None = None) -> Result:
    """Match a case in a setting of :data:`SETTINGS` and judge the proposal."""
    order: Order = "in order"
    if setting == PLANTED:
        case = planted(case)
    else:
        order = next(known for known in ORDERS if known == setting)
    source, target = listings(case, order)
    started = time.perf_counter()
    proposal = match(source, target, switches=switches)
    seconds = time.perf_counter() - started
    pairs = proposal.pairs
    judgement = judge(case, {pair.source: pair.target for pair in pairs.values()})
    members: defaultdict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for key, right in judgement.verdicts.items():
        pair = pairs[key]
        members[skeleton(key), skeleton(pair.target)].append((pair.confidence, right))
    groups = tuple(
        GroupResult(mean(confidence for confidence, _ in group), sum(right for _, right in group), len(group))
        for group in members.values()
    )
    wrong = tuple(
        (key, pairs[key].target, pairs[key].confidence) for key, right in judgement.verdicts.items() if not right
    )
    return Result(case, setting, judgement, seconds, groups, wrong)


def overview(results: Sequence[Result]) -> str:
    """Macro means a setting."""
    rows = []
    for setting in SETTINGS:
        some = [result for result in results if result.setting == setting]
        if some:
            rows.append([setting, *_summary(some), f"{sum(result.seconds for result in some):.1f} s"])
    return table(["setting", "recall", "precision", "without an error", "time"], rows)


def _summary(results: Sequence[Result]) -> list[object]:
    judged = [result.judgement for result in results]
    return [
        f"{mean(j.recall for j in judged):.4f}",
        f"{mean(j.precision for j in judged):.4f}",
        f"{sum(j.perfect for j in judged)}/{len(judged)}",
    ]


def by_family(results: Sequence[Result]) -> str:
    """Macro means a family, over all settings but the planted one."""
    families: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.setting != PLANTED:
            families[result.case.family].append(result)
    return table(
        ["family", "cases", "recall", "precision", "without an error"],
        [
            [family, len({result.case.name for result in some}), *_summary(some)]
            for family, some in sorted(families.items())
        ],
    )


def by_case(results: Sequence[Result]) -> str:
    """Recall and precision of each case in each setting, with its time in order."""
    cases: defaultdict[str, dict[str, Result]] = defaultdict(dict)
    for result in results:
        cases[result.case.name][result.setting] = result
    settings = [setting for setting in SETTINGS if any(setting in done for done in cases.values())]
    rows = []
    for name, done in cases.items():
        first = next(iter(done.values()))
        rows.append(
            [
                name,
                f"{len(first.case.source)} / {len(first.case.target)}",
                *[_short(done[setting].judgement) if setting in done else None for setting in settings],
                f"{first.seconds:.2f} s",
            ]
        )
    return table(["pair", "keys", *settings, "time"], rows)


def _short(judgement: Judgement) -> str:
    return "1" if judgement.perfect else f"{judgement.recall:.3f} / {judgement.precision:.3f}"


def calibration(results: Sequence[Result]) -> str:
    """How many proposals of a confidence are right: each group weighs one, then each case weighs one."""
    rows = [_calibration_row(f"{low:.2f} to {min(high, 1):.2f}", results, low, high) for low, high in _bins()]
    rows.append(_calibration_row("0.9 and more", results, 0.9, 2.0))
    return table(["confidence", "groups", "right", "cases", "right, mean over cases"], rows)


def _bins() -> Iterable[tuple[float, float]]:
    return zip(BINS, (*BINS[1:-1], 2.0), strict=False)


def _calibration_row(label: str, results: Sequence[Result], low: float, high: float) -> list[object]:
    shares = []
    groups: list[GroupResult] = []
    for result in results:
        inside = [group for group in result.groups if low <= group.confidence < high]
        if inside:
            groups += inside
            shares.append(sum(g.right for g in inside) / sum(g.size for g in inside))
    return [
        label,
        len(groups),
        f"{mean(g.right / g.size for g in groups):.4f}" if groups else None,
        len(shares),
        f"{mean(shares):.4f}" if shares else None,
    ]


def reached(results: Sequence[Result]) -> float:
    """Share of the right groups that reach a confidence of 0.9."""
    right = [group for result in results for group in result.groups if group.right == group.size]
    return mean(group.confidence >= 0.9 for group in right)


def worst(results: Sequence[Result], limit: int = 10) -> str:
    """Wrong pairs of the highest confidence, one a group."""
    found: dict[tuple[str, str, str], list[object]] = {}
    for result in results:
        for source, target, confidence in sorted(result.wrong, key=lambda wrong: -wrong[2]):
            key = (result.case.name, skeleton(source), skeleton(target))
            found.setdefault(key, [source, target, confidence, result.case.name, result.setting])
    rows = sorted(found.values(), key=lambda row: -float(str(row[2])))[:limit]
    return table(["source", "proposed", "confidence", "pair", "setting"], rows)


def measure(cases: Iterable[Case], settings: Sequence[str]) -> list[Result]:
    """All cases in all settings."""
    return [run(case, setting) for case in cases for setting in settings]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks quality", description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(FOLDERS), help="pairs, held (both where none is given)")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--case", help="only cases whose names have this in them")
    options = parser.parse_args(arguments)
    everything: list[Result] = []
    for name in options.sets:
        cases = [case for case in load_all([FOLDERS[name]]) if not options.case or options.case in case.name]
        results = measure(cases, options.settings)
        everything += results
        print(f"### Quality on benchmarks/{name}\n")
        for part in (overview(results), by_family(results), by_case(results)):
            print(part)
    print("### Confidence, all sets and settings\n")
    print(calibration(everything))
    print(f"{reached(everything):.1%} of the right groups reach 0.9.\n")
    print("### Wrong pairs of the highest confidence\n")
    print(worst(everything))


if __name__ == "__main__":
    main()
