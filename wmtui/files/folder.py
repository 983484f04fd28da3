"""Folders: which of their files make the checkpoint that was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wmtui.errors import ChoiceError, InputError
from wmtui.files.regular_file import access_error
from wmtui.files.source import Source

_STEMS = ("model", "pytorch_model", "diffusion_pytorch_model", "adapter_model", "consolidated")
_KNOWN = (
    *(f"{stem}{end}" for end in (".safetensors.index.json", ".safetensors") for stem in _STEMS),
    *(f"{stem}{end}" for end in (".bin.index.json", ".bin") for stem in _STEMS),
)
"""Names that say which file is meant, best first: safetensors before pickles, an index before a single file."""
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
MAX_ENTRIES = 100_000


def choose_file(folder: Path) -> Path:
    """The file that holds a folder's checkpoint: an index, a single file, or ``.metadata`` of a distributed one.

    Raises:
        ChoiceError: several files may be meant.
        InputError: none is there, or the folder cannot be read.
    """
    names = []
    try:
        for number, entry in enumerate(folder.iterdir()):
            if number >= MAX_ENTRIES:
                raise InputError(f"{folder} has more than {MAX_ENTRIES:,} entries", "name the file in it")
            names.append(entry.name)
    except OSError as e:
        raise access_error(folder, e) from e
    present = set(names)
    if ".metadata" in present:
        return folder / ".metadata"
    for name in _KNOWN:
        if name in present:
            return folder / name
    indices = sorted(name for name in names if name.endswith((".safetensors.index.json", ".bin.index.json")))
    files = sorted(name for name in names if name.lower().endswith(_SUFFIXES))
    for found in (indices, [name for name in files if name.endswith(".safetensors")], files):
        if len(found) == 1:
            return folder / found[0]
        if found:
            raise ChoiceError(f"{folder} holds several checkpoints: {some(found)}", "name one of them", tuple(found))
    nested = sorted(name for name in names if (folder / name).is_dir())
    hint = f"look into its folders: {', '.join(nested[:5])}" if nested else "name a checkpoint file or its folder"
    raise InputError(f"{folder} holds no checkpoint ({', '.join(_SUFFIXES)})", hint)


def other_files(folder: Path, source: Source) -> list[str]:
    """Names of checkpoint files in a folder that are none of those that were opened."""
    used = {file.name for file in source.files}
    return sorted({file.name for file in folder.iterdir() if file.name.lower().endswith(_SUFFIXES)} - used)


def some(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
