"""The spans of routings and runs: each carries on the trace of the event, in whichever process and attempt."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.ports import Engine
from tidegate.core.runs import Dead, EventClaim, Rejected, Retry, RunClaim, Settlement
from tidegate.core.traces import NO_TRACING, SUBJECT, Span, SpanKind, Subject, Tracing

MAX_LINKS = 32
"""How many of the events that a run stands for are linked to its span."""


@dataclass(frozen=True, slots=True)
class WorkTraces:
    """Opens the spans of a worker's tasks, and tells log lines what each task works on."""

    engine: Engine
    tracing: Tracing = NO_TRACING

    def routing(self, claim: EventClaim) -> AbstractContextManager[Span]:
        """The span of an event's routing."""
        event = claim.event
        SUBJECT.set(Subject(event.id, event.trace_id))
        return self.tracing.span("route", SpanKind.CONSUMER, event.headers, event=event.id, path=event.path)

    def run(self, claim: RunClaim) -> AbstractContextManager[Span]:
        """The span of one attempt of a run."""
        event = claim.event
        SUBJECT.set(Subject(event.id, event.trace_id, claim.run_id))
        if not self.tracing.enabled:
            return self.tracing.span("process")
        return self.tracing.span(
            f"process {claim.kind}",
            SpanKind.CONSUMER,
            event.headers,
            event=event.id,
            run=claim.run_id,
            processor=claim.processor,
            kind=claim.kind,
            resource=claim.resource_key or "",
            attempt=claim.failures + 1,
            events=claim.event_count,
        )

    async def link(self, span: Span, claim: RunClaim) -> None:
        """Link the other events that the run stands for: their traces end at its span."""
        if not self.tracing.enabled or claim.event_count < 2:
            return
        try:
            all_headers = await self.engine.headers(claim.run_id, MAX_LINKS + 1)
        except EngineUnavailableError:
            return
        own = claim.event.headers.get("traceparent")
        for headers in all_headers:
            if headers.get("traceparent") != own:
                span.link(headers)

    def conclude(self, span: Span, settlement: Settlement) -> None:
        """Say how an attempt ended."""
        if not self.tracing.enabled:
            return
        span.note(outcome=type(settlement).__name__.lower())
        match settlement:
            case Retry(error=reason) | Dead(error=reason) | Rejected(reason=reason):
                span.failed(reason)
            case _:
                pass
