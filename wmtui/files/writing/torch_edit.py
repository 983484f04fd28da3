"""A torch file written again with other names: everything in it that is not touched stays as it is.

The pickle is read as a graph, its dictionary of weights is changed at its place there, and the graph is written again;
nothing is ever unpickled. Storages are copied as they lie, so that tied tensors stay tied and views stay views.
Files of the old formats come out as zip archives, whole pickled modules as plain state dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wmtui.core.plan import Operation
from wmtui.errors import FormatError, KeyMissingError, PlanError
from wmtui.files.atomic import OutputFile
from wmtui.files.disk import Tick
from wmtui.files.dtypes import nbytes_of
from wmtui.files.folded import FoldedTensor
from wmtui.files.pickle_graph import NO_STATE, Call, Node, Persistent, Table, dict_items, get, string_items
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.regular_file import RegularFile
from wmtui.files.torch_source import TorchPart
from wmtui.files.torch_tensors import PickledTensor, StorageRef, storage_of, storages_of, tensor_of
from wmtui.files.unwrap import Weights, nodes_at, weights_at
from wmtui.files.writing.changes import Changes
from wmtui.files.writing.elements import row_major
from wmtui.files.writing.inputs import Inputs, Wanted, wanted
from wmtui.files.writing.optimizer import rename_optimizers
from wmtui.files.writing.pickle_writer import write_pickle
from wmtui.files.writing.steps import ModuleMap, Steps, modules_of
from wmtui.files.writing.torch_archive import Record, record_of, small_members, write_archive
from wmtui.files.writing.torch_nodes import (
    moved,
    ordered_dict,
    storage_node,
    storage_of_tensor,
    tensor_node,
    without_parameter,
)


class TorchEdit:
    """One file to be written again; what is read stays as it is.

    Args:
        part: the file and its dictionary of weights.
        steps: what becomes of the weights.
        also: paths of further dictionaries with the same keys.
        optimizer: whether optimizer states that are kept by name are renamed too.

    Attributes:
        notes: what to know about the result, one line each.

    Raises:
        InputError: the file has changed, a tensor cannot be transposed, a name is taken by something else, ...
    """

    @no_garbage_collection()
    def __init__(self, part: TorchPart, steps: Steps, also: Sequence[str], optimizer: bool) -> None:
        self.notes: list[str] = []
        self._file = part.file
        self._steps = steps
        self._instead = Changes()
        self._made: dict[str, Wanted] = {}
        self._moved: dict[tuple[object, ...], Node] = {}
        self._tensors: dict[int, Node] = {}
        self._storages: dict[str, StorageRef | FoldedTensor | Wanted] = {}
        further = [self._weights_at(name) for name in also]
        for chosen in (part.weights, *(found for found in further if found.node is not part.weights.node)):
            self._rename(chosen)
        if optimizer:
            self.notes += rename_optimizers(self._file.graph.root, steps.names, self._instead)
        if self._file.form != "zip":
            self.notes.append(
                f"{self._file.path.name} is of an old format; written as a zip archive, torch's format since 1.6"
            )

    def write(self, output: OutputFile, inputs: Inputs, tick: Tick) -> None:
        """Write the file.

        Raises:
            InputError: the source is damaged.
            OSError: the disk is full, ...
        """
        file = self._file
        graph = file.graph
        with RegularFile(file.path) as source:
            with no_garbage_collection():
                pickled = write_pickle(graph.root, graph.protocol, self._persistent, self._folded, self._instead.nodes)
                members = small_members(file, source)
            records = ((key, self._record(key, source)) for key in self._storages)
            write_archive(output, file.top or "archive/", pickled, records, inputs, tick, members)

    # ---- the dictionary

    def _weights_at(self, name: str) -> Weights:
        for path, node in nodes_at(self._file.graph.root, name):
            found = weights_at(path, node, str(self._file.path))
            if found is not None:
                return found
        raise KeyMissingError(f"{self._file.path} has no dictionary of weights at {name!r}", "Check --also.")

    def _rename(self, weights: Weights) -> None:
        """Rename, drop and transform the entries of a dictionary at their places."""
        node = weights.node
        tensors = {key: value for key, value, _ in weights.tensors}
        keys = dict.fromkeys(target for target, _ in self._steps.outputs(tensors))
        if weights.is_module:
            items = [(key, without_parameter(value)) for name in tensors for key, value in self._made_of(name, tensors)]
            self._instead.replace(node, ordered_dict(items))
            self.notes.append("the whole pickled model is written as a plain state dict")
            return
        items = []
        done: set[str] = set()
        for key, value in dict_items(node) or ():
            if isinstance(key, str) and key in tensors:
                if key not in done:
                    done.add(key)
                    items += self._made_of(key, tensors)
            elif isinstance(key, str) and key in keys:
                raise PlanError(
                    f"{key!r} is the name of something else in the same dictionary", "Choose another target name."
                )
            else:
                items.append((key, value))
        self._instead.replace_items(node, items)
        self._rename_metadata(node, tensors, keys)

    def _made_of(self, source: str, tensors: Mapping[str, Node]) -> Iterator[tuple[Node, Node]]:
        """What becomes of an entry: (new key, tensor)."""
        for op in self._steps.of(source):
            yield op.target, self._changed(tensors[source], op)

    def _rename_metadata(self, node: Node, before: Iterable[str], after: Iterable[str]) -> None:
        """Rename the modules in a state dict's ``_metadata``, which tells their versions."""
        old = get(node.state, "_metadata") if isinstance(node, Call) and node.state is not NO_STATE else None
        if dict_items(old) is None:
            return
        names = {key: ops[0].target for key in before if (ops := self._steps.of(key))}
        modules = ModuleMap(names, before)
        renamed: dict[str, Node] = {}
        for module, value in string_items(old):
            new = modules.rename(module)
            if new is not None:
                renamed.setdefault(new, value)
        for module in modules_of(after):
            if module not in renamed:
                version = renamed[module] = Table()
                version.items.append(("version", 1))
        self._instead.replace_items(old, list(renamed.items()))

    # ---- transforms

    def _changed(self, node: Node, op: Operation) -> Node:
        """A tensor's node after a transform; the node itself where there is none."""
        if op.permutation is None and op.shape is None:
            return node
        name = (id(node), op.permutation, op.shape)
        if name not in self._moved:
            self._moved[name] = self._transformed(node, op)
        return self._moved[name]

    def _transformed(self, node: Node, op: Operation) -> Node:
        tensor = tensor_of(node)
        assert tensor is not None
        storage = storage_of_tensor(node)
        in_place = op.permutation is None and tensor.strides == row_major(tensor.shape)
        if storage is not None and op.shape is not None and in_place:
            return moved(node, storage, tensor.storage_offset, op.shape, row_major(op.shape))
        made = wanted(op.source, op, self._file.place(tensor, op.source))
        key = self._free_key()
        self._made[key] = made
        if storage is None:
            return tensor_node(key, made.dtype, made.nbytes, made.shape)
        pid = storage.pid
        location = pid[3] if isinstance(pid, tuple) else "cpu"
        fresh = storage_node(key, made.dtype, made.nbytes, location)
        return moved(node, fresh, 0, made.shape, row_major(made.shape))

    def _free_key(self) -> str:
        """A name for one more storage."""
        if not self._made:
            numbers = (int(ref.key) for ref in storages_of(self._file.graph) if ref.key.isdecimal())
            self._next = max(numbers, default=-1) + 1
        self._next += 1
        return str(self._next - 1)

    # ---- storages

    def _persistent(self, node: Persistent) -> Node:
        """What is written for a persistent id; takes note of the storages."""
        pid = node.pid
        if isinstance(pid, PickledTensor):  # tar files: their tensors lie outside of the pickle
            if id(node) not in self._tensors:
                self._tensors[id(node)] = self._from_tar(pid)
            return self._tensors[id(node)]
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            return pid[1]  # old files keep a class together with its source
        ref = storage_of(node)
        if ref is None or not isinstance(pid, tuple):
            raise FormatError(
                f"{self._file.path}: its pickle refers to something that is no storage", "Load and save it with torch."
            )
        key = ref.key
        if key in self._made:
            self._storages[key] = self._made[key]
            return node
        self._check(key)
        if len(pid) > 5 and pid[5] is not None:  # views of storages, from before 0.4, become storages
            key = f"{key}_{ref.offset}_{ref.numel}"
            self._storages[key] = ref
            return Persistent((*pid[:2], key, pid[3], ref.numel))
        self._storages[key] = ref
        return Persistent(pid[:5]) if len(pid) > 5 else node

    def _folded(self, node: FoldedTensor) -> None:
        """Takes note of a folded tensor's storage."""
        if node.key in self._storages:
            return
        if node.key not in self._made:
            self._check(node.key)
        self._storages[node.key] = self._made.get(node.key, node)

    def _check(self, key: str) -> None:
        if key in self._file.absent:
            raise FormatError(
                f"{self._file.path} does not hold all of the storage {key!r}", "Copy or download the file again."
            )

    def _from_tar(self, tensor: PickledTensor) -> Node:
        ref = tensor.storage
        assert ref is not None
        nbytes = nbytes_of(ref.dtype, ref.numel) or 0
        return tensor_node(ref.key, ref.dtype, nbytes, tensor.shape, tensor.storage_offset, tensor.strides)

    def _record(self, key: str, source: RegularFile) -> Record:
        made = self._storages[key]
        if isinstance(made, Wanted):
            return Record(made.place, made.nbytes, elements=made.elements)
        if isinstance(made, FoldedTensor):
            return record_of(self._file, source, _ref(made))
        record = record_of(self._file, source, made)
        if key == made.key:
            return record
        size = nbytes_of(made.dtype, made.numel) or 0
        place = record.place
        start = place.offset + (nbytes_of(made.dtype, made.offset) or 0)
        return Record(place.__class__(place.path, start, size, key, made.dtype, (made.numel,)), size)


def _ref(node: FoldedTensor) -> StorageRef:
    tensor = tensor_of(node)
    assert tensor is not None
    assert tensor.storage is not None
    return tensor.storage
