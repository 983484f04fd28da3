"""Cases: two listings of one network and the proven answer, read, checked and judged.

A file holds ``source`` and ``target`` as rows ``[key, shape, dtype, "param" | "buffer"]`` in ``state_dict`` order,
``relations`` between them, the keys without a counterpart (``source_only``, ``target_only``) and those that are not
judged (``unknown``); ``origin`` tells how both sides were made and how the answer was proven.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Literal

import msgspec

from wmtui.core.listing import Listing, TensorSpec

HERE = Path(__file__).parent
FOLDERS = {"pairs": HERE / "pairs", "held": HERE / "held"}

Operation = Literal["identity", "transpose", "reshape", "split", "merge", "other"]
ONE_TO_ONE: tuple[Operation, ...] = ("identity", "transpose", "reshape")

Order = Literal["in order", "source sorted", "both sorted"]
ORDERS: tuple[Order, ...] = ("in order", "source sorted", "both sorted")


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One tensor of a side."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    kind: Literal["param", "buffer"] | None


class Relation(msgspec.Struct, frozen=True):
    """Tensors that hold the same values.

    Attributes:
        op: how: ``identity``, ``transpose`` and ``reshape`` relate one to one (several where tensors are tied: any of
            them will do); ``other`` is one tensor with its values permuted.
        dim: the dimension of a ``split`` or ``merge``, -1 for a new leading one, where it was recorded.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    op: Operation
    dim: int | None = None


class Case(msgspec.Struct, frozen=True):
    """One pair of implementations and its answer."""

    name: str
    family: str
    difficulty_note: str
    origin: str
    source: tuple[Row, ...]
    target: tuple[Row, ...]
    relations: tuple[Relation, ...]
    source_only: tuple[str, ...] = ()
    target_only: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class Judgement(msgspec.Struct, frozen=True):
    """What a mapping gets on a case.

    Attributes:
        wanted: pairs that a perfect mapping has.
        found: those of them that it has.
        verdicts: source key -> right or wrong, of the proposed pairs that are judged.
    """

    wanted: int
    found: int
    verdicts: dict[str, bool]

    @property
    def recall(self) -> float:
        """Share of the wanted pairs that were found; 1 where none is wanted."""
        return min(1.0, self.found / self.wanted) if self.wanted else 1.0

    @property
    def precision(self) -> float:
        """Share of the judged pairs that are right; of none, 1 where none is wanted, else 0."""
        if self.verdicts:
            return sum(self.verdicts.values()) / len(self.verdicts)
        return float(not self.wanted)

    @property
    def perfect(self) -> bool:
        return self.recall == 1 and self.precision == 1


def load(path: Path) -> Case:
    """Read a case from a JSON file, gzipped or not.

    Raises:
        msgspec.ValidationError: it is not a case.
    """
    raw = path.read_bytes()
    return msgspec.json.decode(gzip.decompress(raw) if path.suffix == ".gz" else raw, type=Case)


def load_all(folders: Iterable[Path]) -> list[Case]:
    """The cases of folders, by name."""
    return [load(path) for folder in folders for path in sorted(folder.glob("*.json*"))]


def faults(case: Case) -> list[str]:
    """What is wrong with a case, in words; nothing for a sound one."""
    found = [f"{side} is empty" for side in ("source", "target") if not getattr(case, side)]
    for side, rows, only in (("source", case.source, case.source_only), ("target", case.target, case.target_only)):
        keys = Counter(row.key for row in rows)
        found += [f"{side} key {key!r} stands twice in the listing" for key, n in keys.items() if n > 1]
        placed = Counter(key for relation in case.relations for key in _ends(relation, side))
        placed.update(only)
        placed.update(key for key in case.unknown if key in keys)
        found += [f"{side} key {key!r} is in no relation and no list" for key in keys if key not in placed]
        for key, n in placed.items():
            if key not in keys:
                found.append(f"{key!r} is no {side} key")
            elif n > 1:
                found.append(f"{side} key {key!r} stands in {n} relations or lists")
    known = {row.key for row in case.source} | {row.key for row in case.target}
    found += [f"unknown key {key!r} is on neither side" for key in case.unknown if key not in known]
    return found or _shape_faults(case)


def _ends(relation: Relation, side: str) -> tuple[str, ...]:
    return relation.sources if side == "source" else relation.targets


def _shape_faults(case: Case) -> list[str]:
    sources = {row.key: row.shape for row in case.source}
    targets = {row.key: row.shape for row in case.target}
    found = []
    for relation in case.relations:
        label = f"{relation.op} of {relation.sources[:1]} to {relation.targets[:1]}"
        if not relation.sources or not relation.targets:
            found.append(f"{label} has an empty side")
            continue
        left = [sources[key] for key in relation.sources]
        right = [targets[key] for key in relation.targets]
        if relation.op == "identity":
            sound = set(left) == set(right) and len(set(left)) == 1
        elif relation.op == "transpose":
            sound = {shape[::-1] for shape in left} == set(right)
        elif relation.op == "reshape":
            sound = len({prod(shape) for shape in left + right}) == 1
        elif relation.op == "split":
            sound = len(left) < len(right)
        elif relation.op == "merge":
            sound = len(left) > len(right)
        else:
            sound = True
        if not sound:
            found.append(f"{label}: shapes or numbers do not fit")
    return found


def judge(case: Case, mapping: Mapping[str, str]) -> Judgement:
    """Compare a mapping {source: target} with the answer.

    A one-to-one relation wants as many pairs as its smaller side has. A pair inside an ``other`` relation is neither
    wanted nor wrong, and unknown keys are not judged. Any other pair that is not inside one one-to-one relation is
    wrong: splits, merges and keys without a counterpart must stay unmatched.
    """
    unknown = set(case.unknown)
    source_home = {key: n for n, relation in enumerate(case.relations) for key in relation.sources}
    target_home = {key: n for n, relation in enumerate(case.relations) for key in relation.targets}
    found: Counter[int] = Counter()
    verdicts: dict[str, bool] = {}
    for source, target in mapping.items():
        if source in unknown or target in unknown:
            continue
        home = source_home.get(source)
        same = home is not None and home == target_home.get(target)
        op = case.relations[home].op if home is not None else None
        if same and op == "other":
            continue
        verdicts[source] = same and op in ONE_TO_ONE
        if home is not None and verdicts[source]:
            found[home] += 1
    wanted = sum(min(len(r.sources), len(r.targets)) for r in case.relations if r.op in ONE_TO_ONE)
    return Judgement(wanted, found.total(), verdicts)


def listings(case: Case, order: Order = "in order") -> tuple[Listing, Listing]:
    """Both sides, in ``state_dict`` order or by name, as files that forget the order list their tensors."""
    source = sorted(case.source, key=_by_key) if order != "in order" else case.source
    target = sorted(case.target, key=_by_key) if order == "both sorted" else case.target
    return _listing("source", source), _listing("target", target)


def _by_key(row: Row) -> str:
    return row.key


def _listing(name: str, rows: Iterable[Row]) -> Listing:
    kinds: dict[str | None, Literal["parameter", "buffer"]] = {"param": "parameter", "buffer": "buffer"}
    return Listing(name, (TensorSpec(row.key, row.shape, row.dtype, kinds.get(row.kind)) for row in rows))
