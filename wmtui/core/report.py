"""Reports and mappings as JSON: what a review leaves behind, and what ``apply`` and ``--mapping-in`` read again.

A *mapping* is a plain object ``{source key: target key}``. A *report* (``wmtui-report/1``) says besides how sure each
pair is, who decided it, what is left over, and by which rules other files with the same names can be renamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any, Literal

import msgspec

from wmtui.errors import FormatError

from .forecast import Forecast
from .listing import Listing, TensorSpec
from .plan import Plan
from .printable import plural, printable, shortened
from .proposal import Proposal, Rule, Score, Transform
from .session import Status

FORMAT = "wmtui-report/1"
MAX_BYTES = 512 * 1024 * 1024
"""Largest mapping or report that is read: a report of 100,000 pairs takes about 40 MB."""


class ReportPair(msgspec.Struct, frozen=True, gc=False):
    """One entry of a report's ``mappings``; scores are the documented composite and its parts."""

    source: str
    target: str
    score: float
    confidence: float
    shape_score: float
    name_score: float
    hierarchy_score: float
    source_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    transform: Transform = Transform.NONE
    status: Status = Status.PROPOSED
    decided_by: Literal["matcher", "user"] = "matcher"
    reasons: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """A report, field by field as it stands in the file.

    Attributes:
        coverage: matched source keys in proportion to all source keys, 0 to 1.
        threshold: least documented score that a pair had to have; ``None`` where none was asked for.
        unmatched_source: all source keys that are in no pair, the ambiguous ones among them.
        ambiguous: source key -> its equally good targets.
        aliases: further name -> the source key whose tensor is written under it too (tied tensors of the target).
        warnings: what a checkpoint that is renamed like this holds besides its weights and does not fit any more.
    """

    source_model: str
    target_model: str
    source_params_count: int
    target_params_count: int
    matched_count: int
    coverage: float
    threshold: float | None
    strategy: str
    mappings: tuple[ReportPair, ...]
    unmatched_source: tuple[str, ...]
    unmatched_target: tuple[str, ...]
    ambiguous: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, str]
    rules: tuple[Rule, ...]
    forecast: Forecast | None
    source_digest: str
    target_digest: str
    warnings: tuple[str, ...] = ()
    format: str = FORMAT


def report_pair(
    source: TensorSpec,
    target: TensorSpec,
    score: Score,
    confidence: float,
    *,
    transform: Transform = Transform.NONE,
    status: Status = Status.PROPOSED,
    by_user: bool = False,
    reasons: tuple[str, ...] = (),
) -> ReportPair:
    """One entry of ``mappings``, with the reasons that `explained` found."""
    return ReportPair(
        source.key,
        target.key,
        score.total,
        confidence,
        score.shape,
        score.name,
        score.hierarchy,
        source.shape,
        target.shape,
        transform,
        status,
        "user" if by_user else "matcher",
        reasons,
    )


