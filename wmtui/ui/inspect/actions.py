"""The actions of the inspector, once; see `wmtui.ui.actions`."""

from __future__ import annotations

from dataclasses import dataclass

from wmtui.ui.actions import KEEP, MOVE, Action

LOOK = "Looking"


@dataclass(frozen=True)
class Situation:
    """What decides whether an action can be had.

    Attributes:
        rows: the view shows something.
        tensors: the row under the cursor stands for tensors.
        opens: the view has rows that open.
        sorts: the view can be sorted.
        values: the file holds values that can be read.
        scanning: a scan is going on.
        bad: a scan has found something.
        filtered: a search or a filter leaves something out.
        dictionaries: how many dictionaries of weights the file has.
    """

    rows: bool = True
    tensors: bool = True
    opens: bool = True
    sorts: bool = True
    values: bool = True
    scanning: bool = False
    bad: bool = True
    filtered: bool = True
    dictionaries: int = 2


def _rows(now: Situation) -> str:
    return "" if now.rows else "there is no row"


def _tensor(now: Situation) -> str:
    if not now.values:
        return "there are no values: this is a listing or a model"
    return "" if now.tensors else "this row is not a tensor: 1 shows them"


def _scan(now: Situation) -> str:
    if not now.values:
        return "there are no values: this is a listing or a model"
    return "the check is going on: Esc stops it" if now.scanning else ""


ACTIONS: tuple[Action[Situation], ...] = (
    Action("down", ("j", "down"), "down", "Move to the next row.", MOVE),
    Action("up", ("k", "up"), "up", "Move to the row before.", MOVE),
    Action("page_down", ("ctrl+d", "pagedown"), "page down", "Move half a page down.", MOVE),
    Action("page_up", ("ctrl+u", "pageup"), "page up", "Move half a page up.", MOVE),
    Action("top", ("g", "home"), "first row", "Move to the first row.", MOVE),
    Action("bottom", ("G", "end"), "last row", "Move to the last row.", MOVE),
    Action("expand", ("l", "right"), "expand", "Show what is below the row.", MOVE, _rows),
    Action("collapse", ("h", "left"), "collapse", "Hide what is below the row, or go to the row it belongs to.", MOVE,
           _rows),
    Action("enter", ("enter",), "open", "Expand or collapse the row; on a tensor, show its statistics.", MOVE, _rows),
    Action("expand_all", ("E",), "expand all", "Expand one level everywhere, or collapse everything.", MOVE),
    Action("next_view", ("tab",), "next view", "Go on: groups, tree, totals, tied tensors, contents.", LOOK),
    Action("previous_view", ("shift+tab",), "previous view", "Go back to the view before.", LOOK),
    Action("view", tuple("12345"), "view", "Show this view.", LOOK),
    Action("tree", ("t",), "tree", "Change between the groups and the tree of modules.", LOOK),
    Action("search", ("slash",), "search",
           "Show only keys with these words, or their letters in order; shape:768x dtype:bf16 work too.", LOOK),
    Action("order", ("o",), "sort", "Sort: file order, name, size, dtype.", LOOK,
           lambda now: "" if now.sorts else "only groups and tree are sorted: 1 or 2 shows them"),
    Action("escape", ("escape",), "back", "Stop the check; show all keys again.", LOOK),
    Action("stats", ("d",), "statistics", "Read the tensor: minimum, maximum, mean, histogram, NaN.", LOOK, _tensor),
    Action("check", ("c",), "check", "Read all tensors, looking for NaN and infinity.", LOOK, _scan),
    Action("bad", ("f",), "only bad", "Show only tensors with NaN or infinity.", LOOK,
           lambda now: "" if now.bad else "no bad tensor is known: c checks all of them"),
    Action("weights", ("w",), "other weights", "Choose another dictionary of weights of the file.", LOOK,
           lambda now: "" if now.dictionaries > 1 else "the file has one dictionary of weights"),
    Action("copy", ("y",), "copy key", "Copy the key to the clipboard of your terminal.", KEEP, _rows),
    Action("help", ("question_mark",), "help", "Show the keys.", KEEP),
    Action("palette", ("ctrl+p",), "palette", "Find an action by its name.", KEEP),
    Action("quit", ("q", "ctrl+q"), "quit", "Leave.", KEEP),
)  # fmt: skip
