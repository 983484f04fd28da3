"""Distributed checkpoints written again: their metadata with other names, their data files copied as they are.

Data files hold tensors without names, so that only ``.metadata`` changes (`wmtui.files.dcp` tells the format). The
exceptions are lists of parameters of an optimizer, and tensors that are transposed or reshaped: they are written anew,
whole, into a file of their own. Data that nothing refers to any more are left out of the copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wmtui.errors import FormatError, KeyMissingError, PlanError, WriteError
from wmtui.files.atomic import stage_folder, write_atomically, write_bytes
from wmtui.files.dcp import METADATA, DcpSource, read_distributed
from wmtui.files.disk import Tick
from wmtui.files.pickle_graph import Call, Node, Table, dict_items
from wmtui.files.pickled_modules import attributes
from wmtui.files.regular_file import RegularFile
from wmtui.files.torch_file import read_torch_part
from wmtui.files.torch_tensors import tensor_of
from wmtui.files.unwrap import Weights, choose, find_weights, nodes_at, weights_at
from wmtui.files.writing.changes import Changes
from wmtui.files.writing.inputs import UNCHANGED, Inputs, Wanted, place_of, wanted
from wmtui.files.writing.jobs import Expected
from wmtui.files.writing.pickle_writer import write_pickle
from wmtui.files.writing.steps import Steps
from wmtui.files.writing.torch_archive import Record, write_archive
from wmtui.files.writing.torch_nodes import size_node, tensor_node
from wmtui.files.writing.verify import same_elements

Path_ = tuple[Node, ...]


class _Name(NamedTuple):
    """A new flat name, its path in the nested state dict, and what it is made of where it is not a copy."""

    flat: str
    path: Path_
    made: Wanted | None = None


class _Span(NamedTuple):
    file: str
    offset: int
    length: int


class DistributedEdit:
    """A folder to be written again.

    Args:
        source: the folder that was opened.
        steps: what becomes of the weights.
        also: paths of further dictionaries with the same keys.
        optimizer: whether optimizer states that are kept by name are renamed too.
        expected: type and shape of each weight by its new key.

    Attributes:
        nbytes: of the data that will be copied.
        notes: what to know about the result, one line each.

    Raises:
        InputError: it cannot be written like this.
    """

    def __init__(
        self, source: DcpSource, steps: Steps, also: Sequence[str], optimizer: bool, expected: Mapping[str, Expected]
    ) -> None:
        self.notes: list[str] = []
        self._folder = source.checkpoint.folder
        self._weights_key = source.weights.name
        self._expected = expected
        self._graph = source.checkpoint.graph
        found = attributes(self._graph.root) or {}
        self._entries = dict_items(found.get("state_dict_metadata")) or []
        self._paths = dict(dict_items(found.get("planner_data")) or ())
        self._stored = dict_items(found.get("storage_data")) or []
        self._tables = [found.get(name) for name in ("state_dict_metadata", "planner_data", "storage_data")]
        self._new: dict[str, list[_Name]] = {}
        for weights in (source.weights, *(self._weights_at(source, name) for name in also)):
            self._rename(source, weights, steps)
        self._lists: set[str] = set()
        if optimizer:
            names = steps.names
            self._rename_optimizer(names)
        self._names = steps.names if optimizer else {}
        self._refuse_collisions()
        self._kept = self._kept_spans()
        self._changed = {name.flat: name.made for names in self._new.values() for name in names if name.made}
        self.nbytes = sum(span.length for spans in self._kept.values() for span in spans)
        self.nbytes += sum(made.nbytes for made in self._changed.values())

    # ---- names

    def _weights_at(self, source: DcpSource, name: str) -> Weights:
        for path, node in nodes_at(source.checkpoint.root, name):
            found = weights_at(path, node, str(self._folder))
            if found is not None:
                return found
        raise KeyMissingError(f"{self._folder} has no dictionary of weights at {name!r}", "Check --also.")

    def _rename(self, source: DcpSource, weights: Weights, steps: Steps) -> None:
        flat = {key: str(tensor.identity) for key, _, tensor in weights.tensors}
        for name in flat.values():
            self._new[name] = []
        held = DcpSource(source.location, source.checkpoint, weights)
        for target, op in steps.outputs(flat):
            old = flat[op.source]
            new = self._named((*self._path(old)[:-1], target))
            if op.permutation is not None or op.shape is not None:
                new = new._replace(made=wanted(target, op, place_of(held, op.source)))
            self._new[old].append(new)

    def _path(self, flat: str) -> Path_:
        path = self._paths.get(flat)
        return path if isinstance(path, tuple) and path else (flat,)

    @staticmethod
    def _named(path: Path_) -> _Name:
        return _Name(".".join(map(str, path)), path)

    def _rename_optimizer(self, names: Mapping[str, str]) -> None:
        count = 0
        for flat, _ in self._entries:
            if not isinstance(flat, str) or flat in self._new:
                continue
            path = self._path(flat)
            if path[-1:] == ("params",) and "param_groups" in path:
                self._lists.add(flat)
            renamed = tuple(_in_optimizer(path, i, names) for i in range(len(path)))
            if renamed != path:
                self._new[flat] = [self._named(renamed)]
                count += 1
        self.notes.append(f"renamed {count} entries of the optimizer's state")

    def _refuse_collisions(self) -> None:
        taken: set[str] = set()
        for flat, _ in self._entries:
            for name in self._targets(str(flat)):
                if name.flat in taken:
                    raise PlanError(
                        f"two entries of the checkpoint would become {name.flat!r}", "Choose other targets."
                    )
                taken.add(name.flat)

    def _targets(self, flat: str) -> list[_Name]:
        return self._new.get(flat, [_Name(flat, self._path(flat))])

    # ---- data

    def _spans(self) -> Iterator[tuple[str, Call, Call, _Span]]:
        """(flat name, index node, info node, span) of each stored entry."""
        for index, info in self._stored:
            at, held = attributes(index) or {}, attributes(info) or {}
            name, file, offset, length = (
                at.get("fqn"),
                held.get("relative_path"),
                held.get("offset"),
                held.get("length"),
            )
            if not (isinstance(name, str) and isinstance(file, str)) or not (
                isinstance(offset, int) and isinstance(length, int)
            ):
                raise FormatError(f"{self._folder / METADATA} is damaged", "Copy the whole folder again.")
            assert isinstance(index, Call)
            assert isinstance(info, Call)
            yield name, index, info, _Span(file, offset, length)

    def _kept_spans(self) -> dict[str, list[_Span]]:
        """Each data file's parts that are copied, in order; all of it where nothing is dropped."""
        kept: dict[str, set[_Span]] = {}
        for name, _, _, span in self._spans():
            kept.setdefault(span.file, set())
            if any(target.made is None for target in self._targets(name)):
                kept[span.file].add(span)
        return {file: sorted(spans) for file, spans in kept.items() if spans}

    def write(self, output: Path, verify: bool, tick: Tick) -> int:
        """Write the folder; its bytes.

        Raises:
            WriteError: the disk is full, what was written reads back differently, ...
        """
        with stage_folder(output) as place:
            total = 0
            moved: dict[_Span, _Span] = {}
            for file, spans in self._kept.items():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                with write_atomically(place / file) as out, RegularFile(self._folder / file) as source:
                    for span in spans:
                        moved[span] = span._replace(offset=out.size)
                        out.append_from(source, span.offset, span.length, tick)
                    total += out.size
            for number, name in enumerate(sorted(self._lists)):
                total += self._write_list(place, number, name, moved, tick)
            made = self._write_changed(place, tick)
            total += sum(span.length for span in made.values())
            changes = self._changed_metadata(moved, made)
            pickled = write_pickle(self._graph.root, self._graph.protocol, lambda n: n, instead=changes.nodes)
            total += write_bytes(place / METADATA, pickled)
            self._check(place)
            if verify:
                self._compare(place, moved, made, tick)
        return total

    def _write_list(self, place: Path, number: int, name: str, moved: dict[_Span, _Span], tick: Tick) -> int:
        """Write an optimizer's list of parameters again, into a file of its own; its bytes."""
        (old,) = [span for found, _, _, span in self._spans() if found == name]
        part = read_torch_part(self._folder / old.file, old.offset, old.length)
        if not isinstance(part.graph.root, list):
            return 0
        renamed = [self._names.get(item, item) if isinstance(item, str) else item for item in part.graph.root]
        path = place / f"__renamed_{number}.distcp"
        with write_atomically(path) as out, Inputs(place) as inputs:
            pickled = write_pickle(renamed, part.graph.protocol, lambda node: node)
            write_archive(out, "archive/", pickled, [], inputs, tick)
            size = out.size
        moved[old] = _Span(path.name, 0, size)
        return size

    def _write_changed(self, place: Path, tick: Tick) -> dict[str, _Span]:
        """Write what is transposed or reshaped, one archive after the other; flat name -> its place."""
        spans: dict[str, _Span] = {}
        if not self._changed:
            return spans
        path = place / "__transformed_0.distcp"
        with write_atomically(path) as out, Inputs(place) as inputs:
            for name, made in self._changed.items():
                start = out.size
                root = tensor_node("0", made.dtype, made.nbytes, made.shape)
                record = Record(made.place, made.nbytes, elements=made.elements)
                pickled = write_pickle(root, 2, lambda node: node)
                write_archive(out, "archive/", pickled, [("0", record)], inputs, tick)
                spans[name] = _Span(path.name, start, out.size - start)
        return spans

    def _changed_metadata(self, moved: Mapping[_Span, _Span], made: Mapping[str, _Span]) -> Changes:
        entries: list[tuple[Node, Node]] = [
            (name.flat, entry if name.made is None else _whole(entry, name.made.shape))
            for flat, entry in self._entries
            for name in self._targets(str(flat))
        ]
        paths: list[tuple[Node, Node]] = [
            (name.flat, name.path) for flat in self._paths for name in self._targets(str(flat))
        ]
        stored: dict[object, tuple[Node, Node]] = {}
        for flat, index, info, span in self._spans():
            for name in self._targets(flat):
                new = moved[span] if name.made is None else made[name.flat]
                at: dict[str, Node] = {"fqn": name.flat}
                if name.made is not None:
                    at |= {"offset": size_node((0,) * len(name.made.shape)), "index": 0}
                place: dict[str, Node] = {"relative_path": new.file, "offset": new.offset, "length": new.length}
                chunk = name.flat if name.made is not None else (name.flat, len(stored))  # one for all chunks it had
                stored.setdefault(chunk, (_with(index, **at), info if new == span else _with(info, **place)))
        changes = Changes()
        for table, items in zip(self._tables, (entries, paths, list(stored.values())), strict=True):
            changes.replace_items(table, items)
        return changes

    def _check(self, place: Path) -> None:
        """Read the written metadata back and compare."""
        checkpoint = read_distributed(place / METADATA)
        found = choose(checkpoint.root, find_weights(checkpoint.root, str(place)), self._weights_key, str(place))
        if {key: (tensor.dtype, tensor.shape) for key, _, tensor in found.tensors} != self._expected:
            raise WriteError("what was written reads back differently", "The source may have changed: open it again.")

    def _compare(self, place: Path, moved: Mapping[_Span, _Span], made: Mapping[str, _Span], tick: Tick) -> None:
        """Compare all data with the source's."""
        for old, new in moved.items():
            if new.file.startswith("__renamed_"):
                continue
            with RegularFile(self._folder / old.file) as source, RegularFile(place / new.file) as written:
                for at in range(0, old.length, 1 << 20):
                    size = min(1 << 20, old.length - at)
                    if source.read_at(old.offset + at, size) != written.read_at(new.offset + at, size):
                        raise _other(new.file)
                    tick(size)
        for name, span in made.items():
            part = read_torch_part(place / span.file, span.offset, span.length)
            tensor = tensor_of(part.graph.root)
            with Inputs(place) as inputs, RegularFile(place / span.file) as written:
                again = wanted(name, UNCHANGED, part.place(tensor, name)) if tensor is not None else None
                if again is None or not same_elements(written, again, self._changed[name], inputs, tick):
                    raise _other(span.file)


