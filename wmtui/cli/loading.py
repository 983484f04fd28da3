"""``--strict-load``: loads a written checkpoint into the target model, and runs it beside the source model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wmtui.cli.sides import open_one
from wmtui.core.forecast import forecast
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform
from wmtui.errors import InputError, ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from wmtui.files.source import OpenedSide

SHOWN = 5
"""Keys that are named of those that are missing, unexpected or mismatched."""


class Loaded(NamedTuple):
    """How loading went: whether all is well, and what to tell, one line each."""

    ok: bool
    lines: tuple[str, ...]


def strict_load(
    written: Path,
    target: OpenedSide,
    *,
    source: OpenedSide,
    source_model: str | None = None,
    inputs: Sequence[str] = (),
) -> Loaded:
    """Load what was written into the target, and compare outputs where both models and inputs are given.

    A target that is no model is compared by keys and shapes.

    Args:
        source: the checkpoint that was renamed.
        source_model: the model that it belongs to, as ``module:factory`` or ``file.py:Class``.
        inputs: shapes of the inputs of both models.

    Raises:
        InputError: the source model cannot be built or does not take its own weights, or an input is malformed.
    """
    from wmtui.files.models import ModelSource

    result = _written(written, source.side.weights_key)
    target_source = target.source
    if not isinstance(target_source, ModelSource):
        return _compared(result, target)
    model = target_source.build_real()
    try:
        model.load_state_dict(_tensors(result), strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Loaded(False, ("does not load with strict=True:", *lines[1 : 1 + SHOWN]))
    told = f"loads into {target.side.name} with strict=True"
    if source_model is None or not inputs:
        return Loaded(True, (told,))
    other = _source_model(source_model, source)
    difference, largest = _largest_difference(other, model, inputs)
    ok = difference <= 1e-4 * max(1.0, largest)
    verdict = "the outputs agree" if ok else "the outputs differ"
    return Loaded(ok, (told, f"{verdict}: by at most {difference:.3g}, where the largest is {largest:.3g}"))


def _written(path: Path, weights_key: str) -> OpenedSide:
    """The result; its dictionary has the name that it had, except where another format has but one."""
    try:
        return open_one(str(path), weights_key=weights_key or None)
    except InputError:
        return open_one(str(path))


def _compared(result: OpenedSide, target: OpenedSide) -> Loaded:
    listing = result.side.listing
    plan = make_plan(listing, [(key, key, Transform.NONE) for key in listing.keys], unmapped="drop")
    found = forecast(plan, listing, target.side.listing)
    lines = [f"compared with {target.side.name}: {found}"]
    for what, keys in (("missing", found.missing), ("unexpected", found.unexpected), ("mismatched", found.mismatched)):
        lines += [f"{what}: {key}" for key in keys[:SHOWN]]
    return Loaded(found.loads, tuple(lines))


def _tensors(opened: OpenedSide) -> dict[str, torch.Tensor]:
    from wmtui.api.checkpoint import load_tensors

    return load_tensors(opened.side.listing, opened.source)


def _source_model(location: str, source: OpenedSide) -> nn.Module:
    from wmtui.files.models import ModelSource

    opened = open_one(location)
    if not isinstance(opened.source, ModelSource):
        raise InputError(f"{location} is no model", "Give the source's model as module:factory or file.py:Class.")
    model = opened.source.build_real()
    tensors = _tensors(source)
    try:
        model.load_state_dict(tensors if set(tensors) & set(model.state_dict()) else _unwrapped(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise ModelError(f"{location} does not take the source's weights: {first}", "Give its own model.") from None
    return model


def _unwrapped(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from wmtui.core.wrappers import without_wrappers

    return {without_wrappers(key): tensor for key, tensor in tensors.items()}


def _largest_difference(one: nn.Module, other: nn.Module, inputs: Sequence[str]) -> tuple[float, float]:
    """Largest absolute difference of the two models' outputs on the same random inputs, and largest output."""
    import torch

    from wmtui.files.execution import dummy_inputs

    torch.manual_seed(0)
    made = [
        torch.randn(meta.shape, dtype=meta.dtype) if meta.is_floating_point() else torch.zeros_like(meta, device="cpu")
        for meta in dummy_inputs(inputs)
    ]
    with torch.no_grad():
        try:
            first, second = (_floats(model.eval()(*made)) for model in (one, other))
        except Exception as error:
            raise ModelError(f"a forward pass raised {type(error).__name__}: {error}", "Check --input.") from error
    if [t.shape for t in first] != [t.shape for t in second]:
        return float("inf"), 0.0
    if not first:
        raise ModelError("the models' outputs hold no tensors to compare", "Give models that return tensors.")
    differences = [_difference(a, b) for a, b in zip(first, second, strict=True) if a.numel()]
    largest = (float(a.abs().nan_to_num(0.0, posinf=0.0).max()) for a in first if a.numel())
    return max(differences, default=0.0), max(largest, default=0.0)


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest absolute difference; infinite where only one is NaN or infinite."""
    same = (one == other) | (one.isnan() & other.isnan())
    infinity = float("inf")
    return float((one - other).abs().masked_fill(same, 0.0).nan_to_num(infinity, posinf=infinity).max())


def _floats(output: object) -> list[torch.Tensor]:
    """All tensors of a model's output, in order."""
    import torch
    from torch.utils import _pytree

    return [leaf.float() for leaf in _pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
