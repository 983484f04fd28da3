"""Helpers for the tests of reading: what torch itself says of a file, as a listing would say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wmtui.core.listing import Listing
from wmtui.core.side import Side, SideSpec
from wmtui.files.open import open_side


def side(path: Path | str, **asked: Any) -> Side:
    return open_side(SideSpec(str(path), **asked)).side


def rows(listing: Listing) -> list[tuple[str, tuple[int, ...], str]]:
    return [(spec.key, spec.shape, spec.dtype) for spec in listing]


def torch_rows(state: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...], str]]:
    """The same of what ``torch.load`` returned."""
    return [
        (key, tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    ]


def torch_ties(state: Mapping[str, Any]) -> dict[str, str]:
    """Key -> first key with the same elements in the same order, for tied tensors."""
    firsts: dict[object, str] = {}
    ties = {}
    for key, value in state.items():
        if value.numel():
            same = (value.untyped_storage().data_ptr(), value.storage_offset(), value.shape, value.stride())
            if firsts.setdefault(same, key) != key:
                ties[key] = firsts[same]
    return ties


def ties(listing: Listing) -> dict[str, str]:
    return {spec.key: spec.shares for spec in listing if spec.shares is not None}
