"""A module's own tensors: the classes of their names, and which of them make a unit."""

from __future__ import annotations

FREE_LEAVES = frozenset({"running_mean", "running_var", "num_batches_tracked"})
"""Buffers that one side may lack without a difference in the network."""

_STANDARD = {
    "weight": "weight",
    "bias": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
    "num_batches_tracked": "num_batches_tracked",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "moving_var": "running_var",
    "avg_mean": "running_mean",
    "avg_var": "running_var",
    "weights": "weight",
    "biases": "bias",
    "w": "weight",
    "W": "weight",
    "b": "bias",
    "embeddings": "weight",
    "_mean": "running_mean",
    "_variance": "running_var",
    "weight_g": "weight_g",
    "weight_v": "weight",
    "weight_orig": "weight",
}
_PAIRED = {
    "gamma": ("beta", "weight"),
    "beta": ("gamma", "bias"),
    "scale": ("offset", "weight"),
    "offset": ("scale", "bias"),
}
SUFFIXES = (("_weight", "weight"), ("_bias", "bias"), ("_kernel", "weight"))
ENDINGS = (("_weight", "_bias"), ("_W", "_b"), ("_w", "_b"))
PREFIXES = (
    ("weight_", "bias_"),
    ("kernel_", "bias_"),
    ("W_", "b_"),
    ("w_", "b_"),
    ("weight", "bias"),
    ("kernel", "bias"),
    ("W", "b"),
    ("w", "b"),
)
COMPOUND_LEAVES = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "moving_mean",
    "moving_variance",
    "moving_var",
    "avg_mean",
    "avg_var",
    "weight_g",
    "weight_v",
)
_STATISTICS = {"mean": "running_mean", "var": "running_var"}
_AVERAGES = frozenset({"moving_mean", "running_mean", "avg_mean"})

MAGNITUDE = "weight_g"
"""With weight norm, the lengths of the rows of ``weight_v``; together they make the weight."""

MAIN_LEAVES: tuple[str, ...] = ("weight", "bias", "running_mean")
"""A unit's shape and size are those of the first of these that it has."""

TELLING = frozenset(
    {*_PAIRED, "weight", "kernel", "bias", "weight_g", "weight_v", "weight_orig", *_STATISTICS, *_AVERAGES}
)
"""Names whose presence tells the class of others beside them; so do those that end in ``_weight``."""


def leaf_class(leaf: str, beside: set[str], has_children: bool) -> str | None:
    """The class of a module's own tensor; ``None`` for a parameter that is a unit of its own."""
    if leaf == "weight_v" and "weight_orig" in beside:
        return None
    standard = _STANDARD.get(leaf) or _STANDARD.get(leaf.lower())
    if standard is not None:
        return standard
    paired = _PAIRED.get(leaf)
    if paired is not None and (paired[0] in beside or beside & _AVERAGES):
        return paired[1]
    if leaf == "scale" and "bias" in beside and not {"weight", "kernel"} & beside:
        return "weight"
    if leaf == "N" and "avg_mean" in beside:
        return "num_batches_tracked"
    if leaf in _STATISTICS and ({"mean", "var"} <= beside):
        return _STATISTICS[leaf]
    of_its_own = leaf.endswith("_weight") or f"{leaf.removesuffix('_bias')}_weight" in beside
    if ("weight" in beside or "kernel" in beside) and not has_children and not of_its_own:
        return f"x:{leaf}"
    return None


def is_leaf(name: str) -> bool:
    """Whether a name is that of a module's own tensor, wherever it stands."""
    return name in _STANDARD or name in _PAIRED


def is_float(dtype: str) -> bool:
    """Whether a dtype's name is one of floating point (``bfloat16`` and ``float8_e4m3fn`` included)."""
    return "float" in dtype