def explained(proposal: Proposal) -> dict[tuple[str, str], tuple[str, ...]]:
    """(source key, target key) -> the matcher's reasons; the pairs of one rule share those of the first."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for rule in proposal.rules:
        pairs = rule.pairs()
        source, target = pairs[0]
        for candidate in proposal.candidates(source, 2):
            if candidate.target == target:
                found.update(dict.fromkeys(pairs, tuple(evidence.text for evidence in candidate.evidence)))
    return found


def build_report(
    source: Listing,
    target: Listing,
    pairs: Iterable[ReportPair],
    *,
    proposal: Proposal | None = None,
    plan: Plan | None = None,
    forecast: Forecast | None = None,
    threshold: float | None = None,
    strategy: str = "best_match",
    warnings: tuple[str, ...] = (),
) -> Report:
    """Put a report together.

    Args:
        pairs: the mapping as it is saved, in the source's order.
        proposal: for the rules and the ambiguous keys; rules keep only the pairs that are in the mapping.
        plan: what is written, for the aliases.
    """
    mappings = tuple(pairs)
    mapped = {pair.source: pair.target for pair in mappings}
    reached = set(mapped.values())
    aliases = plan.aliases if plan is not None else {}
    return Report(
        source.name,
        target.name,
        len(source),
        len(target),
        len(mappings),
        len(mappings) / len(source) if len(source) else 0.0,
        threshold,
        strategy,
        mappings,
        tuple(spec.key for spec in source if spec.key not in mapped),
        tuple(spec.key for spec in target if spec.key not in reached and spec.key not in aliases),
        {s: t for s, t in proposal.ambiguous.items() if s not in mapped} if proposal is not None else {},
        aliases,
        _standing_rules(proposal, mapped) if proposal is not None else (),
        forecast,
        source.digest,
        target.digest,
        warnings,
    )


def _standing_rules(proposal: Proposal, mapped: Mapping[str, str]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for rule in proposal.rules:
        indices = tuple(entry for entry, (s, t) in zip(rule.indices, rule.pairs(), strict=True) if mapped.get(s) == t)
        if indices:
            rules.append(msgspec.structs.replace(rule, indices=indices))
    return tuple(rules)


def encode_report(report: Report) -> bytes:
    """The report as JSON, ``format`` first, one pair a line."""
    names = ["format", *(name for name in report.__struct_fields__ if name != "format")]
    return b"".join(_object(((name, _field(getattr(report, name))) for name in names), b"\n")) + b"\n"


def encode_mapping(pairs: Mapping[str, str]) -> bytes:
    """A plain mapping as JSON, one pair a line."""
    return b"".join(_object(((source, (_line(target),)) for source, target in pairs.items()), b"\n")) + b"\n"


def _field(value: object) -> Iterator[bytes]:
    """A field of the report in pieces: lists and objects with one member a line."""
    if isinstance(value, Mapping):
        yield from _object(((key, (_line(member),)) for key, member in value.items()), b"\n  ")
    elif isinstance(value, tuple) and value:
        start = b"[\n    "
        for member in value:
            yield start
            yield _line(member)
            start = b",\n    "
        yield b"\n  ]"
    else:
        yield _line(value)


def _object(members: Iterable[tuple[str, Iterable[bytes]]], line: bytes) -> Iterator[bytes]:
    start = b"{"
    for key, pieces in members:
        yield start + line + b"  " + _line(key) + b": "
        yield from pieces
        start = b","
    yield line + b"}" if start == b"," else b"{}"


def _line(value: object) -> bytes:
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=0)
    except UnicodeEncodeError:  # a key with half a surrogate pair, which torch's pickles can hold
        return json.dumps(msgspec.to_builtins(value)).encode()


class MappingFile(msgspec.Struct, frozen=True):
    """What a mapping or a report asks for.

    Attributes:
        pairs: in the file's order; of a plain mapping each is accepted, by the user, with shapes unknown.
        aliases: further target name -> source key.
        rules: of a report.
        source_digest, target_digest: of the listings that the report was made for; "" for a plain mapping.
        warnings: of a report.
        is_report: whether the file is a report.
    """

    pairs: tuple[MappedPair, ...]
    aliases: Mapping[str, str] = {}
    rules: tuple[Rule, ...] = ()
    source_digest: str = ""
    target_digest: str = ""
    warnings: tuple[str, ...] = ()
    is_report: bool = False

    @property
    def mapping(self) -> dict[str, str]:
        """Source key -> target key."""
        return {pair.source: pair.target for pair in self.pairs}

    def tied(self, target: Listing) -> Listing:
        """A target with the file's further names tied to those that their tensors are mapped to."""
        partner = self.mapping
        specs = []
        for spec in target:
            first = partner.get(self.aliases[spec.key], "") if spec.key in self.aliases else ""
            if first in target and spec.shares is None:
                spec = msgspec.structs.replace(spec, shares=target[first].shares or first)
            specs.append(spec)
        return Listing(target.name, specs)

    def known_target(self, name: str) -> Listing | None:
        """What the file tells of the target, for plans with transforms and aliases; ``None`` for a plain mapping."""
        if not self.is_report:
            return None
        specs = {
            pair.target: TensorSpec(pair.target, pair.target_shape)
            for pair in self.pairs
            if pair.target_shape is not None
        }
        partner = self.mapping
        for further, source in self.aliases.items():
            first = specs.get(partner.get(source, ""))
            if first is not None and further not in specs:
                specs[further] = TensorSpec(further, first.shape, shares=first.key)
        return Listing(name, specs.values())

    def misfits(self, source: Listing) -> tuple[str, ...]:
        """Why the file does not fit a source, one line each; empty where it does."""
        absent = [pair.source for pair in self.pairs if pair.source not in source]
        known = (pair for pair in self.pairs if pair.source_shape is not None and pair.source in source)
        reshaped = [pair for pair in known if source[pair.source].shape != pair.source_shape]
        lines: list[str] = []
        if absent:
            lacking = plural(len(absent), "source key is", "source keys are")
            lines.append(f"{lacking} not there, of {len(self.pairs):,}, first {absent[0]!r}")
        if reshaped:
            first = reshaped[0]
            lines.append(
                f"{plural(len(reshaped), 'source key has', 'source keys have')} another shape, first {first.source!r}: "
                f"{list(first.source_shape or ())} in the report, {list(source[first.source].shape)} here"
            )
        return tuple(lines)


