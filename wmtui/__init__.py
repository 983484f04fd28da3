"""wmtui: map the parameters of one PyTorch checkpoint or model onto another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmtui.api.checkpoint import load_checkpoint_as_dict
    from wmtui.api.parameter_info import ParameterInfo
    from wmtui.api.state_dicts import extract_state_dict
    from wmtui.api.weight_mapper import WeightMapper
    from wmtui.api.weight_renamer import WeightRenamer, rename_checkpoint_keys

__version__ = "0.1.0"
__all__ = [
    "ParameterInfo",
    "WeightMapper",
    "WeightRenamer",
    "__version__",
    "extract_state_dict",
    "load_checkpoint_as_dict",
    "rename_checkpoint_keys",
]
_HOMES = {
    "ParameterInfo": "parameter_info",
    "WeightMapper": "weight_mapper",
    "WeightRenamer": "weight_renamer",
    "extract_state_dict": "state_dicts",
    "load_checkpoint_as_dict": "checkpoint",
    "rename_checkpoint_keys": "weight_renamer",
}


def __getattr__(name: str) -> Any:
    """The documented API, imported when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"wmtui.api.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
