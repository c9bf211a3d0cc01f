"""Tells telemetry how a claim ended, and what was written."""

from datetime import datetime

from tidegate.core.runs import (
    Completed,
    Dead,
    Ignored,
    Rejected,
    Released,
    Rerouted,
    Retry,
    RunClaim,
    Settlement,
)
from tidegate.core.signals import EntityWritten, RunSettled, Telemetry


def report(
    telemetry: Telemetry, now: datetime, claim: RunClaim, settlement: Settlement, *, stale: bool
) -> None:
    """Emit RunSettled, and EntityWritten for each write of a run that completed."""
    freshness_seconds = (now - claim.event.received_at).total_seconds()
    telemetry.emit(
        RunSettled(
            run_id=claim.run_id,
            event_id=claim.event.id,
            processor=claim.processor,
            kind=claim.kind,
            outcome=type(settlement).__name__.lower(),
            detail=_detail(settlement),
            freshness_seconds=freshness_seconds,
            stale=stale,
            step=settlement.trail.steps[-1].name if settlement.trail.steps else "",
            event_count=claim.event_count,
        )
    )
    if stale or not isinstance(settlement, (Completed, Retry, Dead)):
        return
    for write in settlement.writes:
        telemetry.emit(
            EntityWritten(
                blueprint=write.ref.blueprint,
                identifier=write.ref.identifier,
                action=write.action,
                kind=claim.kind,
                run_id=claim.run_id,
                event_id=claim.event.id,
                freshness_seconds=freshness_seconds,
                reason=write.reason,
            )
        )


def _detail(settlement: Settlement) -> str:
    match settlement:
        case Completed():
            return ""
        case Rerouted(reason=text) | Ignored(reason=text) | Rejected(reason=text) | Released(reason=text):
            return text
        case Retry(error=text) | Dead(error=text):
            return text
