"""Rows become records. The columns are selected by the same names in every engine on SQL."""

from typing import Any

from tidegate.core.entities import EntityRef
from tidegate.core.events import StoredEvent
from tidegate.core.inspection import AttemptRecord, EventRecord, RunRecord, WriteRecord
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.runs import RunClaim
from tidegate.engines.instants import from_us, optional_time
from tidegate.engines.stored import decode_fetched, decode_trail

Row = tuple[Any, ...]

EVENT_RECORD = (
    "events.seq, events.id, events.path, events.state, events.received_us, events.finished_us,"
    " events.delivery_id, events.replay_of, events.reason, events.size_bytes"
)
RUN_RECORD = (
    "runs.id, runs.state, runs.path, runs.processor, runs.config, runs.kind, runs.resource_key,"
    " coalesce((SELECT events.id FROM events WHERE events.seq = runs.newest_seq), ''), runs.newest_seq,"
    " runs.event_count, runs.failures, runs.expirations, runs.created_us, runs.due_us, runs.finished_us,"
    " runs.detail, runs.superseded_by"
)
ATTEMPT_RECORD = "token, started_us, finished_us, outcome, detail, trail, fetched"
WRITE_RECORD = (
    "writes.seq, entities.blueprint, entities.identifier, writes.action, writes.reason, writes.run_id,"
    " coalesce((SELECT events.id FROM events WHERE events.seq = writes.event_seq), ''), writes.at_us,"
    " writes.document"
)

EVENT_RUNS = (
    f"SELECT {RUN_RECORD} FROM event_runs JOIN runs ON runs.id = event_runs.run_id"  # noqa: S608 - own text
    " WHERE event_runs.event_seq = ? ORDER BY runs.id"
)
"""The runs that stand for an event now, oldest first, as RUN_RECORD."""


def event_record(row: Row) -> EventRecord:
    """From EVENT_RECORD."""
    seq, event_id, path, state, received_us, finished_us, delivery_id, replay_of, reason, size = row
    return EventRecord(
        seq=seq,
        id=event_id,
        path=path,
        state=EventState(state),
        received_at=from_us(received_us),
        finished_at=optional_time(finished_us),
        delivery_id=delivery_id,
        replay_of=replay_of,
        reason=reason,
        size_bytes=size,
    )


def run_record(row: Row) -> RunRecord:
    """From RUN_RECORD."""
    run_id, state, path, processor, config, kind, resource_key, event_id, event_seq, count, *rest = row
    failures, expirations, created_us, due_us, finished_us, detail, superseded_by = rest
    return RunRecord(
        id=run_id,
        state=RunState(state),
        path=path,
        processor=processor,
        config=config,
        kind=kind,
        resource_key=resource_key,
        event_id=event_id,
        event_seq=event_seq,
        event_count=count,
        failures=failures,
        expirations=expirations,
        created_at=from_us(created_us),
        due_at=optional_time(due_us),
        finished_at=optional_time(finished_us),
        detail=detail,
        superseded_by=superseded_by,
    )


def run_claim(run_id: int, token: int, columns: Row, event: StoredEvent) -> RunClaim:
    """From processor, config, kind, resource_key, lane, event_count, failures, expirations, version."""
    processor, config, kind, resource_key, lane, count, failures, expirations, version = columns
    return RunClaim(
        run_id=run_id,
        token=token,
        processor=processor,
        config=config,
        kind=kind,
        resource_key=resource_key,
        lane=lane,
        event=event,
        event_count=count,
        failures=failures,
        expirations=expirations,
        version=version,
    )


def attempt_record(number: int, row: Row) -> AttemptRecord:
    """From ATTEMPT_RECORD."""
    token, started_us, finished_us, outcome, detail, trail, fetched = row
    steps, warnings = decode_trail(trail)
    return AttemptRecord(
        number=number,
        token=token,
        started_at=from_us(started_us),
        finished_at=optional_time(finished_us),
        outcome=outcome,
        detail=detail,
        steps=steps,
        warnings=warnings,
        fetched=decode_fetched(fetched),
    )


def write_record(row: Row) -> WriteRecord:
    """From WRITE_RECORD."""
    seq, blueprint, identifier, action, reason, run_id, event_id, at_us, document = row
    return WriteRecord(
        seq=seq,
        ref=EntityRef(blueprint, identifier),
        action=action,
        reason=reason,
        run_id=run_id,
        event_id=event_id,
        at=from_us(at_us),
        document=document,
    )
