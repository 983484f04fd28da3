"""The actions of the review, once: their keys, titles and help, and why one is not to be had right now.

Bindings, footer hints, palette, help screen and the README's table of keys all come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from textual.binding import Binding, BindingType

NAMES = {
    "slash": "/",
    "question_mark": "?",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "home": "Home",
    "end": "End",
    "pagedown": "PgDn",
    "pageup": "PgUp",
}


@dataclass(frozen=True)
class Situation:
    """What decides whether an action can be had.

    Attributes:
        rows: the source pane shows something.
        whole: all keys are listed, not only the first few of a large file.
        matched: the matcher has proposed.
        busy: the matcher is at work.
        undo, redo: there is something to undo, to do again.
        proposed: number of proposed keys.
        above: number of proposed keys at or above the bar.
        filtered: a facet or a search leaves something out.
        corrected: the user gave some key a target that was not proposed.
        marking, swapping: a range is being marked, a swap has been begun.
        targets: the target pane has the focus.
        values: one side at least has the values of its tensors.
    """

    rows: bool = True
    whole: bool = True
    matched: bool = True
    busy: bool = False
    undo: bool = True
    redo: bool = True
    proposed: int = 1
    above: Callable[[], int] = lambda: 1
    filtered: bool = True
    corrected: bool = True
    marking: bool = True
    swapping: bool = True
    targets: bool = True


NOT_MATCHED = "the matcher has not proposed anything yet"


def _never(_: object) -> str:
    return ""


def _rows(now: Situation) -> str:
    if not now.whole:
        return "the keys are still being read"
    return "" if now.rows else "no key is shown: Esc clears the filter"


def _matched(now: Situation) -> str:
    return _rows(now) or ("" if now.matched else NOT_MATCHED)


def _save(now: Situation) -> str:
    if not now.whole:
        return "the keys are still being read"
    return "" if now.matched or (now.undo and not now.busy) else NOT_MATCHED


S = TypeVar("S")


@dataclass(frozen=True)
class Action(Generic[S]):
    """Something that the user can do; ``S`` is what decides whether it can be had.

    Attributes:
        id: what the screen's method is called, after ``do_``.
        keys: as Textual spells them.
        title: two or three words, for footer and palette.
        help: a sentence for the help screen and the README.
        section: the heading under which it stands.
        why_disabled: why it cannot be had now; empty where it can.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    section: str
    why_disabled: Callable[[S], str] = field(default=_never, compare=False)

    @property
    def shown(self) -> str:
        """Its keys as the user knows them."""
        if self.keys[0].isdigit():
            return f"{self.keys[0]}-{self.keys[-1]}"
        return " ".join(map(key_name, self.keys))


def key_name(key: str) -> str:
    """How a key is written for people."""
    if key in NAMES:
        return NAMES[key]
    return f"Ctrl+{key[5:]}" if key.startswith("ctrl+") else key


MOVE, DECIDE, FIND, KEEP = "Moving", "Deciding", "Finding", "Session"

