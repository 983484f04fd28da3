"""Verification: every element that was written against the source's, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wmtui.core.plan import Operation
from wmtui.errors import WriteError
from wmtui.files.disk import Tick
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import Place
from wmtui.files.writing.elements import pieces
from wmtui.files.writing.inputs import Inputs, Wanted, wanted

_SAME = Operation("rename", ("",), ("",))


def verify_tensors(
    path: Path, places: Mapping[str, Place], tensors: Mapping[str, Wanted], inputs: Inputs, tick: Tick
) -> None:
    """Compare what was written with what it was made of.

    Args:
        path: the written file.
        places: where in it the tensors lie, by new key.
        tensors: what they are made of, by new key; what is not there is passed over.

    Raises:
        WriteError: one differs; the message names it.
    """
    with RegularFile(path) as output:
        for key, place in places.items():
            if key in tensors and not _same(output, wanted(key, _SAME, place), tensors[key], inputs, tick):
                raise WriteError(f"{key!r} reads back other than it was written", "Try another disk.")


def _same(output: RegularFile, written: Wanted, tensor: Wanted, inputs: Inputs, tick: Tick) -> bool:
    source, base = inputs.storage(tensor.place, tick)
    elements = tensor.elements._replace(start=base + tensor.elements.start)
    begin = written.begin
    if written.elements.plain:
        for offset, data in pieces(source, elements):
            tick(data.nbytes)
            if output.read_at(begin + offset, data.nbytes) != data:
                return False
        return True
    # a view that stayed one: both sides fall into the same pieces
    read = pieces(output, written.elements._replace(start=begin))
    for (_, data), (_, again) in zip(pieces(source, elements), read, strict=True):
        tick(data.nbytes)
        if data != again:
            return False
    return True
