"""Optimizer states in a checkpoint: kept by parameter name (FSDP, torchrec) or by index (plain torch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wmtui.core.forecast import first_moved
from wmtui.core.plan import Plan
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.files.pickle_graph import Node, dict_items, get
from wmtui.files.source import OpenedSide
from wmtui.files.torch_source import TorchSource
from wmtui.files.unwrap import MAX_DEPTH
from wmtui.files.writing.changes import Changes

_BY_INDEX = "the optimizer's state is kept by index, not by name"


def index_warning(opened: OpenedSide, plan: Plan, target: Side | None) -> str | None:
    """What to know about optimizer states that are kept by index; ``None`` where they fit, or there are none.

    Args:
        target: what the result is for, if it is known.
    """
    source = opened.source
    if not isinstance(source, TorchSource) or not any(_kept_by_index(part.file.graph.root) for part in source.parts):
        return None
    if target is None or target.format.startswith("safetensors"):  # such a file has forgotten the order
        return f"{_BY_INDEX}: it fits only if the target model has its parameters in the same order"
    moved = first_moved(plan, opened.side.listing, target.listing)
    if moved is None:
        return None
    number, here, there = moved
    mine = f"number {number} is {here!r} here" if here is not None else f"there is no number {number} here"
    theirs = f"{there!r} in the target" if there is not None else "none in the target"
    return f"{_BY_INDEX}, and the parameters come in another order: {mine}, {theirs}; the state does not fit"


def rename_optimizers(root: Node, names: Mapping[str, str], changes: Changes) -> list[str]:
    """Rename the parameters in all optimizer states below a node that are kept by name.

    Args:
        names: old name -> new name of a weight.
        changes: gets what is written instead.

    Returns:
        Notes on what was found, one line each.
    """
    notes = []
    for state, groups in _optimizers(root):
        items = dict_items(state) or []
        keys = [key for key, _ in items]
        if keys and not any(isinstance(key, str) for key in keys):
            notes.append(f"{_BY_INDEX}: there are no names in it to rename")
            continue
        renamed = [(_new(key, names), value) for key, value in items]
        changes.replace_items(state, renamed)
        for group in groups:
            params = get(group, "params")
            if isinstance(params, list):
                changes.replace(params, [_new(name, names) for name in params])
        count = sum(new != key for (new, _), key in zip(renamed, keys, strict=True))
        notes.append(f"renamed {count:,} of {plural(len(keys), 'parameter')} in the optimizer's state")
    return list(dict.fromkeys(notes)) or ["there is no optimizer state to rename"]


def _kept_by_index(root: Node) -> bool:
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
