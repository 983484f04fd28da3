"""What each kind of evidence is worth: the matching again with one kind turned off at a time.

``python -m benchmarks ablation [pairs] [held]``. Cases of more than 10,000 keys are left out, and so is *look-alikes*
of :mod:`benchmarks.quality`. *Opaque* replaces every name of the source by nonsense, keeping numbers and nesting.
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
SETTINGS = ("in order", "both sorted")
_word = re.compile(r"[^\W\d_]+")


def opaque(case: Case) -> Case:
    """The case with each word of the source's keys replaced by a number of its own, in letters."""
    words: dict[str, str] = {}

    def hide(found: re.Match[str]) -> str:
        return words.setdefault(found[0], "x" + "".join(chr(ord("a") + int(digit)) for digit in str(len(words))))

    names = {row.key: _word.sub(hide, row.key) for row in case.source}
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
    hidden = [opaque(case) for case in cases]
    rows: list[list[str]] = []
    for label, switches in _variants():
        judged = [[run(case, setting, switches).judgement for case in cases] for setting in SETTINGS]
        judged.append([run(case, "in order", switches).judgement for case in hidden])
        rows.append([label, *map(_figures, judged)])
    return table(["evidence", *SETTINGS, "opaque"], rows)


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
