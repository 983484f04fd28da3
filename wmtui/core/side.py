"""Sides: what the user asked for (`SideSpec`), and what was found there (`Side`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from wmtui.core.listing import Listing

Buffers = Literal["include", "exclude"]
ContentKind = Literal["dict", "list", "tensor", "text", "value", "object"]


class SideSpec(msgspec.Struct, frozen=True):
    """What the user asked for.

    Attributes:
        location: a file, a folder, ``package.module:factory`` or ``file.py:Class``.
        weights_key: path of the dictionary of weights inside a nested checkpoint (``model.state_dict``);
            ``None`` where there is only one.
        prefix: only the keys below it count; they keep it (``encoder`` and ``encoder.`` choose alike).
        buffers: whether buffers count.
        args: keyword arguments of a model's factory.
        inputs: dummy inputs for the execution order (``1x3x224x224``, ``1x128:int64``).
    """

    location: str
    weights_key: str | None = None
    prefix: str = ""
    buffers: Buffers = "include"
    args: Mapping[str, object] = {}
    inputs: tuple[str, ...] = ()


class Content(msgspec.Struct, frozen=True):
    """One node of what a file holds besides the listed tensors; all text is as in the file, shortened, not escaped.

    Attributes:
        kind: what the node is.
        text: the value in a few words (``3``, ``'adamw'``, ``float32 [64, 3]``, ``dict of 5``), a class for objects.
        items: children by name, at most as many as were worth keeping.
        count: number of children that there really are.
    """

    kind: ContentKind
    text: str
    items: tuple[tuple[str, Content], ...] = ()
    count: int = 0


EMPTY = Content("dict", "nothing besides the tensors")


class Side(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        spec: what was asked for.
        listing: the tensors that count, with their whole keys in the dictionary of weights.
        format: the kind of file in plain words (``safetensors``, ``torch zip checkpoint``, ``model``).
        nbytes: size of the file or of all files together; ``None`` for a model.
        weights_key: path of the dictionary of weights that the listing is of; "" for the file's own top level.
        weights_keys: all dictionaries of weights in the file -> number of their tensors, this one among them.
        prefix: what all keys of the listing begin with, as it was understood (``encoder.``).
        metadata: a safetensors file's ``__metadata__``.
        contents: everything else in the file, for the inspector.
        notes: warnings, one line each.
    """

    spec: SideSpec
    listing: Listing
    format: str
    nbytes: int | None = None
    weights_key: str = ""
    weights_keys: Mapping[str, int] = {}
    prefix: str = ""
    metadata: Mapping[str, str] = {}
    contents: Content = EMPTY
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.listing.name
