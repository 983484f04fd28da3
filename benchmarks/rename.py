"""Renaming against copying: time and peak memory of wmtui, ``cp X Y && sync Y``, and loading and saving.

``python -m benchmarks rename [--gib 2] [--runs 5] [--folder DIR]``. Every way runs in a process of its own; in each
round all ways run one after the other on the same files, and a ratio is that of one round to its own ``cp``. All
outputs are synced. Peak memory is that of the process (``ru_maxrss``) less that of a bare interpreter.

Disks remember what was done to them before: blocks that were never written are slower than those that a removed file
leaves, and removed blocks are given back at the next sync. So one round comes first that does not count, each round
begins with another way, and before each way the last output is removed, all is synced and the source is read once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import line, opening

TENSORS = 300
_LAUNCH = """
import os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print([time.perf_counter() - start, status, usage.ru_maxrss * 1024])
"""
_WMTUI = """
import sys
from pathlib import Path
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.core.side import SideSpec
from wmtui.files.open import open_side
from wmtui.files.writing import write_checkpoint
opened = open_side(SideSpec(sys.argv[1]))
pairs = ((key, "renamed." + key, Transform.NONE) for key in opened.side.listing.keys)
write_checkpoint(opened, make_plan(opened.side.listing, pairs, unmapped="keep"), Path(sys.argv[2]))
"""
_SAFETENSORS = """
import os, sys
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
save_file({"renamed." + key: value for key, value in tensors.items()}, sys.argv[2])
with open(sys.argv[2], "rb+") as file:
    os.fsync(file.fileno())
"""
_SHARDS = """
import os, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
source, target = map(Path, sys.argv[1:])
target.mkdir()
for shard in sorted(source.glob("*.safetensors")):
    tensors = load_file(shard)
    save_file({"renamed." + key: value for key, value in tensors.items()}, target / shard.name)
    with (target / shard.name).open("rb+") as file:
        os.fsync(file.fileno())
"""
_TORCH = """
import os, sys, torch
tensors = torch.load(sys.argv[1], weights_only=True)
with open(sys.argv[2], "wb") as file:
    torch.save({"renamed." + key: value for key, value in tensors.items()}, file)
    file.flush()
    os.fsync(file.fileno())
"""
_TO_TORCH = """
import sys, torch
from safetensors.torch import load_file
torch.save(load_file(sys.argv[1]), sys.argv[2])
"""


def run(command: list[str]) -> tuple[float, int]:
    """Seconds and peak memory in bytes of a process; started by a small one, as a child inherits its parent's peak.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run([sys.executable, "-S", "-c", _LAUNCH, *command], stdout=subprocess.PIPE, check=True)
    seconds, status, peak = json.loads(done.stdout)
    if status:
        raise RuntimeError(f"{' '.join(command)[:200]} failed")
    return seconds, peak


def python(code: str, *arguments: Path) -> list[str]:
    """A command that runs code with this interpreter."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def copy(source: Path, target: Path) -> list[str]:
    """``cp`` and ``sync`` of a file, or of the files in a folder."""
    return ["/bin/sh", "-c", 'cp -r "$1" "$2" && find "$2" -type f -exec sync {} +', "sh", str(source), str(target)]


def make_safetensors(path: Path, nbytes: int, first: int = 0) -> dict[str, str]:
    """A file of float32 tensors of random bytes; its keys with its name."""
    each = max(nbytes // TENSORS // 4, 1)
    header = {
        f"model.layers.{first + i}.weight": {
            "dtype": "F32",
            "shape": [each],
            "data_offsets": [i * each * 4, (i + 1) * each * 4],
        }
        for i in range(TENSORS)
    }
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for at in range(0, each * 4 * TENSORS, len(block)):
            file.write(block[: each * 4 * TENSORS - at])
        file.flush()
        os.fsync(file.fileno())
    return dict.fromkeys(header, path.name)


def make_sources(folder: Path, nbytes: int) -> dict[str, tuple[Path, dict[str, str]]]:
    """The files to rename: what they are called -> (path, code of the way to load and save it by its name)."""
    single = folder / "single.safetensors"
    make_safetensors(single, nbytes)
    shards = folder / "sharded"
    shards.mkdir()
    weight_map: dict[str, str] = {}
    for i in range(4):
        weight_map |= make_safetensors(shards / f"model-{i + 1:05d}-of-00004.safetensors", nbytes // 4, i * TENSORS)
    (shards / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    archive = folder / "archive.pt"
    run(python(_TO_TORCH, single, archive))
    with archive.open("rb+") as file:
        os.fsync(file.fileno())
    return {
        "safetensors": (single, {"safetensors": _SAFETENSORS}),
        "safetensors, 4 shards": (shards, {"safetensors": _SHARDS}),
        "torch zip": (archive, {"torch": _TORCH}),
    }


def remove(path: Path) -> None:
    """Remove a file or folder, and wait until the disk knows."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    os.sync()


def read(path: Path) -> None:
    """Read a file, or the files in a folder, so that they are in memory as far as they fit."""
    block = bytearray(8 << 20)
    for file in path.iterdir() if path.is_dir() else [path]:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(block):
                pass


def measure(folder: Path, gib: float, runs: int) -> None:
    """Make the files, run every way on them and print the table."""
    sources = make_sources(folder, int(gib * (1 << 30)))
    _, bare = run(python("pass"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"### Renaming {gib:g} GiB, median (range) of {runs} rounds; load {load} before\n")
    print(*opening(["what", "how", "seconds", "x cp", "peak above a bare interpreter"]), sep="\n")
    for what, (source, others) in sources.items():
        target = folder / f"out{source.suffix}"
        ways = {"cp && sync": copy(source, target), "wmtui": python(_WMTUI, source, target)}
        ways |= {f"{name} load and save": python(code, source, target) for name, code in others.items()}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        peaks: dict[str, list[int]] = {way: [] for way in ways}
        for turn in range(runs + 1):
            for way in [*ways][turn % len(ways) :] + [*ways][: turn % len(ways)]:
                read(source)
                took, peak = run(ways[way])
                remove(target)
                if turn:
                    seconds[way].append(took)
                    peaks[way].append(peak - bare)
        for way in ways:
            ratios = [mine / base for mine, base in zip(seconds[way], seconds["cp && sync"], strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(line([what, way, f"{statistics.median(seconds[way]):.2f}", ratio, f"{max(peaks[way]) / 1e6:.0f} MB"]))
        remove(source)
    print(flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and measure in a temporary folder that is removed afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rename", description=__doc__)
    parser.add_argument("--gib", type=float, default=2, help="size of each checkpoint")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", help="where to work: on the disk that is to be measured")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.gib, options.runs)


if __name__ == "__main__":
    main()
