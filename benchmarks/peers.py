"""The same pairs by the other mapping tools of the package index, side by side in one run.

``python -m benchmarks peers [pairs] [held] [--limit 90]``. The peers live in an environment of their own, which this
makes in the user's cache folder the first time. Each tool gets each pair in a process of its own, stopped after the
limit; the seconds are those of the matching. ``lit-wsl`` runs with its defaults, buffers included; ``weightbridge``
with unmatched keys allowed, and where it gives up, the pairs that it had found by then count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import msgspec
import platformdirs

from benchmarks.cases import FOLDERS, Case, Judgement, judge, listings, load_all
from benchmarks.tables import line, mean, opening

PACKAGES = ("lit-wsl==0.3.3", "weightbridge==0.0.4")
CONSTRAINT = "torch==2.13.0"
TOOLS = ("wmtui", "lit-wsl", "weightbridge")
LIMIT = 90.0

_SIDES = """
import json, sys, time
sides = [[(key, tuple(shape)) for key, shape in side] for side in json.load(open(sys.argv[1]))]
def done(mapping, seconds, note=""):
    json.dump({"mapping": mapping, "seconds": seconds, "note": note}, open(sys.argv[2], "w"))
"""
_RUNNERS = {
    "wmtui": """
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.matching import match
source, target = (Listing("side", [TensorSpec(key, shape) for key, shape in side]) for side in sides)
started = time.perf_counter()
pairs = match(source, target).pairs
done({key: pair.target for key, pair in pairs.items()}, time.perf_counter() - started)
""",
    "lit-wsl": """
import torch
from lit_wsl.mapper.weight_mapper import WeightMapper
source, target = ({key: torch.empty(shape, device="meta") for key, shape in side} for side in sides)
started = time.perf_counter()
mapper = WeightMapper(source_params=source, target_params=target, buffer_matching_mode="lenient")
mapping = mapper.suggest_mapping(validate_outputs=False).get_mapping()
done(dict(mapping), time.perf_counter() - started)
""",
    "weightbridge": """
import numpy, weightbridge, weightbridge.matcher as matcher
found = []
class State(matcher.State):
    def pair_node(self, source, target):
        super().pair_node(source, target)
        if source.is_leaf():
            found.append((source.full_prefix, target.full_prefix))
matcher.State = State
zero = numpy.zeros((), "float32")
source, target = ({key: numpy.broadcast_to(zero, shape) for key, shape in side} for side in sides)
note, started = "", time.perf_counter()
try:
    weightbridge.adapt(source, target, ignore_unmatched_inputs=True, ignore_unmatched_outputs=True)
except Exception as error:
    note = "gave up"
prefix = len(matcher.LOAD_PREFIX) + 1
done({s[prefix:]: t[prefix:] for s, t in found}, time.perf_counter() - started, note)
""",
}


class Outcome(msgspec.Struct, frozen=True):
    """What one tool made of one case: the judgement and seconds, and a note where it did not finish."""

    judgement: Judgement
    seconds: float | None
    note: str = ""

    def words(self) -> str:
        """The outcome for a cell of the table."""
        if self.seconds is None:
            return self.note
        figures = f"{self.judgement.recall:.3f} / {self.judgement.precision:.3f}, {self.seconds:.1f} s"
        return f"{figures}, {self.note}" if self.note else figures


def environment() -> Path:
    """The interpreter that has the peers, made and filled the first time.

    Raises:
        subprocess.CalledProcessError: the packages cannot be installed.
    """
    folder = Path(platformdirs.user_cache_dir("wmtui")) / "peers"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    ready = folder / "ready.txt"
    wanted = " ".join((*PACKAGES, CONSTRAINT))
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", CONSTRAINT, *PACKAGES], check=True)
        ready.write_text(wanted, "utf-8")
    return python


def run(tool: str, python: Path | str, case: Case, limit: float = LIMIT) -> Outcome:
    """Let one tool map one case in a process of its own."""
    sides = [[(spec.key, spec.shape) for spec in side] for side in listings(case)]
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "sides.json", Path(folder) / "mapping.json"
        given.write_text(json.dumps(sides), "utf-8")
        command = [str(python), "-c", _SIDES + _RUNNERS[tool], str(given), str(made)]
        started = time.perf_counter()
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return Outcome(judge(case, {}), None, f"stopped after {time.perf_counter() - started:.0f} s")
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or [f"exit {ended.returncode}"])[-1]
            return Outcome(judge(case, {}), None, f"failed: {last[:80]}")
        answer = json.loads(made.read_text("utf-8"))
    return Outcome(judge(case, answer["mapping"]), answer["seconds"], answer["note"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(FOLDERS), help="pairs, held (both where none is given)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which a tool is stopped")
    parser.add_argument("--case", help="only cases whose names have this in them")
    options = parser.parse_args(arguments)
    pythons = dict.fromkeys(TOOLS[1:], environment()) | {"wmtui": Path(sys.executable)}
    for name in options.sets:
        print(f"### Peers on benchmarks/{name}: recall / precision, seconds of matching\n")
        print(*opening(["pair", "one-to-one keys", *TOOLS]), sep="\n", flush=True)
        outcomes: dict[str, list[Outcome]] = {tool: [] for tool in TOOLS}
        for case in load_all([FOLDERS[name]]):
            if options.case and options.case not in case.name:
                continue
            for tool in TOOLS:
                outcomes[tool].append(run(tool, pythons[tool], case, options.limit))
            wanted = outcomes[TOOLS[0]][-1].judgement.wanted
            print(line([case.name, wanted, *(outcomes[tool][-1].words() for tool in TOOLS)]), flush=True)
        print(line(["**macro mean**", "", *(_means(outcomes[tool]) for tool in TOOLS)]), end="\n\n", flush=True)


def _means(outcomes: Sequence[Outcome]) -> str:
    judged = [outcome.judgement for outcome in outcomes]
    perfect = sum(j.perfect for j in judged)
    return (
        f"**{mean(j.recall for j in judged):.3f} / {mean(j.precision for j in judged):.3f}**, "
        f"{perfect} of {len(judged)} without an error"
    )


if __name__ == "__main__":
    main()