ACTIONS: tuple[Action[Situation], ...] = (
    Action("down", ("j", "down"), "down", "Move to the next row.", MOVE),
    Action("up", ("k", "up"), "up", "Move to the row before.", MOVE),
    Action("page_down", ("ctrl+d", "pagedown"), "page down", "Move half a page down.", MOVE),
    Action("page_up", ("ctrl+u", "pageup"), "page up", "Move half a page up.", MOVE),
    Action("top", ("g", "home"), "first row", "Move to the first row.", MOVE),
    Action("bottom", ("G", "end"), "last row", "Move to the last row.", MOVE),
    Action("expand", ("l", "right"), "expand", "Show the single keys of a group.", MOVE),
    Action("collapse", ("h", "left"), "collapse", "Hide the single keys of a group again.", MOVE),
    Action(
        "enter", ("enter",), "open", "Expand or collapse a group; take the candidate or target under the cursor.", MOVE
    ),
    Action("expand_all", ("E",), "expand all", "Show the single keys of all groups, or hide them all.", MOVE),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane: source, candidates, targets.", MOVE),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the pane before.", MOVE),
    Action("next_open", ("n",), "next open", "Go to the next key that asks for a decision.", MOVE, _matched),
    Action("previous_open", ("N",), "previous open", "Go to the open key before.", MOVE, _matched),
    Action("lacking", ("m",), "what is missing", "Go to the next key that is missing or mismatched in the forecast.",
           MOVE, _matched),
    Action("partner", ("t",), "its partner", "Jump from a source key to its target, and back.", MOVE, _rows),
    Action("accept", ("a",), "accept", "Accept what is proposed, and go on to the next open key.", DECIDE, _matched),
    Action("reject", ("x",), "reject", "Refuse the proposed or accepted pair.", DECIDE, _matched),
    Action(
        "choose", tuple("123456789"), "choose", "Give the key this candidate; a group gets it as a whole.", DECIDE,
        _matched,
    ),
    Action("reassign", ("r",), "reassign", "Search all targets for another partner.", DECIDE, _rows),
    Action(
        "swap", ("w",), "swap", "Swap the targets of two keys or groups: press it on the one, then on the other.",
        DECIDE, _matched,
    ),
    Action(
        "rule", ("R",), "do alike", "Do with all like keys as the last corrections did, after showing what that is.",
        DECIDE, lambda now: "" if now.corrected else "there is no correction yet that could be done elsewhere",
    ),
    Action("ignore", ("i",), "ignore", "Leave the key out; in the target pane, that target.", DECIDE, _rows),
    Action("reopen", ("c",), "clear", "Forget what was decided about the key.", DECIDE, _rows),
    Action("scope", ("s",), "scope", "Decide about the row, its whole group, or all that the filter shows.", DECIDE),
    Action("mark", ("v",), "mark", "Begin to mark a range of rows; decisions are about all of it.", DECIDE, _rows),
    Action("bar_down", ("left_parenthesis",), "bar down", "Lower the confidence that A asks for.", DECIDE, _matched),
    Action("bar_up", ("right_parenthesis",), "bar up", "Raise the confidence that A asks for.", DECIDE, _matched),
    Action(
        "accept_above", ("A",), "accept above bar", "Accept all that is shown at or above the bar, after a question.",
        DECIDE,
        lambda now: _matched(now) or ("" if now.above() else "nothing shown is at or above the bar: ( lowers it"),
    ),
    Action("undo", ("u",), "undo", "Take the last decision back.", DECIDE,
           lambda now: "" if now.undo else "nothing to undo"),
    Action("redo", ("ctrl+r",), "redo", "Do again what was undone.", DECIDE,
           lambda now: "" if now.redo else "nothing to do again"),
    Action("search", ("slash",), "search", "Show only keys with these words; shape:768x dtype:bf16 work too.", FIND),
    Action("facet", ("f",), "status", "Show only keys of the next status in the line above.", FIND),
    Action("facet_back", ("F",), "status back", "The status before.", FIND),
    Action("order", ("o",), "sort", "Sort: file order, least certain first, name, size.", FIND),
    Action("escape", ("escape",), "clear filter", "Clear the mark, the swap begun, the search, then the status.", FIND),
    Action("explain", ("e",), "explain", "Say why this target was proposed, and why not the next.", FIND, _matched),
    Action("details", ("d",), "details", "Show both tensors side by side, with their values where there are any.", FIND,
           _rows),
    Action("save", ("S",), "save", "Save mapping, report and renamed checkpoint, after showing what it does.", KEEP,
           _save),
    Action("copy", ("y",), "copy command", "Copy the command that does the same without a screen.", KEEP),
    Action("settings", ("comma",), "settings", "Change how matching works, and propose anew.", KEEP,
           lambda now: "" if now.whole else "the keys are still being read"),
    Action("help", ("question_mark",), "help", "Show the keys.", KEEP),
    Action("palette", ("ctrl+p",), "palette", "Find an action by its name.", KEEP),
    Action("quit", ("q",), "quit", "Leave; asks where something is not saved.", KEEP),
)  # fmt: skip
NAMES["comma"] = ","
BY_ID = {action.id: action for action in ACTIONS}


def bindings(actions: Iterable[Action[Any]] = ACTIONS) -> list[BindingType]:
    """The bindings of a screen that has these actions."""
    found: list[BindingType] = []
    for action in actions:
        for key in action.keys:
            call = f"do('{action.id}', {key})" if key.isdigit() else f"do('{action.id}')"
            found.append(Binding(key, call, action.title, show=False))
    return found


def markdown_table(actions: Sequence[Action[Any]] = ACTIONS) -> str:
    """The keys of these actions as a table for the README."""
    lines: list[str] = []
    for section in dict.fromkeys(action.section for action in actions):
        lines += [f"| {section} | |", "| --- | --- |"] if not lines else [f"| **{section}** | |"]
        for action in actions:
            if action.section == section:
                keys = " ".join(f"`{key}`" for key in action.shown.split())
                lines.append(f"| {keys} | {action.help} |")
    return "\n".join(lines) + "\n"
