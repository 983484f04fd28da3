"""Layouts: which files a save writes, under which names, and what goes into each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from wmtui.core.listing import Listing
from wmtui.core.plan import Plan, Unmapped
from wmtui.core.printable import plural
from wmtui.errors import InputError
from wmtui.files.dcp import DcpSource
from wmtui.files.quiet_gc import no_garbage_collection
from wmtui.files.safetensors_source import SafetensorsSource
from wmtui.files.sharded import read_index
from wmtui.files.source import OpenedSide, Source
from wmtui.files.torch_source import TorchSource
from wmtui.files.writing.distributed import DistributedEdit
from wmtui.files.writing.inputs import Wanted, place_of, wanted
from wmtui.files.writing.jobs import Job, Make, Outcome, SafetensorsJob, TorchEditJob, TorchFreshJob, aliases_of
from wmtui.files.writing.safetensors_writer import no_such_type, safetensors_entry
from wmtui.files.writing.steps import Steps, steps_of

Format = Literal["source", "safetensors", "torch"]
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "safetensors": (".safetensors",),
    "torch": (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".tar"),
}
_DEFAULT_STEM = {"safetensors": "model", "torch": "pytorch_model"}
_DEFAULT_SUFFIX = {"safetensors": ".safetensors", "torch": ".bin"}
_SHARD = re.compile(r"-\d+-of-\d+$")


class Options(NamedTuple):
    """How to write; see `wmtui.files.writing.write_checkpoint`."""

    format: Format = "source"
    shard_size: int | None = None
    also: tuple[str, ...] = ()
    optimizer: bool = False
    others: Unmapped = "drop"


class Index(NamedTuple):
    """The index of a set: what it says besides, and the new keys in order."""

    metadata: Mapping[str, object]
    keys: tuple[str, ...]

    def encode(self, jobs: Iterable[tuple[str, Job]]) -> bytes:
        """The file's content, given the names of the shards."""
        where = {outcome.key: name for name, job in jobs for outcome in job.outcomes}
        value = {"metadata": self.metadata, "weight_map": {key: where[key] for key in self.keys}}
        return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


