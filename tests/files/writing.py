"""Helpers for the tests of writing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from wmtui.core.plan import Plan, Unmapped, make_plan
from wmtui.core.proposal import Transform
from wmtui.core.side import SideSpec
from wmtui.files.open import open_side
from wmtui.files.source import OpenedSide
from wmtui.files.writing import Written, write_checkpoint

NONE = Transform.NONE


def opened(path: Path, **asked: Any) -> OpenedSide:
    return open_side(SideSpec(str(path), **asked))


def plan_of(side: OpenedSide, names: Mapping[str, str], unmapped: Unmapped = "keep") -> Plan:
    return make_plan(side.side.listing, [(a, b, NONE) for a, b in names.items()], unmapped=unmapped)


def rename(
    source: Path, output: Path, names: Mapping[str, str], unmapped: Unmapped = "keep",
    asked: Mapping[str, Any] | None = None, **how: Any,
) -> Written:  # fmt: skip
    side = opened(source, **(asked or {}))
    return write_checkpoint(side, plan_of(side, names, unmapped), output, **how)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal keys in equal order, and tensors equal to the bit."""
    return list(one) == list(other) and all(same_tensor(one[key], other[key]) for key in one)


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and raw(one) == raw(other)


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b""


def leftovers(folder: Path) -> list[str]:
    """Temporaries in a folder."""
    return sorted(path.name for path in folder.rglob(".*.tmp"))


def prefixed(keys: Iterable[str], prefix: str = "new.") -> dict[str, str]:
    return {key: prefix + key for key in keys}
