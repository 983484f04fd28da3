"""Verification: every element that was written against the source's, piece by piece."""

from __future__ import annotations

from pathlib import Path

from wmtui.errors import InputError, WriteError
from wmtui.files.disk import Tick
from wmtui.files.regular_file import RegularFile
from wmtui.files.writing.elements import pieces
from wmtui.files.writing.inputs import UNCHANGED, Inputs, Wanted, wanted
from wmtui.files.writing.jobs import Job, Make


def verify_tensors(path: Path, job: Job, make: Make, inputs: Inputs, tick: Tick) -> None:
    """Compare the plain tensors that a job wrote with what they were made of.

    Args:
        path: the written file.
        make: what they were made of.

    Raises:
        WriteError: one differs; the message names it.
    """
    places = job.places(path)
    with RegularFile(path) as output:
        for outcome in job.outcomes:
            try:
                tensor = make(outcome)
            except InputError:  # no plain elements, such as a conjugated view
                continue
            place = places(outcome.key)
            if place is None:
                continue
            if not same_elements(output, wanted(outcome.key, UNCHANGED, place), tensor, inputs, tick):
                raise WriteError(f"{outcome.key!r} reads back other than it was written", "Try another disk.")


def same_elements(output: RegularFile, written: Wanted, tensor: Wanted, inputs: Inputs, tick: Tick) -> bool:
    """Whether a written tensor has the elements that it was made of."""
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
    again = written.elements._replace(start=begin)
    if elements.run.nbytes < elements.nbytes:  # of an expanded one, a byte is many elements
        elements, again = elements.run, again.run
    read = pieces(output, again)
    for (_, data), (_, other) in zip(pieces(source, elements), read, strict=True):
        tick(data.nbytes)
        if data != other:
            return False
    return True