def _other(file: str) -> WriteError:
    return WriteError(f"{file} reads back other than it was written", "Try another disk.")


def _whole(entry: Node, shape: tuple[int, ...]) -> Node:
    """The metadata of a tensor that has another shape, in one chunk."""
    assert isinstance(entry, Call)
    chunks = (attributes(entry) or {}).get("chunks")
    assert isinstance(chunks, (list, tuple))
    assert isinstance(chunks[0], Call)
    chunk = _with(chunks[0], offsets=size_node((0,) * len(shape)), sizes=size_node(shape))
    return _with(entry, size=size_node(shape), chunks=[chunk])


def _in_optimizer(path: Path_, i: int, names: Mapping[str, str]) -> Node:
    """One part of the path of an optimizer's entry, with a weight's name in it renamed."""
    part = path[i]
    if not isinstance(part, str):
        return part
    if i > 0 and path[i - 1] in ("state", "param_groups"):
        return names.get(part, part)
    head, dot, rest = part.partition(".")
    if dot and head in ("state", "param_groups"):
        pieces = rest.split(".")
        for n in range(len(pieces), 0, -1):
            key = ".".join(pieces[:n])
            if key in names:
                return ".".join([head, names[key], *pieces[n:]])
    return part


def _with(node: Call, **changes: Node) -> Call:
    """A copy of a pickled object with some attributes changed."""
    state = node.state
    slots = state[1] if isinstance(state, tuple) and len(state) == 2 else None
    before = dict_items(state[0] if isinstance(state, tuple) and len(state) == 2 else state) or []
    table = Table()
    table.items = [(key, changes.get(key, value) if isinstance(key, str) else value) for key, value in before]
    made = Call(node.how, node.func, node.args)
    made.kwargs = node.kwargs
    made.state = (table, slots) if isinstance(state, tuple) else table
    return made
