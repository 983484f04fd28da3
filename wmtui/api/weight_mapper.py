"""`WeightMapper`: which source parameter becomes which target parameter, suggested and explained."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtui.core.analysis import Line, SideSummary, analysis_lines
from wmtui.core.forecast import forecast
from wmtui.core.listing import Listing
from wmtui.core.plan import make_plan, transform_between
from wmtui.core.printable import encodable
from wmtui.core.proposal import Proposal, Transform
from wmtui.core.report import build_report, encode_report, explained, report_pair
from wmtui.core.side import Buffers, Side, SideSpec
from wmtui.core.strategies import STRATEGIES, ScoredPair, suggest, with_transforms
from wmtui.errors import InputError
from wmtui.files.atomic import write_bytes
from wmtui.files.execution import execution_order
from wmtui.files.models import module_listing, state_listing
from wmtui.files.open import restrict

from .checkpoint import open_checkpoint
from .parameter_info import ParameterInfo, parameter_infos
from .saving import make_folder
from .state_dicts import find_state_dict

if TYPE_CHECKING:
    import torch
    from torch import nn

    from wmtui.core.matching import MatchOptions


class WeightMapper:
    """Maps the parameters of a source onto those of a target.

    Args:
        source_module: the model with the weights to adapt from; `from_state_dict` and `from_checkpoint` do without.
        target_module: the model to adapt the weights to.
        shape_tolerance: relative difference of lengths at which shapes still match; 0.0 for equal shapes only.
        dummy_input: a tensor (or a tuple of them, for several arguments) for one forward pass of each model, which
            tells the order of execution and costs no compute; where it fails, there is a warning and no order.
        buffers: ``exclude`` leaves buffers out on both sides.

    Raises:
        InputError (a ValueError): a module is missing, or a number out of range.
    """

    def __init__(
        self,
        source_module: nn.Module | None = None,
        target_module: nn.Module | None = None,
        shape_tolerance: float = 0.0,
        dummy_input: torch.Tensor | None = None,
        *,
        buffers: Buffers = "include",
    ) -> None:
        _check_module("source_module", source_module)
        _check_module("target_module", target_module)
        source = _module_listing(source_module, dummy_input, buffers, caller=3)
        self._start(source, _module_listing(target_module, dummy_input, buffers, caller=3), shape_tolerance)

    @classmethod
    def from_state_dict(
        cls,
        source_state_dict: Mapping[str, torch.Tensor],
        target_module: nn.Module,
        shape_tolerance: float = 0.0,
        dummy_input: torch.Tensor | None = None,
        *,
        buffers: Buffers = "include",
    ) -> WeightMapper:
        """A mapper from a state dict (or a checkpoint that holds one) to a module; otherwise as the class.

        Raises:
            InputError (a ValueError): there are no tensors in it.
        """
        listing = state_listing(find_state_dict(source_state_dict).weights, "StateDict")
        return cls._onto(listing, target_module, shape_tolerance, dummy_input, buffers)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint_path: str | Path,
        target_module: nn.Module,
        shape_tolerance: float = 0.0,
        dummy_input: torch.Tensor | None = None,
        *,
        buffers: Buffers = "include",
        weights_key: str | None = None,
    ) -> WeightMapper:
        """A mapper from a checkpoint file or folder to a module; no tensor is loaded, no code of the file is run.

        Args:
            weights_key: path of the dictionary of weights (``ema.module``), where the file has several; without it the
                one of the most usual name is taken (``state_dict``, ``model``, ...).

        Raises:
            MissingError (a FileNotFoundError): there is no such file.
            InputError (a ValueError): it cannot be used.
        """
        listing = open_checkpoint(checkpoint_path, weights_key).side.listing
        return cls._onto(listing, target_module, shape_tolerance, dummy_input, buffers)

    @classmethod
    def _onto(
        cls,
        source: Listing,
        target_module: nn.Module,
        shape_tolerance: float,
        dummy_input: torch.Tensor | None,
        buffers: Buffers,
    ) -> WeightMapper:
        _check_module("target_module", target_module)
        mapper = cls.__new__(cls)
        target = _module_listing(target_module, dummy_input, buffers, caller=4)
        mapper._start(_restricted(source, buffers), target, shape_tolerance)
        return mapper

    def _start(self, source: Listing, target: Listing, shape_tolerance: float) -> None:
        if not 0 <= shape_tolerance < 1:
            raise InputError(f"shape_tolerance is {shape_tolerance}", "Give a number from 0 to less than 1.")
        self._source = source
        self._target = target
        self.shape_tolerance = shape_tolerance
        self._proposal: tuple[MatchOptions, Proposal] | None = None
        self._pairs: list[ScoredPair] | None = None
        self._threshold = 0.0
        self._strategy = ""

    @cached_property
    def source_params(self) -> dict[str, ParameterInfo]:
        """Name -> info of the source's parameters and buffers, in order."""
        return parameter_infos(self._source)

    @cached_property
    def target_params(self) -> dict[str, ParameterInfo]:
        """Name -> info of the target's parameters and buffers, in order."""
        return parameter_infos(self._target)

    def suggest_mapping(
        self,
        threshold: float = 0.6,
        strategy: str = "best_match",
        weights: dict[str, float] | None = None,
        allow_transforms: bool = False,
    ) -> dict[str, str]:
        """Suggest a mapping: source name -> target name, one to one, in the source's order.

        Args:
            threshold: least score of a pair, 0 to 1; ``shape_only`` has no use for it.
            strategy: ``best_match``; ``conservative`` (scores of at least 0.75); ``shape_only`` (names ignored, equal
                shapes paired in order).
            weights: of the score's parts ``shape``, ``name`` and ``hierarchy``, in proportion; what is left out keeps
                its default (0.5, 0.3, 0.2).
            allow_transforms: also pair tensors that must be transposed or reshaped; the report says which.

        Raises:
            InputError (a ValueError): an unknown strategy, a weight of another name, a number out of range.
        """
        from wmtui.core.matching import MatchOptions, match
        from wmtui.core.scores import score_weights

        if strategy not in STRATEGIES:
            raise InputError(f"there is no strategy {strategy!r}", f"The strategies are {', '.join(STRATEGIES)}.")
        if not 0 <= threshold <= 1:
            raise InputError(f"the threshold is {threshold}", "Give a number from 0 to 1.")
        options = MatchOptions(score_weights(weights or {}), self.shape_tolerance, allow_transforms)
        if self._proposal is None or self._proposal[0] != options:
            self._proposal = options, match(self._source, self._target, options=with_transforms(options))
        self._pairs = suggest(
            self._source,
            self._target,
            strategy=strategy,
            threshold=threshold,
            options=options,
            proposal=self._proposal[1],
        )
        self._threshold, self._strategy = threshold, strategy
        return self.get_mapping_dict()

    def get_mapping_dict(self) -> dict[str, str]:
        """A copy of the current mapping; suggested with the defaults where none was."""
        return {pair.source: pair.target for pair in self._current()}

    def get_mapping_with_scores(self) -> list[tuple[str, str, float]]:
        """The current mapping as (source name, target name, score)."""
        return [(pair.source, pair.target, pair.score.total) for pair in self._current()]

    def get_unmatched(self) -> dict[str, list[str]]:
        """The names without a partner, under ``source`` and ``target``, in order."""
        mapping = self.get_mapping_dict()
        reached = set(mapping.values())
        return {
            "source": [spec.key for spec in self._source if spec.key not in mapping],
            "target": [spec.key for spec in self._target if spec.key not in reached],
        }

    def print_analysis(self, top_n: int = 10, show_unmatched: bool = True) -> None:
        """Print totals, the ``top_n`` best pairs, and what has no partner."""
        lines = [Line(*entry) for entry in self.get_mapping_with_scores()]
        unmatched = self.get_unmatched()
        source = SideSummary(
            self._source.name, len(self._source), [(key, self._source[key].shape) for key in unmatched["source"]]
        )
        target = SideSummary(
            self._target.name, len(self._target), [(key, self._target[key].shape) for key in unmatched["target"]]
        )
        for line in analysis_lines(source, target, lines, top_n=top_n, show_unmatched=show_unmatched):
            print(encodable(line, sys.stdout.encoding))

    def export_mapping_report(self, output_path: str | Path) -> None:
        """Write the report of the current mapping as JSON (``wmtui-report/1``), replacing what is there.

        Raises:
            WriteError (an OSError): it could not be written.
        """
        pairs = self._current()
        assert self._proposal is not None
        proposal = self._proposal[1]
        reasons = explained(proposal)
        entries = []
        for pair in pairs:
            source, target = self._source[pair.source], self._target[pair.target]
            proposed = proposal.pairs.get(pair.source)
            agreed = proposed is not None and proposed.target == pair.target
            entries.append(
                report_pair(
                    source,
                    target,
                    pair.score,
                    proposed.confidence if proposed is not None and agreed else 0.0,
                    transform=transform_between(source.shape, target.shape) or Transform.NONE
                    if proposed is None or not agreed
                    else proposed.transform,
                    reasons=reasons.get((pair.source, pair.target), ()),
                )
            )
        plan = make_plan(
            self._source,
            [(entry.source, entry.target, entry.transform) for entry in entries],
            unmapped="drop",
            target=self._target,
        )
        report = build_report(
            self._source,
            self._target,
            entries,
            proposal=proposal,
            plan=plan,
            forecast=forecast(plan, self._source, self._target),
            threshold=self._threshold,
            strategy=self._strategy,
        )
        path = make_folder(output_path)
        write_bytes(path, encode_report(report))

    def _current(self) -> list[ScoredPair]:
        if self._pairs is None:
            self.suggest_mapping()
        assert self._pairs is not None
        return self._pairs


def _check_module(name: str, module: Any) -> None:
    from torch import nn

    if not isinstance(module, nn.Module):
        what = "is missing" if module is None else f"is a {type(module).__name__}, not a torch.nn.Module"
        raise InputError(f"{name} {what}", "For weights without a model use from_state_dict or from_checkpoint.")


def _module_listing(module: Any, dummy_input: Any, buffers: Buffers, caller: int) -> Listing:
    """A module's listing; ``caller`` is how many calls above the user's code is, for warnings."""
    order: Mapping[str, int] = {}
    if dummy_input is not None:
        inputs = tuple(dummy_input) if isinstance(dummy_input, tuple | list) else (dummy_input,)
        order, note = execution_order(module, inputs)
        if note is not None:
            warnings.warn(f"{type(module).__name__}: {note}", stacklevel=caller)
    return _restricted(module_listing(module, order=order), buffers)


def _restricted(listing: Listing, buffers: Buffers) -> Listing:
    return restrict(Side(SideSpec(listing.name, buffers=buffers), listing, "listing")).listing
