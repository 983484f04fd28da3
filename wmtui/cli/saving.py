"""Saves what a review or a map run came to: mapping, report and renamed checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wmtui.cli.inputs import Inputs
from wmtui.cli.writing import WriteOptions
from wmtui.core.forecast import Forecast, forecast
from wmtui.core.listing import Listing
from wmtui.core.plan import Plan, make_plan
from wmtui.core.ports import CancelledCall, Progress, ProgressCall, Saved, SavePreview, SaveRequest
from wmtui.core.printable import plural
from wmtui.core.report import ReportPair, build_report, encode_mapping, encode_report, explained, report_pair
from wmtui.core.scores import ScoreWeights, composite
from wmtui.core.session import Mapped, Session
from wmtui.errors import InputError, MissingError, WmtuiError
from wmtui.files.atomic import exists_error, no_file, write_bytes

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


class ReportOptions(msgspec.Struct, frozen=True):
    """What a report says of how its pairs were chosen."""

    strategy: str = "best_match"
    threshold: float | None = None
    weights: ScoreWeights = ScoreWeights()
    shape_tolerance: float = 0.0


class Standing(NamedTuple):
    """What a session comes to as it stands: its pairs, their checked plan, and what the target would say of it."""

    pairs: tuple[Mapped, ...]
    plan: Plan
    forecast: Forecast


class Saver:
    """The save port of the app, and the writer of ``wmtui map``.

    Args:
        source, target: the sides.
        first: what the save screen starts with, or what the command line asks for.

    Attributes:
        loads: whether the last result loaded into the target; ``None`` where that was not asked for.
    """

    def __init__(
        self,
        source: OpenedSide,
        target: OpenedSide,
        first: SaveRequest,
        write: WriteOptions = WriteOptions(),  # noqa: B008 - frozen
        report: ReportOptions = ReportOptions(),  # noqa: B008 - frozen
    ) -> None:
        self.source = source
        self.target = target
        self._first = first
        self._write = write
        self._report = report
        self._inputs = Inputs(source, target)
        self._written: set[Path] = set()
        self._kept: tuple[tuple[object, ...], Standing] | None = None
        self.loads: bool | None = None

    def suggest(self) -> SaveRequest:
        """What the save screen starts with."""
        return self._first

    def standing(self, request: SaveRequest, session: Session) -> Standing:
        """The pairs that the request is about and their plan, made once as long as the session does not change.

        Raises:
            InputError: they cannot be carried out together.
        """
        asked = (session, session.version, request.unmapped, request.include_pending, bool(request.checkpoint_path))
        if self._kept is None or self._kept[0] != asked:
            self._kept = None
            pairs = tuple(session.mapped(request.include_pending))
            plan = self._plan(pairs, request)
            self._kept = asked, Standing(pairs, plan, self._forecast(plan))
        return self._kept[1]

    def _plan(self, pairs: Iterable[Mapped], request: SaveRequest) -> Plan:
        cannot_be_written = None
        if request.checkpoint_path:
            from wmtui.files.writing import representable

            cannot_be_written = representable(self.source, self._write.format)
        return make_plan(
            self.source.side.listing,
            ((pair.source, pair.target, pair.transform) for pair in pairs),
            unmapped=request.unmapped,
            target=self.target.side.listing,
            representable=cannot_be_written,
        )

    def problems(self, request: SaveRequest, plan: Plan) -> list[WmtuiError]:
        """Why the request cannot be carried out, with remedies; empty where it can."""
        small = [Path(name) for name in (request.mapping_path, request.report_path) if name]
        found: list[WmtuiError] = [p for p in (self._problem(path, request.force) for path in small) if p is not None]
        if request.checkpoint_path:
            path = Path(request.checkpoint_path)
            force = request.force or path.resolve() in self._written
            problems = self._write.problems(self.source, plan, path, unmapped=request.unmapped, force=force)
            found += problems or filter(None, [self._inputs.problem(path)])
        names = [name for name in (request.mapping_path, request.report_path, request.checkpoint_path) if name]
        if len({Path(name).resolve() for name in names}) < len(names):
            found.append(InputError(f"{names[-1]} is named for two outputs", "Give each output a file of its own."))
        return found

    def preview(self, request: SaveRequest, session: Session) -> SavePreview:
        """What the request would do; writes nothing."""
        plan = Plan(())
        problems: list[WmtuiError]
        try:
            _, plan, expected = self.standing(request, session)
            problems = self.problems(request, plan)
        except InputError as error:
            problems, expected = [error], self._forecast(plan)
        small = {"mapping": request.mapping_path, "report": request.report_path}
        outputs = [Saved(what, name, 0) for what, name in small.items() if name]
        if request.checkpoint_path:
            from wmtui.files.writing import output_size

            nbytes = output_size(self.source, plan)
            outputs.append(Saved("checkpoint", request.checkpoint_path, nbytes, self._warnings(plan)))
        kinds = [op.kind for op in plan.operations]
        return SavePreview(
            tuple(outputs),
            tuple(problem.message for problem in problems),
            renamed=kinds.count("rename") - len(plan.kept),
            transformed=kinds.count("transpose") + kinds.count("reshape"),
            aliased=kinds.count("alias"),
            kept=len(plan.kept),
            dropped=len(plan.dropped),
            forecast=expected,
        )

    def save(
        self, request: SaveRequest, session: Session, progress: ProgressCall, cancelled: CancelledCall
    ) -> tuple[Saved, ...]:
        """Write what was asked for; each file appears whole or not at all, the checkpoint first.

        Raises:
            WmtuiError: it could not; Cancelled: it was stopped. What was there before is untouched.
        """
        pairs, plan, _ = standing = self.standing(request, session)
        problems = self.problems(request, plan)
        if problems:
            raise problems[0]
        saved: list[Saved] = []
        if request.checkpoint_path:
            path = Path(request.checkpoint_path)
            force = request.force or path.resolve() in self._written
            written = self._write.write(
                self.source, plan, path, unmapped=request.unmapped, force=force, progress=progress, cancelled=cancelled
            )
            notes = (*written.notes, *self._warnings(plan))
            self.loads = None
            if request.strict_load:
                progress(Progress("loading into the target"))
                self.loads, lines = self._write.load(path, self.source, self.target)
                notes += lines
            saved.append(Saved("checkpoint", str(written.path), written.nbytes, notes))
        progress(Progress("writing mapping and report"))
        if request.mapping_path:
            data = encode_mapping({pair.source: pair.target for pair in pairs})
            nbytes = write_bytes(Path(request.mapping_path), data)
            saved.append(Saved("mapping", request.mapping_path, nbytes, _what_a_mapping_lacks(plan)))
        if request.report_path:
            data = self.report(session, standing)
            saved.append(Saved("report", request.report_path, write_bytes(Path(request.report_path), data)))
        self._written.update(Path(one.path).resolve() for one in saved)
        return tuple(saved)

    def _forecast(self, plan: Plan) -> Forecast:
        return forecast(plan, self.source.side.listing, self.target.side.listing)

    def report(self, session: Session, standing: Standing) -> bytes:
        """The report as JSON."""
        return encode_report(
            build_report(
                session.source,
                session.target,
                self.report_pairs(session, standing.pairs),
                proposal=session.proposal,
                plan=standing.plan,
                forecast=standing.forecast,
                threshold=self._report.threshold,
                strategy=self._report.strategy,
                warnings=self._warnings(standing.plan),
            )
        )

    def report_pairs(self, session: Session, pairs: Sequence[Mapped]) -> Iterable[ReportPair]:
        """The report's entries with scores; the keys of one rule share the reasons of its first."""
        reasons = explained(session.proposal)
        for pair in pairs:
            source, target = session.source[pair.source], session.target[pair.target]
            yield report_pair(
                source,
                target,
                composite(source, target, self._report.weights, self._report.shape_tolerance),
                session.confidence(session.source.index[pair.source]),
                transform=pair.transform,
                status=pair.status,
                by_user=pair.by_user,
                reasons=reasons.get((pair.source, pair.target), ()),
            )

    def _warnings(self, plan: Plan) -> tuple[str, ...]:
        return (*_unproven(plan, self.source.side.listing), *self._write.warnings(self.source, plan, self.target.side))

    def _problem(self, path: Path, force: bool) -> InputError | None:
        """Why a small output cannot be written."""
        another = "Choose another output."
        if (problem := self._inputs.problem(path)) is not None:
            return problem
        if path.exists() and not path.is_file():
            return no_file(path)
        if path.exists() and not force and path.resolve() not in self._written:
            return exists_error(path)
        if not path.parent.is_dir():
            return MissingError(f"there is no folder {path.parent}", "Make it first, or choose another output.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return InputError(f"the folder {path.parent} cannot be written", another)
        return None


def _unproven(plan: Plan, source: Listing) -> tuple[str, ...]:
    """What no shape shows: that square tensors are stored the other way round, as their siblings are."""
    square = [op.source for op in plan.operations if op.kind == "transpose" and source[op.source].is_square]
    if not square:
        return ()
    return (
        f"{plural(len(square), 'square tensor is', 'square tensors are')} transposed because others are, which their "
        f"shapes cannot show, first {square[0]}: check with --strict-load, --source-model and --input",
    )


def _what_a_mapping_lacks(plan: Plan) -> tuple[str, ...]:
    """A warning where a plain mapping, which holds names alone, does not say all that the plan does."""
    changed = sum(op.kind in ("transpose", "reshape") for op in plan.operations)
    if not changed:
        return ()
    tensors = plural(changed, "tensor is", "tensors are")
    return (f"{tensors} also transposed or reshaped, which a plain mapping cannot say: apply the report",)
