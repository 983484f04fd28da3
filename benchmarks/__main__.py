"""``python -m benchmarks [quality | ablation | scale | effort | screen | rename | peers | all]``: print tables."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import ablation, peers, quality, rename, review_effort, scale, screen

PARTS: dict[str, Callable[[list[str]], object]] = {
    "quality": quality.main,
    "ablation": ablation.main,
    "scale": scale.main,
    "effort": review_effort.main,
    "screen": screen.main,
    "rename": rename.main,
    "peers": peers.main,
}


def main(arguments: list[str]) -> int:
    part, *rest = arguments or ["all"]
    if part == "all" and not rest:
        for measure in PARTS.values():
            measure([])
        return 0
    if part not in PARTS:
        print(f"python -m benchmarks [{' | '.join([*PARTS, 'all'])}]", file=sys.stderr)
        return 2
    PARTS[part](rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
