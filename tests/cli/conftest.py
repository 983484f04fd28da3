"""The demo's pair, made once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wmtui.cli.demo import make_pair
from wmtui.cli.main import run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    make_pair(folder, force=False)
    shutil.copyfile(Path(__file__).parents[2] / "wmtui/cli/demo/old_model.py", folder / "old_model.py")
    return folder


@pytest.fixture
def pair(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``old_model.pth``, ``old_model.py`` and ``new_model.py``."""
    for path in made.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WMTUI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


class Said:
    """What a run of the command line came to."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def wmtui(capsys):
    """Run the command line in this process."""

    def call(*words: object) -> Said:
        status = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return call
