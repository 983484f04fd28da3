"""Jobs: each file that a save writes, with what goes into it and how it is read back and checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from wmtui.core.listing import TensorSpec
from wmtui.core.plan import Operation
from wmtui.errors import FormatError, WriteError
from wmtui.files.atomic import OutputFile
from wmtui.files.disk import Tick
from wmtui.files.dtypes import BITS
from wmtui.files.folded import View
from wmtui.files.pickle_graph import Node
from wmtui.files.safetensors_header import Entries, read_header, torch_view
from wmtui.files.source import Place
from wmtui.files.torch_file import TorchFile, read_torch_file
from wmtui.files.torch_source import TorchPart
from wmtui.files.torch_tensors import tensor_of
from wmtui.files.unwrap import Weights, choose, find_weights
from wmtui.files.writing.inputs import Inputs, Wanted
from wmtui.files.writing.pickle_writer import write_pickle
from wmtui.files.writing.safetensors_writer import write_safetensors
from wmtui.files.writing.steps import Steps
from wmtui.files.writing.torch_archive import Record, write_archive
from wmtui.files.writing.torch_edit import TorchEdit
from wmtui.files.writing.torch_nodes import ordered_dict, tensor_node

Expected = tuple[str, tuple[int, ...]]
"""Type and shape of a tensor, in torch's terms."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One tensor to be written: the operation, and the source's tensor."""

    op: Operation
    spec: TensorSpec

    @property
    def key(self) -> str:
        """Its new key."""
        return self.op.target

    @property
    def expected(self) -> Expected:
        """What will stand in the output."""
        return self.spec.dtype, self.op.result(self.spec.shape)


Make = Callable[[Outcome], Wanted]
"""Looks up what a tensor is made of; there may be 100,000, so that nobody keeps them all."""


class Job(ABC):
    """One file to be written.

    Attributes:
        outcomes: its tensors.
        nbytes: of payload, for progress and free space.
        notes: what to know about the result, one line each; complete after `write`.
    """

    def __init__(self, outcomes: Sequence[Outcome], nbytes: int) -> None:
        self.outcomes = tuple(outcomes)
        self.nbytes = nbytes
        self.notes: list[str] = []

    @abstractmethod
    def write(self, output: OutputFile, inputs: Inputs, tick: Tick) -> None:
        """Write the whole file.

        Raises:
            InputError: a source is damaged, or has changed.
            OSError: the disk is full, ...
        """

    @abstractmethod
    def found(self, path: Path) -> Mapping[str, Expected]:
        """What a reader finds in the file that was written."""

    def check(self, path: Path) -> None:
        """Read the written file's own account of its tensors back, and compare it with what was wanted.

        Raises:
            WriteError: they differ.
        """
        try:
            found = self.found(path)
        except FormatError as e:
            raise WriteError(f"what was written cannot be read back: {e.message}", "Try another disk.") from e
        for outcome in self.outcomes:
            if found.get(outcome.key) != outcome.expected:
                raise _differs(outcome.key, outcome.expected, found.get(outcome.key))
        if len(found) != len(self.outcomes):
            key = next(iter(found.keys() - {outcome.key for outcome in self.outcomes}))
            raise _differs(key, None, found[key])

    @abstractmethod
    def places(self, path: Path) -> Callable[[str], Place | None]:
        """What looks up where a written tensor lies; ``None`` for one of an unusual kind."""


def _differs(key: str, expected: Expected | None, found: Expected | None) -> WriteError:
    return WriteError(
        f"{key!r} was written as {found} instead of {expected}", "The source may have changed meanwhile: open it again."
    )


class SafetensorsJob(Job):
    """A safetensors file.

    Args:
        make: what its tensors are made of.
        metadata: its ``__metadata__``.
        keep_order: whether payload stays in the order of the source's, so that it can be copied in one piece; else
            types with large elements come first, so that every element is aligned.
    """

    def __init__(self, outcomes: Sequence[Outcome], make: Make, metadata: Mapping[str, str], keep_order: bool) -> None:
        nbytes = 0
        order: list[int] = []
        files: dict[Path, int] = {}
        for outcome in outcomes:
            tensor = make(outcome)
            nbytes += tensor.nbytes
            file = files.setdefault(tensor.place.path, len(files))
            order.append(file << 64 | tensor.begin if keep_order else -BITS[tensor.dtype])
        super().__init__([outcomes[i] for i in sorted(range(len(outcomes)), key=order.__getitem__)], nbytes)
        self._make = make
        self._metadata = metadata
        self._digest = b""

    def write(self, output: OutputFile, inputs: Inputs, tick: Tick) -> None:
        self._digest = write_safetensors(output, self._tensors, self._metadata, inputs, tick)

    def _tensors(self) -> Iterator[Wanted]:
        return map(self._make, self.outcomes)

    def found(self, path: Path) -> Mapping[str, Expected]:
        header = read_header(path)
        if header.digest != self._digest:
            raise FormatError("its header differs")
        return _Views(header.entries)

    def places(self, path: Path) -> Callable[[str], Place | None]:
        header = read_header(path)

        def place(key: str) -> Place:
            entry = header.entries[key]
            begin, end = entry.data_offsets
            return Place(path, header.data_start + begin, end - begin, key, *torch_view(entry))

        return place


class _Views(Mapping[str, Expected]):
    """Types and shapes in torch's terms of the entries of a header, each when it is asked for."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def __getitem__(self, key: str) -> Expected:
        return torch_view(self._entries[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class _TorchJob(Job):
    """A torch file.

    Args:
        weights_key: path of its dictionary of weights.
    """

    def __init__(self, outcomes: Sequence[Outcome], nbytes: int, weights_key: str) -> None:
        super().__init__(outcomes, nbytes)
        self._weights_key = weights_key

    def found(self, path: Path) -> Mapping[str, Expected]:
        file = read_torch_file(path, to_keep=False)
        if file.notes:
            raise FormatError(file.notes[0])
        known: dict[Expected, Expected] = {}
        found = ((key, (tensor.dtype, tensor.shape)) for key, _, tensor in self._weights(file).tensors)
        return {key: known.setdefault(one, one) for key, one in found}

    def places(self, path: Path) -> Callable[[str], Place | None]:
        file = read_torch_file(path)
        nodes = {key: node for key, node, _ in self._weights(file).tensors}

        def place(key: str) -> Place | None:
            tensor = tensor_of(nodes[key])
            return file.place(tensor, key) if tensor is not None and tensor.type_name is None else None

        return place

    def _weights(self, file: TorchFile) -> Weights:
        found = find_weights(file.graph.root, str(file.path))
        return choose(file.graph.root, found, self._weights_key, str(file.path))


class TorchEditJob(_TorchJob):
    """A torch file that is another one with other names; see `wmtui.files.writing.torch_edit` for the arguments."""

    def __init__(
        self, outcomes: Sequence[Outcome], nbytes: int, part: TorchPart, steps: Steps,
        also: Sequence[str], optimizer: bool,
    ) -> None:  # fmt: skip
        super().__init__(outcomes, nbytes, part.weights.name)
        self._part = part
        self._steps = steps
        self._also = tuple(also)
        self._optimizer = optimizer

    def write(self, output: OutputFile, inputs: Inputs, tick: Tick) -> None:
        edit = TorchEdit(self._part, self._steps, self._also, self._optimizer)
        edit.write(output, inputs, tick)
        self.notes += edit.notes


class TorchFreshJob(_TorchJob):
    """A torch file with nothing but a state dict; tensors that lay on one storage still do.

    Args:
        make: what its tensors are made of.
    """

    def __init__(self, outcomes: Sequence[Outcome], make: Make) -> None:
        self._make = make
        self._storage = array("L")  # the number of each tensor's storage
        self._firsts = array("L")  # the first tensor on each storage
        known: dict[tuple[object, ...], int] = {}
        nbytes = 0
        for number, outcome in enumerate(outcomes):
            tensor = make(outcome)
            place = tensor.place
            whole = (place.path, place.offset, place.nbytes)
            storage = known.setdefault(_identity(tensor) if _is_own(tensor) else whole, len(known))
            self._storage.append(storage)
            if storage == len(self._firsts):
                self._firsts.append(number)
                nbytes += _record(tensor).size
        super().__init__(outcomes, nbytes, "")

    def write(self, output: OutputFile, inputs: Inputs, tick: Tick) -> None:
        views: dict[View, View] = {}
        items: list[tuple[Node, Node]] = []
        for outcome, storage in zip(self.outcomes, self._storage, strict=True):
            tensor = self._make(outcome)
            elements = tensor.elements
            nbytes, offset = tensor.place.nbytes, elements.start // elements.itemsize
            if _is_own(tensor):
                nbytes, offset = tensor.nbytes, 0
            node = tensor_node(str(storage), tensor.dtype, nbytes, tensor.shape, offset)
            node.view = views.setdefault(node.view, node.view)
            items.append((outcome.key, node))
        pickled = write_pickle(ordered_dict(items), 2, lambda node: node)
        records = ((str(i), _record(self._make(self.outcomes[n]))) for i, n in enumerate(self._firsts))
        write_archive(output, "archive/", pickled, records, inputs, tick)


def _is_own(tensor: Wanted) -> bool:
    """Whether a tensor gets a storage that holds nothing else."""
    return not tensor.elements.plain or tensor.place.compressed


def _record(tensor: Wanted) -> Record:
    """What becomes of the storage of a tensor."""
    if _is_own(tensor):
        return Record(tensor.place, tensor.nbytes, elements=tensor.elements)
    return Record(tensor.place, tensor.place.nbytes)


def aliases_of(tensors: Iterable[Wanted]) -> dict[str, str]:
    """Key -> an earlier key with the very same elements."""
    first: dict[bytes, str] = {}
    found = {}
    for tensor in tensors:
        if tensor.nbytes:
            same = blake2b(repr(_identity(tensor)).encode(), digest_size=16).digest()
            name = first.setdefault(same, tensor.key)
            if name != tensor.key:
                found[tensor.key] = name
    return found


def _identity(tensor: Wanted) -> tuple[object, ...]:
    """Equal for tensors with the very same elements; storages of distributed checkpoints all have one name."""
    place = tensor.place
    return str(place.path), place.offset, place.storage, tensor.elements
