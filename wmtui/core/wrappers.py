"""Wrapper segments: what training and compiling tools put into a key's path, and what never tells two tensors apart."""

from __future__ import annotations

WRAPPERS = frozenset(
    {
        "module",
        "_module",
        "model",
        "_model",
        "_orig_mod",
        "orig_mod",
        "_orig_module",
        "_fsdp_wrapped_module",
        "_fpw_module",
        "_checkpoint_wrapped_module",
        "_ddp_wrapped_module",
        "_forward_module",
        "_wrapped_module",
        "wrapped_module",
        "wrapped_model",
        "_wrapped_model",
        "inner_module",
        "inner_model",
        "orig_model",
        "base_model",
        "base_layer",
        "original_module",
        "_flat_param_module",
    }
)
"""Segments that may stand anywhere in a path, in any order, without a meaning of their own."""


def without_wrappers(key: str) -> str:
    """The key without its wrapper segments; its last segment always stays.

    >>> without_wrappers("module.net._orig_mod.fc.weight")
    'net.fc.weight'
    """
    path, dot, leaf = key.rpartition(".")
    if not dot:
        return key
    return ".".join([*(part for part in path.split(".") if part not in WRAPPERS), leaf])
