"""Sides that lie in files of ``torch.save``: one file, or the shards of one checkpoint."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from wmtui.core.listing import TensorSpec
from wmtui.core.printable import plural
from wmtui.errors import FormatError, KeyMissingError, UnsafeError
from wmtui.files.contents import strangers
from wmtui.files.regular_file import RegularFile
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
    """

    def __init__(self, location: Path, parts: Sequence[TorchPart], index: Path | None = None) -> None:
        self.location = location
        self.parts = tuple(parts)
        self.index = index
        self.files = tuple(part.file.path for part in parts)
        self.refusal = _refusal(parts)
        self._starts = [0, *accumulate(len(part.weights.tensors) for part in parts)]
        self._numbers: dict[str, int] = {}
        if len(parts) > 1:
            self._look_up()

    def part_of(self, key: str) -> int:
        """The number of the part that holds a listed tensor."""
        return bisect_right(self._starts, self._numbers[key]) - 1 if len(self.parts) > 1 else 0

    def place(self, key: str) -> Place:
        if not self._numbers:
            self._look_up()
        if key not in self._numbers:
            raise KeyMissingError(f"{self.location.name} has no tensor {key!r}", "take a key of its listing")
        number = self.part_of(key)
        part = self.parts[number]
        _, _, tensor = part.weights.tensors[self._numbers[key] - self._starts[number]]
        return part.file.place(tensor, key)

    def changed(self) -> Path | None:
        for part in self.parts:
            with RegularFile(part.file.path) as file:
                if file.stamp != part.file.stamp:
                    return part.file.path
        return None

    def _look_up(self) -> None:
        """Number the tensors of all parts, by their keys."""
        for i, part in enumerate(self.parts):
            for number, (key, _, _) in enumerate(part.weights.tensors, self._starts[i]):
                if self._numbers.setdefault(key, number) < self._starts[i]:
                    raise FormatError(
                        f"{part.file.path}: {key!r} is in another shard too", "remove the file that does not belong"
                    )
                self._numbers[key] = number

    def specs(self) -> list[TensorSpec]:
        """The tensors in order, ties known."""
        specs: dict[str, TensorSpec] = {}  # a module may have a key twice: the last counts
        sharded = len(self.parts) > 1 or self.index is not None
        ties = self._ties()
        for part in self.parts:
            for key, _, tensor in part.weights.tensors:
                specs[key] = TensorSpec(
                    key, tensor.shape, tensor.dtype, part.weights.kinds.get(key, tensor.kind), tensor.nbytes,
                    ties.get(key), tensor.type_name, part.file.path.name if sharded else None,
                )  # fmt: skip
        return list(specs.values())

    def _ties(self) -> dict[str, str]:
        """Key of a tied tensor -> the first key of the same tensor."""
        firsts: dict[object, str] = {}
        ties: dict[str, str] = {}
        for number, part in enumerate(self.parts):
            for key, _, tensor in part.weights.tensors:
                first = firsts.setdefault((number, *identity_of(tensor)), key) if tensor.nbytes != 0 else key
                if first != key:
                    ties[key] = first
        return ties


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
        reach = plural(len(broken), "tensor reaches beyond its", "tensors reach beyond their")
        notes.append(f"{reach} storage, such as {broken[0]!r}: the file is damaged")
    return chosen, found, tuple(notes)
