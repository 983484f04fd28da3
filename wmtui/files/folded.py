"""Plain tensors of a pickle's graph, folded: of 100,000 calls with all their arguments, one small object each is kept.

``torch.save`` writes a tensor as a call to ``_rebuild_tensor_v2`` or ``_v3`` with the persistent id of a storage,
numbers and an empty ``OrderedDict`` for hooks. What many tensors have in common (type, device, shape) is kept once.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from wmtui.files.pickle_graph import Call, Global, Persistent

PERSISTENT_ID = "storage"


class Like(NamedTuple):
    """What a tensor's call says besides the numbers: its functions and classes, the device, whether it is trained."""

    func: Global
    storage_class: Global
    location: str
    requires_grad: bool
    hooks: Global
    dtype: Global | None


class View(NamedTuple):
    """The numbers of a tensor's call: elements of its storage, the first one that is its own, shape and strides."""

    numel: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class FoldedTensor(msgspec.Struct, eq=False, gc=False):
    """One tensor.

    Attributes:
        like, view: one object each for all tensors for which they are equal.
        key: of its storage.
        recalled: whether it stands at several places of the graph.
    """

    like: Like
    view: View
    key: str
    recalled: bool = False

    def unfolded(self) -> Call:
        """The call as other tensors have it; a new one each time."""
        like, view = self.like, self.view
        pid = (PERSISTENT_ID, like.storage_class, self.key, like.location, view.numel)
        hooks = Call("reduce", like.hooks, ())
        args = (Persistent(pid), view.offset, view.shape, view.strides, like.requires_grad, hooks)
        return Call("reduce", like.func, args if like.dtype is None else (*args, like.dtype))
