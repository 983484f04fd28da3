"""Optimizer states in a checkpoint: kept by parameter name (FSDP, torchrec) or by index (plain torch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wmtui.files.pickle_graph import Node, dict_items, get
from wmtui.files.unwrap import MAX_DEPTH
from wmtui.files.writing.torch_nodes import replace_items

BY_INDEX = (
    "the optimizer's state is kept by index, not by name: it fits the new names only if the target model has its "
    "parameters in the same order"
)


def rename_optimizers(root: Node, names: Mapping[str, str]) -> list[str]:
    """Rename the parameters in all optimizer states below a node that are kept by name.

    Args:
        names: old name -> new name of a weight.

    Returns:
        Notes on what was found, one line each.
    """
    notes = []
    for state, groups in _optimizers(root):
        items = dict_items(state) or []
        keys = [key for key, _ in items]
        if keys and not any(isinstance(key, str) for key in keys):
            notes.append(BY_INDEX)
            continue
        renamed = [(_new(key, names), value) for key, value in items]
        replace_items(state, renamed)
        for group in groups:
            params = get(group, "params")
            if isinstance(params, list):
                params[:] = [_new(name, names) for name in params]
        count = sum(new != key for (new, _), key in zip(renamed, keys, strict=True))
        notes.append(f"renamed {count} of {len(keys)} parameters in the optimizer's state")
    return list(dict.fromkeys(notes)) or ["there is no optimizer state to rename"]


def kept_by_index(root: Node) -> bool:
    """Whether a checkpoint holds an optimizer state by index."""
    return any(any(isinstance(key, int) for key, _ in dict_items(state) or ()) for state, _ in _optimizers(root))


def _new(name: Node, names: Mapping[str, str]) -> Node:
    return names.get(name, name) if isinstance(name, str) else name


def _optimizers(root: Node) -> Iterator[tuple[Node, list[Node]]]:
    """(state, parameter groups) of each optimizer's state dict, in dicts and lists of dicts."""
    stack: list[tuple[Node, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        items = dict_items(node)
        if items is None:
            children = node if isinstance(node, list) else []
        else:
            groups, state = get(node, "param_groups"), get(node, "state")
            if isinstance(groups, list) and dict_items(state) is not None:
                yield state, groups
                continue
            children = [value for _, value in items]
        if depth < MAX_DEPTH and len(children) < 10_000:
            stack += [(child, depth + 1) for child in children if dict_items(child) is not None or type(child) is list]
