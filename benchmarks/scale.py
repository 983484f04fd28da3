"""Time and peak memory of the matching over growing sizes, each size in a process of its own.

``python -m benchmarks scale [SIZE ...]``. The listings are cut from, or grown out of, the mixture-of-experts pair
``hf_deepseek_v3__original`` (61 layers of 256 experts): fewer layers and experts, or more experts.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from benchmarks.cases import FOLDERS, Case, Relation, Row, judge, listings, load
from benchmarks.tables import table

PAIR = "hf_deepseek_v3__original.json.gz"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LAYERS, EXPERTS = 61, 256
_layer = re.compile(r"layers\.(\d+)\.")
_expert = re.compile(r"experts\.(\d+)\.")


def number(pattern: re.Pattern[str], key: str) -> int:
    """The number that the pattern finds in a key, -1 where it finds none."""
    found = pattern.search(key)
    return int(found[1]) if found else -1


def resized(case: Case, keys: int) -> Case:
    """The pair with about ``keys`` keys a side."""
    layers = LAYERS if keys >= 10_000 else 8
    fixed = [row for row in case.source if number(_layer, row.key) < layers and number(_expert, row.key) < 0]
    each = sum(number(_layer, row.key) < layers and number(_expert, row.key) == 0 for row in case.source)
    experts = max(1, round((keys - len(fixed)) / each))
    related = [
        Relation((s,), (t,), relation.op, relation.dim)
        for relation in case.relations
        for s, t in zip(relation.sources, relation.targets, strict=True)
        if number(_layer, s) < layers
    ]
    return msgspec.structs.replace(
        case,
        name=f"{case.name} with {layers} layers of {experts} experts",
        source=_rows(case.source, layers, experts),
        target=_rows(case.target, layers, experts),
        relations=tuple(
            Relation((_put(r.sources[0], i),), (_put(r.targets[0], i),), r.op, r.dim)
            for r in related
            for i in _places(r.sources[0], experts)
        ),
    )


def _rows(rows: Sequence[Row], layers: int, experts: int) -> tuple[Row, ...]:
    return tuple(
        msgspec.structs.replace(row, key=_put(row.key, i))
        for row in rows
        if number(_layer, row.key) < layers
        for i in _places(row.key, experts)
    )


def _places(key: str, experts: int) -> range | tuple[int, ...]:
    """Experts that a key of the original stands for: itself, and the last one all that were added."""
    place = number(_expert, key)
    if place == EXPERTS - 1 and experts > EXPERTS:
        return range(place, experts)
    return (place,) if place < experts else ()


def _put(key: str, expert: int) -> str:
    return _expert.sub(f"experts.{expert}.", key)


def measure_here(keys: int) -> dict[str, float]:
    """Match in this process: keys, seconds of the matching, recall, peak memory in bytes before and after."""
    case = resized(load(FOLDERS["pairs"] / PAIR), keys)
    source, target = listings(case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    from wmtui.core.matching import match  # numpy and scipy belong to the memory, not to the time

    started = time.perf_counter()
    proposal = match(source, target)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    verdict = judge(case, {pair.source: pair.target for pair in proposal.pairs.values()})
    return {"keys": len(source), "seconds": seconds, "recall": verdict.recall, "before": before, "peak": peak}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--here", action="store_true", help="in this process, as JSON")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps([measure_here(size) for size in options.sizes]))
        return
    rows = []
    for size in options.sizes:
        command = [sys.executable, "-m", "benchmarks.scale", "--here", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (found,) = json.loads(done.stdout)
        rows.append(
            [
                f"{found['keys']:,.0f}",
                f"{found['seconds']:.2f} s",
                f"{found['seconds'] / found['keys'] * 1e6:.0f} µs",
                f"{found['peak'] / 1e6:.0f} MB",
                f"{found['before'] / 1e6:.0f} MB",
                found["recall"],
            ]
        )
    print("### Time and memory of the matching, a mixture of experts of growing size\n")
    print(table(["keys a side", "time", "a key", "peak of the process", "before the matching", "recall"], rows))


if __name__ == "__main__":
    main()
