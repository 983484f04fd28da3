"""Folding the tensors of a pickle while it is read; see `wmtui.files.folded`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from wmtui.files.folded import PERSISTENT_ID, FoldedTensor, Like, View
from wmtui.files.pickle_graph import NO_STATE, Call, Global, Node, Persistent, path_of
from wmtui.files.torch_tensors import folded_as

_LENGTHS = {"torch._utils._rebuild_tensor_v2": 6, "torch._utils._rebuild_tensor_v3": 7}
_MAX_KNOWN = 10_000
_NEAR = 16
"""Entries at the end of the memo among which the parts of a tensor are."""
_INT = frozenset({int})
_T = TypeVar("_T", bound=tuple[object, ...])


class Unfoldable(Exception):
    """Something in a pickle uses a part of a tensor that was folded: read it again without folding."""


class _Part:
    __slots__ = ()


PART = _Part()
"""Stands in the memo for what a folded tensor was made of."""
NOTABLE = frozenset({FoldedTensor, _Part, Call})
"""Classes of what `Folder.recalled` is to be told of."""


Fold = Callable[[Like, View, str], FoldedTensor]
"""Makes the node that is kept for a tensor, from what it is and the key of its storage."""


class Folder:
    """Folds the tensors of one pickle.

    Args:
        make: makes their nodes.
        memo: the reader's; what a tensor was made of is forgotten there.
        persistents: the reader's; those of folded tensors are taken from its end.

    Attributes:
        folded: the nodes.
    """

    def __init__(self, make: Fold, memo: list[Node], persistents: list[Persistent]) -> None:
        self.folded: list[FoldedTensor] = []
        self._make = make
        self._memo = memo
        self._persistents = persistents
        self._again: Node = None
        self._known: dict[tuple[object, ...], tuple[object, ...]] = {}

    def recalled(self, node: Node) -> None:
        """Take note that a node of a class in `NOTABLE` gets one more place.

        Raises:
            Unfoldable: it is a part of a folded tensor.
        """
        if node is PART:
            raise Unfoldable
        if isinstance(node, FoldedTensor):
            node.recalled = True
        self._again = node

    def fold(self, func: Global, args: Node) -> FoldedTensor | None:
        """The folded tensor of a call; ``None`` for all but the plainest."""
        if type(args) is not tuple or len(args) != _LENGTHS.get(func.path):
            return None
        stored, offset, shape, strides, requires_grad, hooks, *more = args
        if type(stored) is not Persistent or type(requires_grad) is not bool or not self._is_fresh(hooks):
            return None
        pid = stored.pid
        if type(pid) is not tuple or len(pid) != 5 or not (_are_ints(shape) and _are_ints(strides)):
            return None
        what, storage_class, key, location, numel = pid
        names, kinds = (what, key, location), (storage_class, *more)
        if (
            {*map(type, names)} != {str} or {*map(type, kinds)} != {Global} or what != PERSISTENT_ID
            or type(offset) is not int or type(numel) is not int
        ):  # fmt: skip
            return None
        like = self._shared(Like(func, storage_class, location, requires_grad, hooks.func, more[0] if more else None))
        view = self._shared(View(numel, offset, shape, strides))
        if folded_as(like, view) is None or self._persistents[-1] is not stored:
            return None
        self._persistents.pop()
        for place in range(max(0, len(self._memo) - _NEAR), len(self._memo)):
            node = self._memo[place]
            if node is args or node is pid or node is hooks:
                self._memo[place] = PART
        made = self._make(like, view, key)
        self.folded.append(made)
        return made

    def _shared(self, made: _T) -> _T:
        if len(self._known) < _MAX_KNOWN:
            return cast(_T, self._known.setdefault(made, made))
        return cast(_T, self._known.get(made, made))

    def _is_fresh(self, hooks: Node) -> bool:
        """Whether something is an empty ``OrderedDict`` that stands nowhere else."""
        return (
            type(hooks) is Call
            and hooks is not self._again
            and hooks.args == ()
            and hooks.items is None
            and hooks.elements is None
            and hooks.state is NO_STATE
            and path_of(hooks.func) == "collections.OrderedDict"
        )


def _are_ints(numbers: Node) -> bool:
    return type(numbers) is tuple and _INT.issuperset(map(type, numbers))
