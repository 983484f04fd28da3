"""The rules of the house that tools do not know: what is imported when, and how long files are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "textual", "numpy", "scipy", "rapidfuzz")


def loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after running the code."""
    script = f"{code}\nimport sys\nprint('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize("flag", ["--help", "--version", "map --help"])
def test_asking_for_help_loads_nothing_heavy(flag):
    words = flag.split()
    assert loaded_after(f"from wmtui.cli.main import run\nassert run({words!r}) == 0") == set()


def test_the_package_and_its_core_load_nothing_heavy():
    modules = [f"wmtui.core.{p.stem}" for p in (ROOT / "wmtui" / "core").glob("*.py") if p.stem != "__init__"]
    assert loaded_after("import wmtui, wmtui.errors, " + ", ".join(modules)) == set()


def test_the_files_package_loads_no_torch():
    modules = [f"wmtui.files.{p.stem}" for p in (ROOT / "wmtui" / "files").glob("*.py") if p.stem != "__init__"]
    assert "torch" not in loaded_after("import " + ", ".join(modules))


def test_no_file_is_longer_than_a_reader_can_hold():
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("wmtui", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}
