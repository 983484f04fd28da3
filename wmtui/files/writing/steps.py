"""Steps: a plan by source key, and what happens to the keys that no plan knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from wmtui.core.plan import Operation, Plan, Unmapped
from wmtui.errors import PlanError


class Steps(NamedTuple):
    """A plan by source key.

    Attributes:
        firsts: source key -> the first operation on it.
        further: source key -> the other operations on it, where there are any.
        dropped: source keys that are not written.
        others: what happens to weights that the plan does not know (outside of the prefix, say).
    """

    firsts: Mapping[str, Operation]
    further: Mapping[str, tuple[Operation, ...]]
    dropped: frozenset[str]
    others: Unmapped

    def of(self, key: str) -> tuple[Operation, ...]:
        """What becomes of a weight."""
        known = self.firsts.get(key)
        if known is not None:
            return (known, *self.further.get(key, ()))
        if key in self.dropped or self.others == "drop":
            return ()
        return (Operation("rename", key, key),)

    @property
    def names(self) -> dict[str, str]:
        """Source key -> its first new name."""
        return {key: op.target for key, op in self.firsts.items()}

    def outputs(self, keys: Iterable[str]) -> Iterator[tuple[str, Operation]]:
        """What becomes of some weights, in their order.

        Raises:
            PlanError: a weight that stays would get a name that another one is given.
        """
        taken: dict[str, str] = {}
        for key in keys:
            for op in self.of(key):
                target = op.target
                if target in taken:
                    raise PlanError(
                        f"{taken[target]!r} and {key!r} would both become {target!r}",
                        f"Drop what is not mapped, or give {key!r} another name.",
                    )
                taken[target] = key
                yield target, op


def steps_of(plan: Plan, others: Unmapped) -> Steps:
    """A plan by source key."""
    firsts: dict[str, Operation] = {}
    further: dict[str, tuple[Operation, ...]] = {}
    for op in plan.operations:
        if firsts.setdefault(op.source, op) is not op:
            further[op.source] = (*further.get(op.source, ()), op)
    return Steps(firsts, further, frozenset(plan.dropped), others)


class ModuleMap:
    """Which module of the target each module of the source becomes, as far as renamed weights tell.

    Args:
        names: source key -> new key.
        others: source keys that are not written.
    """

    def __init__(self, names: Mapping[str, str], others: Iterable[str] = ()) -> None:
        self._map: dict[str, str] = {"": ""}
        for old, new in names.items():
            a, b = _parent(old), _parent(new)
            while a and a not in self._map:
                self._map[a] = b
                if not b or a.rpartition(".")[2] != b.rpartition(".")[2]:
                    break
                a, b = _parent(a), _parent(b)
        self._owners = frozenset(prefix for key in (*names, *others) for prefix in _prefixes(key))

    def rename(self, module: str) -> str | None:
        """The new path of a module; ``None`` where nothing tells."""
        known = self._map.get(module)
        if known is not None or module in self._owners:
            return known
        above, last = _parent(module), [module.rpartition(".")[2]]
        while above and above not in self._map:
            if above in self._owners:
                return None
            last.append(above.rpartition(".")[2])
            above = _parent(above)
        base = self._map.get(above, "")
        return ".".join([*([base] if base else []), *reversed(last)])


def modules_of(keys: Iterable[str]) -> list[str]:
    """All modules that hold some weights or the holders of some, the outermost first: as in a state dict's metadata."""
    return list(dict.fromkeys(prefix for key in keys for prefix in _prefixes(key)))


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _prefixes(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts))]
