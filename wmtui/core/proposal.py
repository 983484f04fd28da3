"""What the matcher says: one-to-one pairs, ambiguous keys, fused tensors, candidates, rules.

All of it is plain frozen data, made in a worker and handed to the screen, the report and the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Protocol

import msgspec


class Transform(StrEnum):
    """How a source tensor becomes its target."""

    NONE = "none"
    TRANSPOSE = "transpose"
    RESHAPE = "reshape"


class Score(msgspec.Struct, frozen=True, gc=False):
    """The documented composite and its parts, each 0 to 1: how alike two tensors look, taken by themselves."""

    total: float
    shape: float
    name: float
    hierarchy: float


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One reason for or against a pair.

    Attributes:
        label: the kind, one word for a narrow column (``order``, ``siblings``, ``shape``, ``role``).
        text: a few words for the explanation (``same role in 31 of 32 blocks``).
        weight: how much it moved the decision; below zero where it speaks against the pair.
    """

    label: str
    text: str
    weight: float


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A target for a source key.

    Attributes:
        confidence: calibrated chance that the pair is right, 0 to 1.
        support: the matcher's own ranking number, larger is better; comparable only within one source key.
    """

    source: str
    target: str
    score: Score
    confidence: float
    transform: Transform
    support: float
    evidence: tuple[Evidence, ...] = ()


class Pair(msgspec.Struct, frozen=True, gc=False):
    """One pair of a proposal."""

    source: str
    target: str
    confidence: float
    transform: Transform = Transform.NONE


class Fusion(msgspec.Struct, frozen=True, gc=False):
    """Tensors that look like parts of one tensor on the other side; never part of the one-to-one pairs.

    Attributes:
        kind: ``merge`` where several sources make one target, ``split`` where one source makes several targets.
        sources: keys, in the order of their places in the whole.
        targets: keys, likewise.
        dim: the dimension along which they lie; -1 for a new leading dimension (stacked), ``None`` for the magnitude
            and direction of weight norm.
    """

    kind: Literal["merge", "split"]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    dim: int | None


class Rule(msgspec.Struct, frozen=True):
    """A role on both sides: templates of keys with numbered holes, and which indices go where.

    Attributes:
        source: template of the source keys, indices as ``{0}``, ``{1}``, ... (``layers.{0}.attn.q.weight``).
        target: template of the target keys, with holes of its own.
        indices: (source indices, target indices), one entry a pair of keys, in the source's order.
        transform: the same for all keys of the rule.
        confidence: the least of its pairs.
    """

    source: str
    target: str
    indices: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    transform: Transform
    confidence: float

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of keys that the rule stands for."""
        return [(fill(self.source, s), fill(self.target, t)) for s, t in self.indices]


def fill(template: str, indices: tuple[int, ...]) -> str:
    """Put indices into the holes ``{0}``, ``{1}``, ... of a template; literal braces are doubled in it."""
    return template.format(*indices)


class CandidateSource(Protocol):
    """Computes what the proposal did not need, when somebody asks for it."""

    def __call__(self, source: str, limit: int) -> tuple[Candidate, ...]: ...


class Proposal:
    """The matcher's one-to-one suggestion for two listings.

    Attributes:
        pairs: source key -> pair, in the source's order.
        ambiguous: source key -> its equally good targets, best first; such a key is in no pair.
        fusions: tensors that look split or merged.
        rules: the pairs again, as templates with their index maps.
    """

    def __init__(
        self,
        pairs: Mapping[str, Pair],
        ambiguous: Mapping[str, tuple[str, ...]],
        fusions: tuple[Fusion, ...],
        rules: tuple[Rule, ...],
        candidates: CandidateSource,
    ) -> None:
        self.pairs = pairs
        self.ambiguous = ambiguous
        self.fusions = fusions
        self.rules = rules
        self._candidates = candidates

    def candidates(self, source: str, limit: int = 9) -> tuple[Candidate, ...]:
        """Ranked targets for a source key, the proposed one first; computed on demand, within a frame.

        Raises:
            KeyError: no such source key.
        """
        return self._candidates(source, limit)


class Facts(msgspec.Struct, frozen=True):
    """What the user has decided, as constraints that a proposal keeps.

    Attributes:
        pairs: accepted and assigned pairs, source -> target: these stand, whatever the evidence.
        refused: pairs that must not be proposed.
        ignored_sources: keys to leave out; they get no partner.
        ignored_targets: likewise.
    """

    pairs: Mapping[str, str] = {}
    refused: frozenset[tuple[str, str]] = frozenset()
    ignored_sources: frozenset[str] = frozenset()
    ignored_targets: frozenset[str] = frozenset()
