"""The record of one attempt: how long each step took, what was odd, what was fetched."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from tidegate.core.ports import Clock, MappingWarning
from tidegate.core.resources import WebhookEventRawResults
from tidegate.core.runs import RunClaim, Step, StepName, Trail
from tidegate.core.signals import AttemptEnded, MappingWarned, Telemetry
from tidegate.core.traces import Span, Tracing

MAX_WARNINGS = 50


@dataclass(slots=True)
class Attempt:
    """Collects what becomes the run's Trail. `recorded_bytes` bounds the copy of the fetched items.

    It times one step after another: `with attempt.step(StepName.MAP): …`.
    """

    claim: RunClaim
    clock: Clock
    telemetry: Telemetry
    tracing: Tracing
    recorded_bytes: int
    _steps: list[Step] = field(default_factory=list[Step])
    _warnings: list[str] = field(default_factory=list[str])
    _fetched: bytes = b""
    _name: StepName = StepName.LOAD
    _began: float = 0.0
    _span: AbstractContextManager[Span] | None = None

    def step(self, name: StepName) -> Self:
        """Time a step, until the block ends; it is recorded even if it raises."""
        self._name = name
        return self

    def __enter__(self) -> None:
        self._began = self.clock.monotonic()
        if self.tracing.enabled:
            self._span = self.tracing.span(self._name)
            self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
        self._steps.append(Step(self._name, self.clock.monotonic() - self._began))

    def ended(self) -> None:
        """Tell telemetry how long the steps took."""
        if self._steps:
            self.telemetry.emit(AttemptEnded(self.claim.kind, tuple(self._steps)))

    def note(self, text: str) -> None:
        """Say what the last step decided."""
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = Step(last.name, last.duration_seconds, text)

    def fetched(self, results: WebhookEventRawResults) -> None:
        """Keep the raw results for the timeline and the playground, unless they are too large."""
        self.note(
            f"{len(results.updated_raw_results)} updated, {len(results.deleted_raw_results)} deleted items"
        )
        if self.recorded_bytes <= 0:
            return
        document = msgspec.json.encode(
            {"updated": results.updated_raw_results, "deleted": results.deleted_raw_results}
        )
        if len(document) <= self.recorded_bytes:
            self._fetched = document

    def warn(self, *warnings: MappingWarning | str) -> None:
        for warning in warnings:
            text = str(warning)
            self.telemetry.emit(MappingWarned(self.claim.kind, self.claim.run_id, text))
            if len(self._warnings) < MAX_WARNINGS:
                self._warnings.append(text)

    def trail(self) -> Trail:
        return Trail(tuple(self._steps), tuple(self._warnings), self._fetched)