class MappedPair(msgspec.Struct, frozen=True, gc=False):
    """One pair of a mapping file; shapes are ``None`` where the file does not tell."""

    source: str
    target: str
    transform: Transform = Transform.NONE
    status: Status = Status.ACCEPTED
    decided_by: Literal["matcher", "user"] = "user"
    source_shape: tuple[int, ...] | None = None
    target_shape: tuple[int, ...] | None = None


class _Head(msgspec.Struct):
    format: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    mappings: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _ReportFile(msgspec.Struct):
    mappings: tuple[MappedPair, ...]
    aliases: msgspec.Raw = msgspec.Raw(b"{}")
    rules: tuple[Rule, ...] = ()
    source_digest: str = ""
    target_digest: str = ""
    warnings: tuple[str, ...] = ()


def parse_mapping(data: bytes, name: str = "the mapping") -> MappingFile:
    """Read a mapping or a report.

    Args:
        data: the file's bytes.
        name: the file, for messages.

    Raises:
        FormatError: it is neither, or damaged, or larger than ``MAX_BYTES``, or gives one source key two targets.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"{name} is too large for a mapping: {len(data):,} bytes", "Give a mapping or a report.")
    try:
        found = _parse(data)
    except RecursionError:
        raise FormatError(f"{name} is nested too deeply", "Give a mapping or a report of wmtui.") from None
    except (ValueError, msgspec.MsgspecError) as error:
        what = shortened(printable(str(error)), 200)
        raise FormatError(
            f"{name} is neither a mapping nor a report: {what}",
            'A mapping is a JSON object {"source key": "target key"}; a report is written by wmtui.',
        ) from None
    seen: set[str] = set()
    for pair in found.pairs:
        if pair.source in seen:
            raise FormatError(f"{name} maps {pair.source!r} twice", "Give each source key one target.")
        seen.add(pair.source)
    return found


def _parse(data: bytes) -> MappingFile:
    try:
        head = msgspec.json.decode(data, type=_Head)
    except msgspec.ValidationError:
        raise ValueError("it holds no JSON object") from None
    except msgspec.DecodeError:  # damaged, or a plain mapping with half a surrogate pair, which json can read
        head = _Head()
    kind = json.loads(bytes(head.format)) if isinstance(head.format, msgspec.Raw) else None
    mappings = bytes(head.mappings)[:1] if isinstance(head.mappings, msgspec.Raw) else b""
    if isinstance(kind, str) and kind.startswith("wmtui-") and kind != FORMAT:
        raise ValueError(f"it is of the format {kind!r}")
    if kind == FORMAT or mappings == b"[":
        return _parse_report(data)
    return MappingFile(tuple(MappedPair(source, target) for source, target in _text_pairs(data)))


def _parse_report(data: bytes) -> MappingFile:
    found = msgspec.json.decode(data, type=_ReportFile)
    for rule in found.rules:
        for template, at in ((rule.source, 0), (rule.target, 1)):
            holes = [hole for hole in Formatter().parse(template) if hole[1] is not None]
            most = max((int(name) for _, name, _, _ in holes if name and name.isdecimal()), default=-1)
            plain = all(name and name.isdecimal() and not spec and kind is None for _, name, spec, kind in holes)
            if not plain or any(len(indices[at]) <= most for indices in rule.indices):
                raise ValueError(f"the template {template!r} of a rule does not fit its indices")
    return MappingFile(
        found.mappings,
        dict(_text_pairs(bytes(found.aliases))),
        found.rules,
        found.source_digest,
        found.target_digest,
        found.warnings,
        is_report=True,
    )


def _text_pairs(data: bytes) -> list[tuple[str, str]]:
    """The members of a JSON object of texts, in order."""
    members = json.loads(data, object_pairs_hook=_Members)
    if not isinstance(members, _Members):
        raise ValueError("it holds no JSON object")
    seen: set[str] = set()
    for key, value in members:
        if not isinstance(value, str):
            raise ValueError(f"what {key!r} is mapped to is not text")
        if key in seen:
            raise ValueError(f"the key {key!r} stands twice in it")
        seen.add(key)
    return members


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, repeated keys kept."""
