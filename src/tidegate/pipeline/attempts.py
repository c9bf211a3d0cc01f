"""The record of one attempt: how long each step took, what was odd, what was fetched."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

import msgspec

from tidegate.core.ports import Clock, MappingWarning
from tidegate.core.resources import WebhookEventRawResults
from tidegate.core.runs import RunClaim, Step, StepName, Trail
from tidegate.core.signals import MappingWarned, StepFinished, Telemetry
from tidegate.core.traces import Span, Tracing

MAX_WARNINGS = 50


@dataclass(slots=True)
class Attempt:
    """Collects what becomes the run's Trail. `recorded_bytes` bounds the copy of the fetched items."""

    claim: RunClaim
    clock: Clock
    telemetry: Telemetry
    tracing: Tracing
    recorded_bytes: int
    _steps: list[Step] = field(default_factory=list[Step])
    _warnings: list[str] = field(default_factory=list[str])
    _fetched: bytes = b""

    def step(self, name: StepName) -> "TimedStep":
        """Time a step; it is recorded even if it raises."""
        return TimedStep(self, name, self.tracing.span(name))

    def finished(self, name: StepName, seconds: float) -> None:
        """Record a step."""
        self._steps.append(Step(name, seconds))
        self.telemetry.emit(StepFinished(name, self.claim.kind, seconds))

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


@dataclass(slots=True)
class TimedStep:
    """A step while it is under way."""

    attempt: Attempt
    name: StepName
    span: AbstractContextManager[Span]
    began: float = 0.0

    def __enter__(self) -> None:
        self.began = self.attempt.clock.monotonic()
        self.span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.span.__exit__(kind, error, trace)
        self.attempt.finished(self.name, self.attempt.clock.monotonic() - self.began)
