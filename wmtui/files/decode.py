"""Elements as they are stored -> numpy numbers: the types that numpy has, and those that only torch has.

Formats of the small floats: OCP 8-bit Floating Point Specification 1.0 and OCP Microscaling Formats 1.0; the ``fnuz``
ones: arXiv:2206.02915.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_NUMPY = {
    **{name: name for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")},
    **{name: name for name in ("float16", "float32", "float64", "complex64", "complex128")},
    **{f"int{n}": "int8" for n in range(1, 8)},
    **{f"uint{n}": "uint8" for n in range(1, 8)},
    **dict.fromkeys(("quint8", "bits8", "bits1x8", "bits2x4", "bits4x2"), "uint8"),
    "qint8": "int8",
    "qint32": "int32",
    "bits16": "uint16",
}
_SMALL = {
    # name: (exponent bits, mantissa bits, bias, what the special patterns are)
    "float8_e4m3fn": (4, 3, 7, "nan at all ones"),
    "float8_e4m3fnuz": (4, 3, 8, "nan at minus zero"),
    "float8_e5m2": (5, 2, 15, "as in IEEE 754"),
    "float8_e5m2fnuz": (5, 2, 16, "nan at minus zero"),
    "float6_e2m3fn": (2, 3, 1, "none"),
    "float6_e3m2fn": (3, 2, 3, "none"),
    "float4_e2m1fn": (2, 1, 1, "none"),
}
_FLOATS = frozenset((*_SMALL, "float4_e2m1fn_x2", "float8_e8m0fnu", "bfloat16", "float16", "float32", "float64"))
_COMPLEX = frozenset(("complex32", "complex64", "complex128"))


def is_float(dtype: str) -> bool:
    """Whether elements of a type can be NaN or infinite, or at least have fractions; complex ones too."""
    return dtype in _FLOATS or dtype in _COMPLEX


def decode(raw: bytes, dtype: str, byteorder: str = "little") -> Array:
    """Numbers from bytes, in their order; what numpy has no type for becomes float32, complex32 becomes complex64.

    Args:
        raw: whole elements.
        dtype: torch's name without the module.
        byteorder: of the elements.

    Raises:
        KeyError: an unknown type.
    """
    order: Literal["<", ">"] = ">" if byteorder == "big" else "<"
    name = _NUMPY.get(dtype)
    if name is not None:
        kind = np.dtype(name).newbyteorder(order)
        return np.frombuffer(raw, np.uint8).astype(np.bool_) if name == "bool" else np.frombuffer(raw, kind)
    if dtype == "bfloat16":
        return (np.frombuffer(raw, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "complex32":
        return np.frombuffer(raw, f"{order}f2").astype(np.float32).view(np.complex64)
    if dtype in ("float4_e2m1fn_x2", "float4_e2m1fn", "quint4x2"):
        parts = _packed(raw, 4)
    elif dtype in ("float6_e2m3fn", "float6_e3m2fn"):
        parts = _packed(raw, 6)
    elif dtype == "quint2x4":
        parts = _packed(raw, 2)
    else:
        parts = np.frombuffer(raw, np.uint8)
    if dtype in ("quint4x2", "quint2x4"):
        return parts
    return table(dtype.removesuffix("_x2"))[parts]


def _packed(raw: bytes, width: int) -> Array:
    """Numbers of a few bits, the first in the lowest bits."""
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    whole = bits[: len(bits) // width * width].reshape(-1, width)
    weights = (1 << np.arange(width)).astype(np.uint8)
    numbers: Array = whole @ weights
    return numbers


@cache
def table(dtype: str) -> NDArray[np.float32]:
    """The value of every pattern of a small float."""
    if dtype == "float8_e8m0fnu":
        powers = np.exp2(np.arange(256, dtype=np.float64) - 127)
        powers[255] = np.nan
        return powers.astype(np.float32)
    exponents, mantissas, bias, special = _SMALL[dtype]
    patterns = np.arange(1 << (1 + exponents + mantissas))
    sign = np.where(patterns >> (exponents + mantissas), -1.0, 1.0)
    exponent = (patterns >> mantissas) & ((1 << exponents) - 1)
    mantissa = patterns & ((1 << mantissas) - 1)
    fraction = mantissa / (1 << mantissas)
    values = sign * np.where(
        exponent == 0, np.exp2(1.0 - bias) * fraction, np.exp2(exponent - float(bias)) * (1 + fraction)
    )
    top = exponent == (1 << exponents) - 1
    if special == "nan at all ones":
        values[top & (mantissa == (1 << mantissas) - 1)] = np.nan
    elif special == "nan at minus zero":
        values[1 << (exponents + mantissas)] = np.nan
    elif special == "as in IEEE 754":
        values[top] = np.where(mantissa[top] == 0, sign[top] * np.inf, np.nan)
    narrowed: NDArray[np.float32] = values.astype(np.float32)
    return narrowed
