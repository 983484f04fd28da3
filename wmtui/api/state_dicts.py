"""State dicts in memory: found in a checkpoint that nests them, and listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wmtui.errors import ChoiceError, FormatError, KeyMissingError

if TYPE_CHECKING:
    import torch

MAX_DEPTH = 12
PREFERRED = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights")
"""What is taken where a checkpoint holds several dictionaries of weights, the first name first."""
_ASIDE = ("optim", "sched", "scaler", "rng", "random", "callback", "loop", "hparam", "hyper_param", "config", "args")


class Found(NamedTuple):
    """A dictionary of weights: the keys that lead to it, and itself."""

    path: tuple[str, ...]
    weights: Mapping[str, Any]

    @property
    def name(self) -> str:
        return ".".join(self.path)


def extract_state_dict(checkpoint: Any, *, weights_key: str | None = None) -> dict[str, torch.Tensor]:
    """The dictionary of weights in a checkpoint, whatever it is nested in.

    Args:
        checkpoint: a state dict, a checkpoint that holds one (``state_dict``, ``model``, ...), or a module.
        weights_key: path of the dictionary (``ema.module``), where there are several.

    Raises:
        FormatError (a ValueError): there are no tensors in it.
        ChoiceError (a ValueError): there are several dictionaries of weights, none of a usual name.
        KeyMissingError (a KeyError): nothing at ``weights_key``.
    """
    weights: Any = find_state_dict(checkpoint, weights_key).weights
    return weights if isinstance(weights, dict) else dict(weights)


def find_state_dict(checkpoint: Any, weights_key: str | None = None) -> Found:
    """The dictionary of weights and where it lies; arguments and errors as for `extract_state_dict`."""
    found: list[Found] = []
    aside: list[Found] = []
    _visit((), checkpoint, found, aside)
    found = found or aside
    if weights_key is not None:
        for one in (*found, *aside):
            if one.name == weights_key:
                return one
        there = ", ".join(one.name or "''" for one in found) or "none"
        raise KeyMissingError(f"there is no dictionary of weights at {weights_key!r}", f"There are: {there}.")
    if not found:
        raise FormatError("the checkpoint holds no dictionary of tensors", "Give a state dict, or what holds one.")
    if len(found) == 1:
        return found[0]
    name = preferred([one.name for one in found])
    if name is None:
        raise ChoiceError(
            f"the checkpoint holds several dictionaries of weights: {', '.join(one.name for one in found)}",
            f"Choose one, such as weights_key={found[0].name!r}.",
            tuple(one.name for one in found),
        )
    return next(one for one in found if one.name == name)


def preferred(names: Sequence[str]) -> str | None:
    """Of several dictionaries of weights the one with the most usual name, ``None`` where none is usual."""
    ranked = [
        (PREFERRED.index(last), name.count("."), name)
        for name in names
        if (last := name.rpartition(".")[2]) in PREFERRED
    ]
    return min(ranked)[2] if ranked else None


def _visit(path: tuple[str, ...], value: Any, found: list[Found], aside: list[Found]) -> int:
    """Collect the dictionaries of weights below a value; returns the size of the largest.

    Of a dictionary and those inside it the one with the most tensors stands; single numbers don't count.
    """
    import torch

    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if not isinstance(value, Mapping) or len(path) > MAX_DEPTH:
        return 0
    tensors = [item for key, item in value.items() if isinstance(key, str) and isinstance(item, torch.Tensor)]
    size = sum(tensor.ndim > 0 and tensor.shape != (1,) for tensor in tensors)
    first, largest = len(found), 0
    for key, item in value.items():
        if isinstance(key, str) and isinstance(item, Mapping | torch.nn.Module):
            if any(part in key.lower() for part in _ASIDE):
                _visit((*path, key), item, aside, aside)
            else:
                largest = max(largest, _visit((*path, key), item, found, aside))
    if not tensors or size < largest or (size == 0 and len(found) > first):
        return largest
    found[first:] = [Found(path, value)]
    return size


def tensors_of(weights: Mapping[str, Any]) -> Iterable[tuple[str, torch.Tensor]]:
    """The (name, tensor) of a dictionary of weights, what is no tensor left out."""
    import torch

    return ((key, value) for key, value in weights.items() if isinstance(value, torch.Tensor))
