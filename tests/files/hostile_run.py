"""Opens the whole corpus in one process of its own, and prints what came of each file as JSON.

Run as ``python -m tests.files.hostile_run FOLDER``. The memory at the end bounds that of every single file, as a
process's peak never falls.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from tests.files.hostile import REFUSED
from wmtui.core.side import SideSpec
from wmtui.errors import WmtuiError
from wmtui.files.open import open_side

SECONDS = 10


class TooLong(Exception):
    """A file took more time of the processor than it may."""


def stop(signum: int, frame: object) -> None:
    raise TooLong


def make_all(root: Path) -> dict[str, str]:
    """Make the corpus, in a child whose memory doesn't count."""
    index = root / "made.json"
    child = os.fork()
    if child == 0:
        made = {}
        for number, (name, make) in enumerate(REFUSED.items()):
            folder = root / str(number)
            folder.mkdir()
            made[name] = str(make(folder))
        index.write_text(json.dumps(made))
        os._exit(0)
    os.waitpid(child, 0)
    found: dict[str, str] = json.loads(index.read_text())
    return found


def main(root: Path) -> None:
    made = make_all(root)
    signal.signal(signal.SIGVTALRM, stop)
    results: dict[str, object] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, location in made.items():
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            opened = open_side(SideSpec(location))
            results[name] = {"location": location, "opened": len(opened.side.listing)}
        except WmtuiError as e:
            results[name] = {"location": location, "kind": type(e).__name__, "message": e.message, "remedy": e.remedy}
        except BaseException as e:
            results[name] = {"location": location, "escaped": repr(e)[:300]}
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"results": results, "before": before, "used": used, "torch": "torch" in sys.modules}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
