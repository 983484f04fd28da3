"""Sides that lie in files of ``torch.save``: one file, or the shards of one checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from wmtui.core.listing import TensorSpec
from wmtui.errors import FormatError, KeyMissingError, UnsafeError
from wmtui.files.contents import strangers
from wmtui.files.pickle_graph import Node
from wmtui.files.source import Place, Source
from wmtui.files.torch_file import TorchFile
from wmtui.files.torch_tensors import PickledTensor, fits
from wmtui.files.torchscript import script_weights
from wmtui.files.unwrap import Weights, choose, find_weights


class TorchPart(NamedTuple):
    """One file and the dictionary of weights in it."""

    file: TorchFile
    weights: Weights


class TorchSource(Source):
    """One or more files of ``torch.save`` whose tensors make one listing.

    Attributes:
        parts: the files in order. ``part.weights.node`` is the `wmtui.files.pickle_graph` node of the dict (or of the
            pickled module) within ``part.file.graph.root``: rename by its place there.
        index: the index file of a sharded checkpoint; else ``None``.
        owner: key -> (number of its part, tensor, node), in order.
    """

    def __init__(self, location: Path, parts: Sequence[TorchPart], index: Path | None = None) -> None:
        self.location = location
        self.parts = tuple(parts)
        self.index = index
        self.files = tuple(part.file.path for part in parts)
        self.refusal = _refusal(parts)
        self.owner: dict[str, tuple[int, PickledTensor, Node]] = {}
        for i, part in enumerate(parts):
            for key, node, tensor in part.weights.tensors:
                if key in self.owner and self.owner[key][0] != i:
                    raise FormatError(
                        f"{part.file.path}: {key!r} is in another shard too", "remove the file that does not belong"
                    )
                self.owner[key] = (i, tensor, node)

    def place(self, key: str) -> Place:
        if key not in self.owner:
            raise KeyMissingError(f"{self.location.name} has no tensor {key!r}", "take a key of its listing")
        number, tensor, _ = self.owner[key]
        return self.parts[number].file.place(tensor, key)

    def specs(self) -> list[TensorSpec]:
        """The tensors in order, ties known."""
        firsts: dict[object, str] = {}
        specs = []
        sharded = len(self.parts) > 1 or self.index is not None
        for key, (number, tensor, _) in self.owner.items():
            part = self.parts[number]
            identity = (number, *identity_of(tensor))
            first = firsts.setdefault(identity, key) if tensor.nbytes != 0 else key
            specs.append(
                TensorSpec(
                    key, tensor.shape, tensor.dtype, part.weights.kinds.get(key, tensor.kind), tensor.nbytes,
                    None if first == key else first, tensor.type_name, part.file.path.name if sharded else None,
                )
            )  # fmt: skip
        return specs


def identity_of(tensor: PickledTensor) -> tuple[object, ...]:
    """Equal for two tensors of one file that are the same elements in the same order."""
    ref = tensor.storage
    if ref is None:
        return (tensor.identity,)
    return (ref.key, ref.offset, tensor.storage_offset, tensor.shape, tensor.strides, tensor.dtype)


def _refusal(parts: Iterable[TorchPart]) -> str | None:
    for file, _ in parts:
        if file.form == "torchscript":
            return f"{file.path.name} is a TorchScript archive: its names are part of its code"
    return None


def weights_of(file: TorchFile, weights_key: str | None) -> tuple[Weights, list[Weights], tuple[str, ...]]:
    """The dictionary of weights to use, all that there are, and notes on the file.

    Raises:
        FormatError: the file holds no tensors.
        ChoiceError: it holds several dictionaries and none was asked for.
        KeyMissingError: it does not hold the one that was asked for.
    """
    where = str(file.path)
    found = [script_weights(file)] if file.form == "torchscript" else find_weights(file.graph.root, where)
    notes = [*file.notes, *(() if file.form == "torchscript" else strangers(file.graph))]
    if not found or not found[0].tensors:
        if any("would run" in note for note in notes):
            raise UnsafeError(f"{where} holds no tensors; {notes[-1]}", "do not load it")
        raise FormatError(
            f"{where} holds no tensors with names", "name a file that holds a state dict or a whole model"
        )
    chosen = choose(file.graph.root, found, weights_key, where)
    broken = [key for key, _, tensor in chosen.tensors if not fits(tensor)]
    if broken:
        notes.append(f"{len(broken)} tensors reach beyond their storage, such as {broken[0]!r}: the file is damaged")
    return chosen, found, tuple(notes)
