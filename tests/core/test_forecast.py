"""The forecast says what ``load_state_dict`` says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wmtui.core.forecast import Forecast, forecast
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.proposal import Transform


def listing(shapes: dict[str, tuple[int, ...]]) -> Listing:
    return Listing("test", [TensorSpec(key, shape) for key, shape in shapes.items()])


def test_it_counts_what_is_missing_unexpected_and_mismatched():
    source = listing({"a": (2, 3), "b": (3,), "c": (4,), "left": (1,)})
    target = listing({"a": (2, 3), "x": (3,), "y": (5,), "z": (6,)})
    plan = make_plan(
        source, [(s, t, Transform.NONE) for s, t in {"a": "a", "b": "x", "c": "y"}.items()], unmapped="keep"
    )
    found = forecast(plan, source, target)
    assert found == Forecast(missing=("z",), unexpected=("left",), mismatched=("y",))
    assert not found.loads
    assert str(found) == "1 missing, 1 unexpected, 1 mismatched"


def test_a_transform_and_an_alias_arrive_in_the_targets_shape():
    source = listing({"a": (2, 3), "b": (1, 1, 4)})
    target = Listing("t", [TensorSpec("w", (3, 2)), TensorSpec("v", (3, 2), shares="w"), TensorSpec("g", (4,))])
    plan = make_plan(
        source, [("a", "w", Transform.TRANSPOSE), ("b", "g", Transform.RESHAPE)], unmapped="drop", target=target
    )
    assert forecast(plan, source, target).loads


class Flat(nn.Module):
    """A module with a parameter for every given shape."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for key, shape in shapes.items():
            self.register_parameter(key, nn.Parameter(torch.zeros(shape)))


SHAPES = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from([(), (1,), (3,), (3, 1), (2, 3), (0,)]), min_size=1, max_size=4
)


@settings(max_examples=150, deadline=None)
@given(SHAPES, SHAPES, st.sampled_from(["keep", "drop"]))
def test_it_agrees_with_torch(given_shapes, wanted_shapes, unmapped):
    """Random listings, identity on common keys, against the real ``load_state_dict``."""
    source, target = listing(given_shapes), listing(wanted_shapes)
    common = [(key, key, Transform.NONE) for key in given_shapes if key in wanted_shapes]
    plan = make_plan(source, common, unmapped=unmapped, target=target)
    found = forecast(plan, source, target)
    values = {key: torch.zeros(given_shapes[op.source]) for key, op in plan.outputs()}
    model = Flat(wanted_shapes)
    fitting = {key: value for key, value in values.items() if key not in found.mismatched}
    answer = model.load_state_dict(fitting, strict=False)
    assert set(answer.missing_keys) == set(found.missing) | set(found.mismatched)
    assert set(answer.unexpected_keys) == set(found.unexpected)
    for key in found.mismatched:
        with pytest.raises((RuntimeError, IndexError)):
            Flat(wanted_shapes).load_state_dict({key: values[key]}, strict=False)
    if found.loads:
        Flat(wanted_shapes).load_state_dict(values, strict=True)
