"""Looking: records, listings and counts."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from tidegate.core.entities import EntityRef
from tidegate.core.events import EventHeaders
from tidegate.core.inspection import (
    Backlog,
    EventDetail,
    EventFilter,
    EventRecord,
    Page,
    RunDetail,
    RunFilter,
    RunRecord,
    WriteRecord,
)
from tidegate.core.lifecycle import LIVE_EVENT_STATES, RunState
from tidegate.engines.lookups import MAX_RUN_EVENTS, ambiguous, check_prefix, no_event, no_run
from tidegate.engines.memory.claiming import attempt
from tidegate.engines.memory.rows import EventRow, RunRow, Store
from tidegate.engines.settlements import RUNNING

RowT = TypeVar("RowT")


def backlog(store: Store) -> Backlog:
    """Counts of live and dead work."""
    states = [run.state for run in store.runs.values()]
    oldest = next((row for row in store.events.values() if row.state in LIVE_EVENT_STATES), None)
    age = 0.0 if oldest is None else (store.clock.now() - oldest.event.received_at).total_seconds()
    return Backlog(
        queued_events=len(store.queued),
        ready_runs=states.count(RunState.READY),
        held_runs=states.count(RunState.HELD),
        claimed_runs=states.count(RunState.CLAIMED),
        dead_runs=states.count(RunState.DEAD),
        oldest_seconds=max(age, 0.0),
    )


def event_record(row: EventRow) -> EventRecord:
    """An event as listings show it."""
    event = row.event
    return EventRecord(
        seq=event.seq,
        id=event.id,
        path=event.path,
        state=row.state,
        received_at=event.received_at,
        finished_at=row.finished_at,
        delivery_id=event.delivery_id,
        replay_of=event.replay_of,
        reason=row.reason,
        size_bytes=len(event.body),
    )


def run_record(store: Store, run: RunRow) -> RunRecord:
    """A run as listings show it."""
    newest = store.events.get(run.newest_seq)
    return RunRecord(
        id=run.id,
        state=run.state,
        path=run.path,
        processor=run.processor,
        config=run.config,
        kind=run.kind,
        resource_key=run.resource_key,
        event_id="" if newest is None else newest.event.id,
        event_seq=run.newest_seq,
        event_count=len(run.event_seqs),
        failures=run.failures,
        expirations=run.expirations,
        created_at=run.created_at,
        due_at=run.due_at,
        finished_at=run.finished_at,
        detail=run.detail,
        superseded_by=run.superseded_by,
    )


def find_events(store: Store, where: EventFilter, page: Page) -> list[EventRecord]:
    """Events that match, newest first."""
    found = (row for row in store.events.values() if _event_matches(store, row, where))
    return [event_record(row) for row in _slice(found, lambda row: row.event.seq, page)]


def _event_matches(store: Store, row: EventRow, where: EventFilter) -> bool:
    event = row.event
    if where.text is not None:
        in_delivery_id = where.text in (event.delivery_id or "")
        if not in_delivery_id and where.text.encode() not in event.body:
            return False
    return (
        (not where.ids or event.id in where.ids)
        and where.path in {None, event.path}
        and where.state in {None, row.state}
        and where.delivery_id in {None, event.delivery_id}
        and _within(event.received_at, where.since, where.until)
        and _has_run(store, event.seq, where)
    )


def _has_run(store: Store, event_seq: int, where: EventFilter) -> bool:
    if where.processor is None and where.kind is None and where.resource_key is None:
        return True
    return any(
        where.processor in {None, run.processor}
        and where.kind in {None, run.kind}
        and where.resource_key in {None, run.resource_key}
        for run in store.links(event_seq)
    )


def _within(time: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or time >= since) and (until is None or time < until)


def _slice(rows: Iterable[RowT], number: Callable[[RowT], int], page: Page) -> list[RowT]:
    """The page's rows, highest number first."""
    wanted = [row for row in rows if page.before is None or number(row) < page.before]
    return sorted(wanted, key=number, reverse=True)[: max(page.limit, 0)]


def event_detail(store: Store, event_id: str) -> EventDetail:
    """An event by its id or an unambiguous beginning of it. Raises NotFoundError."""
    row = _named(store, event_id)
    runs = store.links(row.event.seq)
    return EventDetail(
        record=event_record(row),
        headers=row.event.headers,
        body=row.event.body,
        trace_id=row.event.trace_id,
        runs=tuple(run_record(store, run) for run in runs),
        carried=frozenset(run.id for run in runs if run.newest_seq == row.event.seq),
    )


def _named(store: Store, event_id: str) -> EventRow:
    exact = [row for row in store.events.values() if row.event.id == event_id]
    if exact:
        return exact[0]
    check_prefix(event_id)
    found = [row for row in store.events.values() if row.event.id.startswith(event_id)]
    if not found:
        raise no_event(event_id)
    if len(found) > 1:
        raise ambiguous(event_id)
    return found[0]


def find_runs(store: Store, where: RunFilter, page: Page) -> list[RunRecord]:
    """Runs that match, newest first."""
    found = (run for run in store.runs.values() if run_matches(run, where))
    return [run_record(store, run) for run in _slice(found, lambda run: run.id, page)]


def run_matches(run: RunRow, where: RunFilter) -> bool:
    """True if all conditions hold."""
    return (
        (not where.ids or run.id in where.ids)
        and where.state in {None, run.state}
        and where.path in {None, run.path}
        and where.processor in {None, run.processor}
        and where.kind in {None, run.kind}
        and (where.error is None or where.error in run.detail)
        and _within(run.changed_at, where.since, where.until)
    )


def run_detail(store: Store, run_id: int) -> RunDetail:
    """A run with all that belongs to it. Raises NotFoundError."""
    row = store.runs.get(run_id)
    if row is None:
        raise no_run(run_id)
    attempts = tuple(row.attempts)
    if row.state is RunState.CLAIMED:
        attempts += (attempt(row, RUNNING, None),)
    events = sorted(row.event_seqs, reverse=True)[:MAX_RUN_EVENTS]
    return RunDetail(
        record=run_record(store, row),
        attempts=attempts,
        writes=tuple(row.writes),
        events=tuple(event_record(store.events[seq]) for seq in events),
    )


def writes_of(store: Store, ref: EntityRef, page: Page) -> list[WriteRecord]:
    """What was done to an entity, newest first."""
    found = (write for row in store.runs.values() for write in row.writes if write.ref == ref)
    return _slice(found, lambda write: write.seq, page)


def headers_of_run(store: Store, run_id: int, limit: int) -> list[EventHeaders]:
    """Those of the events that a run stands for, newest first."""
    run = store.runs.get(run_id)
    seqs = sorted(run.event_seqs, reverse=True) if run else []
    return [store.events[seq].event.headers for seq in seqs[:limit]]
