"""What each kind of evidence is worth: the matching again with one kind turned off at a time.

``python -m benchmarks ablation [pairs] [held]``. Cases of more than 10,000 keys are left out; without families every
tensor competes with every other, so that this row has the small cases only. *Opaque* replaces the names of the
source's modules by nonsense, keeping numbers and nesting.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import fields, replace

import msgspec

from benchmarks.cases import FOLDERS, Case, Judgement, load_all
from benchmarks.quality import run
from benchmarks.tables import mean, table
from wmtui.core.matching import Switches

LARGEST = 10_000
LARGEST_WITHOUT_FAMILIES = 250
SETTINGS = ("in order", "both sorted")
_word = re.compile(r"[^\W\d_]+")


def opaque(case: Case) -> Case:
    """The case with each word of the source's module paths replaced by a number of its own, in letters.

    Only the last name of a key stays: what a weight and what a bias is, is not a matter of naming style.
    """
    words: dict[str, str] = {}

    def hide(found: re.Match[str]) -> str:
        return words.setdefault(found[0], "x" + "".join(chr(ord("a") + int(digit)) for digit in str(len(words))))

    def renamed(key: str) -> str:
        path, dot, leaf = key.rpartition("." if "." in key else "/")
        return _word.sub(hide, path) + dot + leaf

    names = {row.key: renamed(row.key) for row in case.source}
    return msgspec.structs.replace(
        case,
        source=tuple(msgspec.structs.replace(row, key=names[row.key]) for row in case.source),
        relations=tuple(
            msgspec.structs.replace(relation, sources=tuple(names[key] for key in relation.sources))
            for relation in case.relations
        ),
        source_only=tuple(names[key] for key in case.source_only),
        unknown=tuple(names.get(key, key) for key in case.unknown),
    )


def ablate(cases: Sequence[Case]) -> str:
    """Macro recall, the lowest recall and macro precision, by what is turned off."""
    rows: list[list[str]] = []
    for label, switches in _variants():
        some = cases if switches.families else [case for case in cases if len(case.source) <= LARGEST_WITHOUT_FAMILIES]
        judged = [[run(case, setting, switches).judgement for case in some] for setting in SETTINGS]
        judged.append([run(case, "in order", switches).judgement for case in map(opaque, some)])
        rows.append([label, str(len(some)), *map(_figures, judged)])
    return table(["evidence", "cases", *SETTINGS, "opaque"], rows)


def _variants() -> list[tuple[str, Switches]]:
    everything = Switches()
    return [("all", everything)] + [
        (f"no {field.name}", replace(everything, **{field.name: False})) for field in fields(Switches)
    ]


def _figures(judged: Sequence[Judgement]) -> str:
    recalls = [judgement.recall for judgement in judged]
    precisions = [judgement.precision for judgement in judged]
    return f"{mean(recalls):.3f} / {min(recalls):.2f} / {mean(precisions):.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ablation", description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(FOLDERS), help="pairs, held (both where none is given)")
    options = parser.parse_args(arguments)
    for name in options.sets:
        cases = [case for case in load_all([FOLDERS[name]]) if len(case.source) <= LARGEST]
        print(
            f"### Ablation on {len(cases)} cases of benchmarks/{name}: mean recall / lowest recall / mean precision\n"
        )
        print(ablate(cases))


if __name__ == "__main__":
    main()
