"""Element types: torch's names, their sizes, and what safetensors and old torch storages call them."""

from __future__ import annotations

BITS: dict[str, int] = {
    **dict.fromkeys(("bool", "uint8", "int8", "quint8", "qint8", "bits8", "bits1x8", "bits2x4", "bits4x2"), 8),
    **dict.fromkeys((f"{sign}int{n}" for sign in ("", "u") for n in range(1, 8)), 8),
    **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"), 8),
    "float4_e2m1fn_x2": 8,
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16", "bits16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32", "qint32", "complex32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    "complex128": 128,
    "quint4x2": 4,
    "quint2x4": 2,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
}
"""Bits of one element as it is stored; torch keeps its ``int1`` to ``uint7`` in a byte each."""

SAFETENSORS: dict[str, str] = {
    "BOOL": "bool",
    "F4": "float4_e2m1fn",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
"""The names in a safetensors header -> torch's. ``F4`` counts single elements; torch counts bytes of two."""

STORAGES: dict[str, str] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QUInt8Storage": "quint8",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "uint8",
}
"""Classes of storages, of whatever device -> the type of their elements; an untyped one is counted in bytes."""

NUMPY_CODES: dict[str, str] = {
    "b1": "bool",
    "c8": "complex64",
    "c16": "complex128",
    **{f"{letter}{n}": f"{name}{8 * n}" for letter, name in (("i", "int"), ("u", "uint")) for n in (1, 2, 4, 8)},
    **{f"f{n}": f"float{8 * n}" for n in (2, 4, 8)},
}
"""numpy's codes of types as they stand in pickles -> torch's names."""

_SHORT = {"float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64", "short": "int16"}


def torch_name(name: str) -> str | None:
    """torch's own name of an element type (``torch.half`` -> ``float16``), ``None`` for anything else."""
    name = name.removeprefix("torch.")
    name = _SHORT.get(name, name)
    return name if name in BITS else None


def nbytes_of(dtype: str, numel: int) -> int | None:
    """Bytes of so many elements; ``None`` for an unknown type."""
    bits = BITS.get(dtype)
    return None if bits is None else (numel * bits + 7) // 8
