"""What the documented API tells of one parameter or buffer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.scores import tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter or buffer of a side.

    Attributes:
        name: its key (``backbone.0.weight``).
        spec: the same in the terms of `wmtui.core.listing`.
        shape: lengths of the dimensions, a ``torch.Size``.
        dtype: a ``torch.dtype``, or its name where this torch has no such type.
        execution_order: place of its module in the forward pass of the dummy input, ``None`` without one.
    """

    name: str
    spec: TensorSpec
    shape: torch.Size
    dtype: torch.dtype | str
    execution_order: int | None

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a scalar."""
        return self.spec.numel

    @property
    def depth(self) -> int:
        """Number of segments of the name: 3 for ``backbone.0.weight``."""
        return self.name.count(".") + 1

    @property
    def param_name(self) -> str:
        """The last segment: ``weight``."""
        return self.name.rpartition(".")[2]

    @property
    def module_path(self) -> str:
        """What stands before the last segment: ``backbone.0``; "" at the top."""
        return self.name.rpartition(".")[0]

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Lower-case words and numbers of the name, in order."""
        return tokens(self.name)

    @property
    def is_buffer(self) -> bool:
        """Whether it is known to be a buffer."""
        return self.spec.kind == "buffer"


def parameter_infos(listing: Listing) -> dict[str, ParameterInfo]:
    """Name -> info, in the listing's order."""
    import torch

    return {
        spec.key: ParameterInfo(
            spec.key, spec, torch.Size(spec.shape), getattr(torch, spec.dtype, spec.dtype), spec.order
        )
        for spec in listing
    }