class Layout(NamedTuple):
    """What a save writes.

    Attributes:
        path: what the user will open: the file, or the index of a set.
        jobs: each file's path and what goes into it.
        shard_index: what the index says; ``None`` for a single file.
        notes: what to know about the result, one line each.
    """

    path: Path
    jobs: tuple[tuple[Path, Job], ...]
    shard_index: Index | None
    notes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of payload."""
        return sum(job.nbytes for _, job in self.jobs)


def format_of(opened: OpenedSide, chosen: Format) -> Literal["safetensors", "torch", "distributed"]:
    """The format that is written.

    Raises:
        InputError: there are no weights to write, or they cannot be renamed.
    """
    source = opened.source
    if source.refusal:
        raise InputError(
            f"this checkpoint cannot be renamed: {source.refusal}", "Save its weights by themselves first."
        )
    if not source.files:
        raise InputError(
            f"{opened.side.name} holds no weights", "Save the mapping, and apply it where the weights are."
        )
    if chosen != "source":
        return chosen
    if isinstance(source, DcpSource):
        return "distributed"
    return "safetensors" if isinstance(source, SafetensorsSource) else "torch"


def make_distributed(opened: OpenedSide, plan: Plan, options: Options) -> DistributedEdit:
    """Lay the save of a distributed checkpoint out.

    Raises:
        InputError: it cannot be written like this; the message says why.
    """
    assert isinstance(opened.source, DcpSource)
    if options.shard_size is not None:
        raise InputError("a distributed checkpoint keeps its files: it takes no shard size", "Choose a format too.")
    steps = steps_of(plan, options.others)
    expected = {outcome.key: outcome.expected for outcome in _outcomes(opened, steps)}
    return DistributedEdit(opened.source, steps, options.also, options.optimizer, expected)


def _outcomes(opened: OpenedSide, steps: Steps) -> list[Outcome]:
    specs = _specs(opened)
    made = [Outcome(op, specs[op.source]) for _, op in steps.outputs(specs.keys)]
    if not made:
        raise InputError("nothing would be written: every weight is dropped", "Accept some pairs, or keep the rest.")
    return made


@no_garbage_collection()
def make_layout(opened: OpenedSide, plan: Plan, output: Path, options: Options) -> Layout:
    """Lay a save out.

    Raises:
        InputError: it cannot be written like this; the message says why.
    """
    kind = format_of(opened, options.format)
    steps = steps_of(plan, options.others)
    source = opened.source
    made = _outcomes(opened, steps)
    edit = isinstance(source, TorchSource) and kind == "torch" and options.shard_size is None
    if not edit and (options.also or options.optimizer):
        raise InputError(
            "further dictionaries and optimizer states are kept in torch files only", "Leave out format and shard size."
        )
    groups = _by_size(made, options.shard_size) if options.shard_size else _by_file(made, opened)
    notes: list[str] = []
    jobs: list[Job] = []
    for number, outcomes in groups.items():
        if edit:
            jobs.append(_edit_job(opened, number, outcomes, steps, options))
        else:
            jobs.append(_fresh_job(opened, kind, number, outcomes, options, notes))
    if not edit and not isinstance(source, SafetensorsSource) and _has_more(opened):
        notes.append("only the weights are written: what else the checkpoint holds stays behind")
    names = _names(opened, kind, list(groups), options)
    return _place(opened, output, list(zip(names, jobs, strict=True)), made, notes)


def _specs(opened: OpenedSide) -> Listing:
    """All weights of the source, also those that the side leaves out."""
    source, side = opened.source, opened.side
    partial = bool(side.spec.prefix) or side.spec.buffers != "include"
    if partial and isinstance(source, SafetensorsSource | TorchSource | DcpSource):
        return Listing(side.name, source.specs())
    return side.listing


def _by_file(made: Iterable[Outcome], opened: OpenedSide) -> dict[int, list[Outcome]]:
    """Grouped by the file of the source; one group for sources that are no files of tensors."""
    source = opened.source
    groups: dict[int, list[Outcome]] = {}
    for outcome in made:
        key = outcome.op.source
        number = 0
        if isinstance(source, SafetensorsSource):
            number = source.order[key]
        elif isinstance(source, TorchSource):
            number = source.part_of(key)
        groups.setdefault(number, []).append(outcome)
    return dict(sorted(groups.items()))


def _by_size(made: Iterable[Outcome], limit: int) -> dict[int, list[Outcome]]:
    """In order, as many as fit into each shard; a tensor that is larger has one for itself."""
    groups: dict[int, list[Outcome]] = {}
    held = 0
    for outcome in made:
        size = outcome.spec.nbytes or 0
        if not groups or held + size > limit:
            groups[len(groups)] = []
            held = 0
        groups[len(groups) - 1].append(outcome)
        held += size
    return groups


def _edit_job(
    opened: OpenedSide, number: int, outcomes: Sequence[Outcome], steps: Steps, options: Options
) -> TorchEditJob:
    assert isinstance(opened.source, TorchSource)
    part = opened.source.parts[number]
    used = {outcome.op.source for outcome in outcomes}
    unused = sum(tensor.nbytes or 0 for key, _, tensor in part.weights.tensors if key not in used)
    size = max(part.file.size - unused, 0)
    return TorchEditJob(outcomes, size, part, steps, options.also, options.optimizer)


def _fresh_job(
    opened: OpenedSide, kind: str, number: int, outcomes: Sequence[Outcome], options: Options, notes: list[str]
) -> Job:
    source = opened.source
    if kind == "safetensors":
        for outcome in outcomes:
            if safetensors_entry(*outcome.expected) is None:
                raise no_such_type(outcome.op.source, outcome.expected[0])
    make = made_of(source)
    if kind == "torch":
        return TorchFreshJob(outcomes, make)
    metadata: dict[str, str] = {"format": "pt"}
    if isinstance(source, SafetensorsSource):
        metadata = dict(opened.side.metadata if options.shard_size else source.headers[number].metadata)
    copied = {outcome.op.source for outcome in outcomes if outcome.op.kind == "alias"}
    alone = isinstance(source, SafetensorsSource)  # nothing else in it can lie at one place with another
    aliases = aliases_of(make(outcome) for outcome in outcomes if not alone or outcome.op.source in copied)
    if aliases:
        some = next(iter(aliases))
        notes.append(
            f"{plural(len(aliases), 'tied tensor is', 'tied tensors are')} written in full under each name, such as "
            f"{some!r}: safetensors cannot tie them; its metadata tell of which they are copies (safetensors' "
            "load_model needs strict=False for that)"
        )
        metadata |= aliases
    return SafetensorsJob(outcomes, make, metadata, alone)


def made_of(source: Source) -> Make:
    """What looks up of what each tensor of the output is made.

    It raises `InputError` where a tensor's elements are not there as plain elements.
    """

    def make(outcome: Outcome) -> Wanted:
        return wanted(outcome.key, outcome.op, place_of(source, outcome.op.source))

    return cache(make) if isinstance(source, DcpSource) else make  # it looks into its files for each


def _has_more(opened: OpenedSide) -> bool:
    """Whether a torch file holds more than its state dict."""
    side = opened.side
    return bool(side.weights_key) or any(item.kind != "tensor" for _, item in side.contents.items)


def _names(opened: OpenedSide, kind: str, numbers: Sequence[int], options: Options) -> list[str]:
    """Names of the files of a set; those of the source where its layout stays."""
    source = opened.source
    files = source.files
    same = kind == ("safetensors" if isinstance(source, SafetensorsSource) else "torch")
    if same and options.shard_size is None:
        return [files[number].name for number in numbers]
    stem, suffix = _DEFAULT_STEM[kind], _DEFAULT_SUFFIX[kind]
    if len(numbers) == 1:
        return [f"{stem}{suffix}"]
    return [f"{stem}-{i + 1:05d}-of-{len(numbers):05d}{suffix}" for i in range(len(numbers))]


def _place(
    opened: OpenedSide, output: Path, jobs: Sequence[tuple[str, Job]], made: Sequence[Outcome],
    notes: Sequence[str],
) -> Layout:  # fmt: skip
    """Decide on paths: a single file goes where it is asked for, a set into a folder."""
    index_path = index_of(opened)
    is_set = len(jobs) > 1 or (index_path is not None and _is_shard_name(jobs[0][0]))
    as_folder = output.is_dir() or not output.suffix
    if not is_set:
        name, job = jobs[0]
        inside = output.is_dir() or (opened.source.location.is_dir() and not output.suffix)
        return Layout(
            output / name if inside else output, ((output / name if inside else output, job),), None, (*notes,)
        )
    if output.name.endswith(".index.json"):
        folder, index_name = output.parent, output.name
    elif as_folder:
        folder = output
        stem = _SHARD.sub("", Path(jobs[0][0]).stem)
        index_name = f"{stem}{Path(jobs[0][0]).suffix}.index.json"
        if index_path is not None and jobs[0][0] in {file.name for file in opened.source.files}:
            index_name = index_path.name
    else:
        raise InputError(
            f"{plural(len(jobs), 'file')} cannot be written as the one file {output}",
            "Name a folder, or give a shard size that is larger than the checkpoint.",
        )
    metadata: dict[str, object] = dict(read_index(index_path).metadata) if index_path is not None else {}
    metadata["total_size"] = sum(outcome.spec.nbytes or 0 for outcome in made)
    index = Index(metadata, tuple(outcome.key for outcome in made))
    return Layout(folder / index_name, tuple((folder / name, job) for name, job in jobs), index, (*notes,))


def index_of(opened: OpenedSide) -> Path | None:
    """The index of a sharded source."""
    source = opened.source
    return source.index if isinstance(source, SafetensorsSource | TorchSource) else None


def _is_shard_name(name: str) -> bool:
    return _SHARD.search(Path(name).stem) is not None
