"""The command palette: the registry's actions by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual.command import DiscoveryHit, Hit, Hits, Provider

from wmtui.ui.actions import ACTIONS, Action

HIDDEN = frozenset(("palette", "choose", "view", "down", "up", "enter", "escape"))
"""Actions that make no sense from a list."""


class ActionProvider(Provider):
    """Offers what the screen can do; what cannot be had now says why."""

    offered: ClassVar[Sequence[Action[Any]]] = ACTIONS

    async def discover(self) -> Hits:
        for action in self._actions():
            yield DiscoveryHit(f"{action.title} ({action.shown})", self._call(action), help=self._help(action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._actions():
            score = matcher.match(f"{action.title} {action.help}")
            if score > 0:
                yield Hit(score, f"{action.title} ({action.shown})", self._call(action), help=self._help(action))

    def _actions(self) -> list[Action[Any]]:
        return [action for action in self.offered if action.id not in HIDDEN]

    def _help(self, action: Action[Any]) -> str:
        why = action.why_disabled(self.screen.situation())  # type: ignore[attr-defined]
        return f"not now: {why}" if why else action.help

    def _call(self, action: Action[Any]) -> Callable[[], None]:
        return lambda: self.screen.action_do(action.id)  # type: ignore[attr-defined]
