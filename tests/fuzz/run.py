"""Starts a fuzzer on a corpus that begins with seeds of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris


def run(argv: list[str], one: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz ``one`` until a finding or libFuzzer's own limits; the first argument that is no option is the corpus."""
    folder = next((Path(arg) for arg in argv[1:] if not arg.startswith("-")), None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup(argv, one)
    atheris.Fuzz()
