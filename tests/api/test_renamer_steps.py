"""Any steps of a WeightRenamer are those on a plain dictionary."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wmtui import WeightRenamer


def values(path: Path) -> dict[str, float]:
    return {key: value.flatten()[0].item() for key, value in torch.load(path).items()}


KEYS = st.sampled_from(["a.w", "a.b", "c.w", "d", "e.w"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("map"), st.dictionaries(KEYS, KEYS, max_size=3), st.booleans()),
        st.tuples(st.just("add"), st.sampled_from(["m.", "a."]), st.booleans()),
        st.tuples(st.just("remove"), st.sampled_from(["m.", "a."]), st.booleans()),
        st.tuples(st.just("restore"), st.none(), st.none()),
    ),
    max_size=6,
)


def renamed(state: dict[str, float], step: tuple[Any, Any, Any]) -> dict[str, float] | None:
    """What a step makes of a plain dictionary; ``None`` where it must refuse."""
    kind, what, keep = step
    if kind == "map":
        if not what.keys() <= state.keys():
            return None
        pairs = [(what.get(key, key), value) for key, value in state.items() if key in what or keep]
    elif kind == "add":
        pairs = [(what + key, value) for key, value in state.items()]
    else:
        pairs = [(key.removeprefix(what), value) for key, value in state.items()]
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


@pytest.mark.filterwarnings("ignore:no key begins")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, touch=st.booleans())
def test_any_steps_are_those_on_a_plain_dictionary(tmp_path, steps, touch):
    names = ["a.w", "a.b", "c.w", "d"]
    state: dict[str, float] = {name: float(n) for n, name in enumerate(names)}
    source = tmp_path / "in.pt"
    torch.save(OrderedDict((name, torch.full((2,), value)) for name, value in state.items()), source)
    renamer = WeightRenamer(source)
    backup: dict[str, float] | None = None
    for step in steps:
        kind, what, keep = step
        if kind == "restore":
            if backup is None:
                with pytest.raises(ValueError, match="No backup available"):
                    renamer.restore_backup()
            else:
                renamer.restore_backup()
                state = backup
            continue
        after = renamed(state, step)
        act = {"map": lambda: renamer.rename_keys(what, keep), "add": lambda: renamer.add_prefix(what)}.get(  # noqa: B023
            kind,
            lambda: renamer.remove_prefix(what),  # noqa: B023
        )
        if after is None:
            with pytest.raises(ValueError):
                act()
            continue
        act()
        changes = kind == "map" or after != state or (kind == "add" and state)
        backup = backup if backup is not None or not changes else state
        state = after
        assert renamer.list_keys() == list(state)
    if touch:
        assert renamer.state_dict is not None
    if state:
        renamer.save(tmp_path / "out.pt")
        assert list(values(tmp_path / "out.pt").items()) == list(state.items())
