"""Checkpoints written by the API: renamed as files where only names changed, from memory where values did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import PickleError
from typing import TYPE_CHECKING, Any, Literal

from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import InputError, WriteError
from wmtui.files.atomic import write_atomically
from wmtui.files.source import OpenedSide

if TYPE_CHECKING:
    import torch

Form = Literal["source", "safetensors", "torch"]


def make_folder(path: str | Path) -> Path:
    """The path, its folder made.

    Raises:
        WriteError: it cannot be made.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path.parent} cannot be made: {error.strerror}", "Choose another output.") from None
    return path


def save_renamed(path: Path, opened: OpenedSide, names: Mapping[str, str]) -> None:
    """Write a file with other names; weights that are not among ``names`` (old -> new) are left out.

    Raises:
        InputError: the format cannot hold it.
        WriteError: it could not be written.
    """
    from wmtui.files.writing import representable, write_checkpoint

    listing = opened.side.listing
    form: Form = "source"
    if path.suffix == ".safetensors" or opened.side.format.startswith("safetensors"):
        form = "torch" if path.suffix in (".pt", ".pth", ".ckpt", ".bin") else "safetensors"
    plan = make_plan(
        listing,
        [(old, new, Transform.NONE) for old, new in names.items() if old in listing],
        unmapped="drop",
        representable=representable(opened, form),
    )
    write_checkpoint(opened, plan, path, force=True, format=form)


def save_values(path: Path, checkpoint: Any, weights: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write what is in memory: the checkpoint as a torch zip, or only the weights as safetensors, by the path's end.

    Raises:
        InputError: safetensors cannot hold it.
        WriteError: it could not be written.
    """
    import torch

    if path.suffix == ".safetensors":
        tensors = _separate(weights)
        with write_atomically(path) as output:
            from safetensors.torch import save_file

            try:
                save_file(tensors, output.path, metadata={"format": "pt"} | dict(metadata))
            except ValueError as error:
                raise InputError(f"{path} cannot be written: {error}", "Save as .pth instead.") from None
        return
    with write_atomically(path) as output, os.fdopen(os.dup(output.fd), "wb") as file:
        try:
            torch.save(checkpoint, file)
        except (AttributeError, TypeError, PickleError) as error:
            raise InputError(f"{path} cannot be written: {error}", "Leave out what cannot be pickled.") from None
        except RuntimeError as error:
            raise WriteError(f"{path} could not be written: {error}", "Is there room on the disk?") from None


def _separate(weights: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors that share no memory: tied ones get a copy each, as safetensors demands."""
    import torch

    made: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for key, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{key!r} is no tensor, which safetensors cannot hold", "Save as .pth instead.")
        storage = value.untyped_storage()._cdata
        made[key] = value.detach().clone().contiguous() if storage in seen else value.detach().contiguous()
        seen.add(storage)
    return made
