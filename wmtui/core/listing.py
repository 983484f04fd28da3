"""Listings: the ordered tensors of one side, and what is known of each without reading its data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from math import prod
from typing import Literal

import msgspec

Kind = Literal["parameter", "buffer"]
_BATCH_NORM = ("running_mean", "running_var", "num_batches_tracked")


class TensorSpec(msgspec.Struct, frozen=True, gc=False):
    """One tensor of a listing.

    Attributes:
        key: the exact and whole key in its dictionary of weights; a side's prefix chooses keys, it never shortens them.
        shape: lengths of the dimensions; ``()`` for a scalar.
        dtype: torch's name without the module (``float32``, ``bfloat16``, ``float8_e4m3fn``).
        kind: parameter or buffer, ``None`` where the file does not tell.
        nbytes: bytes of the tensor's own elements, ``None`` where it is not known.
        shares: the first key of the listing with the same storage, for tied tensors; else ``None``.
        type_name: the class of a tensor of an unusual kind (``DTensor``, ``SparseTensor``); else ``None``.
        where: the file of a sharded checkpoint that holds it; else ``None``.
        order: position in the execution order of a dummy input's forward pass; else ``None``.
    """

    key: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    kind: Kind | None = None
    nbytes: int | None = None
    shares: str | None = None
    type_name: str | None = None
    where: str | None = None
    order: int | None = None

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def is_square(self) -> bool:
        """Whether a transpose leaves the shape as it is."""
        return len(self.shape) == 2 and self.shape[0] == self.shape[1] > 1

    @property
    def is_buffer(self) -> bool:
        """As the file says, else by the names of a batch norm's running statistics."""
        if self.kind is not None:
            return self.kind == "buffer"
        return self.key.rpartition(".")[2] in _BATCH_NORM


class Listing:
    """The ordered tensors of one side, by key.

    Args:
        name: what the user calls it: a file name, a model's class.
        tensors: in ``state_dict`` order where that is known.

    Raises:
        ValueError: two tensors have one key.
    """

    def __init__(self, name: str, tensors: Iterable[TensorSpec]) -> None:
        self.name = name
        self.tensors = tuple(tensors)
        self.index = {spec.key: i for i, spec in enumerate(self.tensors)}
        if len(self.index) != len(self.tensors):
            seen: set[str] = set()
            twice = next(s.key for s in self.tensors if s.key in seen or seen.add(s.key))  # type: ignore[func-returns-value]
            raise ValueError(f"the key {twice!r} stands twice in the listing {name!r}")

    def __len__(self) -> int:
        return len(self.tensors)

    def __iter__(self) -> Iterator[TensorSpec]:
        return iter(self.tensors)

    def __contains__(self, key: object) -> bool:
        return key in self.index

    def __getitem__(self, key: str) -> TensorSpec:
        return self.tensors[self.index[key]]

    def __repr__(self) -> str:
        return f"Listing({self.name!r}, {len(self)} tensors)"

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.index)

    @cached_property
    def total_bytes(self) -> int:
        """Bytes of all tensors, tied ones counted once, unknown ones as none."""
        return sum(s.nbytes or 0 for s in self.tensors if s.shares is None)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over keys, shapes and dtypes in order: equal for equal listings, whatever their names."""
        hashed = hashlib.sha256()
        for spec in self.tensors:
            hashed.update(f"{spec.key}\0{spec.shape}\0{spec.dtype}\n".encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    @cached_property
    def ties(self) -> dict[str, tuple[str, ...]]:
        """First key of a storage -> all keys that share it (itself first), for tied tensors only."""
        found: dict[str, list[str]] = {}
        for spec in self.tensors:
            if spec.shares is not None:
                found.setdefault(spec.shares, [spec.shares]).append(spec.key)
        return {first: tuple(keys) for first, keys in found.items()}

    def tied_to(self, key: str) -> tuple[str, ...]:
        """All keys with the storage of ``key``, itself included."""
        return self.ties.get(self[key].shares or key, (key,))
