"""Fuzzes the reader of safetensors headers, guided by coverage, against the reference implementation.

Run as ``python -m tests.fuzz.headers [CORPUS] [options of libFuzzer]``; needs atheris. Any error but this project's own
is a finding, and so is a header of which reader and reference tell different things.
"""

from __future__ import annotations

import json
import sys
from math import prod

import atheris

with atheris.instrument_imports(include=["wmtui"]):
    from wmtui.errors import FormatError
    from wmtui.files.dtypes import BITS, SAFETENSORS
    from wmtui.files.safetensors_header import parse

import safetensors

MAX_DATA = 1 << 16
TYPES = [*SAFETENSORS, "F128"]
OURS_ALONE = ("does not begin with", "stands twice", "has more entries", "too large")
"""What this reader refuses, as the format asks, and the reference takes."""

THEIRS_ALONE = ("invalid type: floating point",)
"""What the reference refuses and this reader takes: ``-0`` and ``8.0``, whole numbers in JSON."""


def ours(raw: bytes, size: int) -> dict[str, tuple[tuple[int, ...], int]] | str:
    """Each key's shape and bytes, or why the header is refused."""
    try:
        entries, _ = parse(raw, size, "fuzz")
    except FormatError as e:
        return e.message
    return {key: (entry.shape, entry.data_offsets[1] - entry.data_offsets[0]) for key, entry in entries.items()}


def reference(raw: bytes, size: int) -> dict[str, tuple[tuple[int, ...], int]] | str:
    try:
        found = safetensors.deserialize(len(raw).to_bytes(8, "little") + raw + bytes(size))
    except safetensors.SafetensorError as e:
        return str(e)
    return {key: (tuple(info["shape"]), len(info["data"])) for key, info in found}


def one(data: bytes) -> None:
    if len(data) < 2:
        return
    if data[0] & 1:
        raw, size = composed(atheris.FuzzedDataProvider(data[1:]))
    else:
        raw, size = data[2:], data[1]
    mine, theirs = ours(raw, size), reference(raw, size)
    if isinstance(mine, str):
        agreed = isinstance(theirs, str) or any(reason in mine for reason in OURS_ALONE)
    else:
        agreed = mine == theirs or (isinstance(theirs, str) and any(reason in theirs for reason in THEIRS_ALONE))
    if not agreed:
        raise AssertionError(f"size {size}, header {raw!r}: {mine!r} against {theirs!r}")


def composed(parts: atheris.FuzzedDataProvider) -> tuple[bytes, int]:
    """A header of the right form, most of it consistent, and the size of its data."""
    entries: list[str] = []
    end = 0
    for _ in range(parts.ConsumeIntInRange(0, 6)):
        dtype = parts.PickValueInList(TYPES)
        shape = [parts.ConsumeIntInRange(0, 9) for _ in range(parts.ConsumeIntInRange(0, 4))]
        nbytes = BITS[SAFETENSORS[dtype]] * prod(shape) // 8 if dtype in SAFETENSORS else 8
        begin, end = end, end + nbytes
        wrong = parts.ConsumeIntInRange(0, 15)
        if wrong == 0:
            begin += parts.ConsumeIntInRange(-9, 9)
        elif wrong == 1:
            end += parts.ConsumeIntInRange(-9, 9)
        elif wrong == 2:
            shape = [*shape[::-1], parts.ConsumeInt(8)]
        key = "__metadata__" if wrong == 3 else parts.ConsumeUnicodeNoSurrogates(parts.ConsumeIntInRange(0, 4))
        value = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        if wrong == 4:
            value.pop(parts.PickValueInList(list(value)))
        entries.insert(parts.ConsumeIntInRange(0, len(entries)), f"{json.dumps(key)}:{json.dumps(value)}")
    return ("{" + ",".join(entries) + "}").encode(), end % MAX_DATA


def seeds() -> list[bytes]:
    """The corpus's headers, with the size of data that they ask for."""
    from tests.files.hostile_headers import BROKEN_HEADERS, entry

    headers: list[object] = [header for header, _ in BROKEN_HEADERS.values()]
    several = {"a": entry("BF16", [2, 2]), "b": entry("U8", [0], 8, 8)}
    headers.append({"__metadata__": {"format": "pt", "shape": "x"}, **several})
    headers.append({"a": entry("F4", [4, 4])})
    raws = [header if isinstance(header, bytes) else json.dumps(header).encode() for header in headers]
    composed = [bytes([1, *range(n, n + 40)]) for n in range(0, 200, 20)]
    return composed + [b"\x00\x08" + raw for raw in raws if len(raw) < 1000]


if __name__ == "__main__":
    from tests.fuzz.run import run

    run(sys.argv, one, seeds())
