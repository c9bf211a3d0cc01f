"""Looking: counts, listings and details."""

from contextlib import suppress

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
from tidegate.core.lifecycle import RunState
from tidegate.engines.conditions import Conditions
from tidegate.engines.filters import event_conditions, run_conditions
from tidegate.engines.lookups import MAX_RUN_EVENTS, ambiguous, check_prefix, no_event, no_run
from tidegate.engines.postgres.reader import EVENTS, Look
from tidegate.engines.records import (
    ATTEMPT_RECORD,
    EVENT_RECORD,
    EVENT_RUNS,
    RUN_RECORD,
    WRITE_RECORD,
    attempt_record,
    event_record,
    run_record,
    write_record,
)
from tidegate.engines.settlements import RUNNING
from tidegate.engines.stored import UnreadableError, decode_all_headers, read_event
from tidegate.postgres import Row

# ruff: noqa: S608 - the texts are this module's own, values are bound

_BACKLOG = """
SELECT count_backlog.*, time_us(?::bigint) - (
    SELECT received_us FROM events WHERE seq = (
        SELECT min(seq) FROM (
            (SELECT seq FROM event_states WHERE due_us = 0 ORDER BY seq LIMIT 1)
            UNION ALL (SELECT min(seq) FROM event_states WHERE due_us > 0)
            UNION ALL (SELECT seq FROM event_states WHERE state = 'routed'
                AND state IN ('routed', 'rejected', 'dead', 'discarded') ORDER BY seq LIMIT 1)
        ) AS live
    ))
FROM count_backlog()
"""
_EVENT_COLUMNS = (
    "events.seq, events.id, events.path, events.received_us, events.delivery_id, events.replay_of,"
    " events.trace_id, events.headers, events.body"
)
_EVENT = f"SELECT {EVENT_RECORD}, {_EVENT_COLUMNS} FROM {EVENTS} WHERE events.seq = ?"
_EVENT_RECORD_COLUMNS = 10
_RUN_EVENTS = f"""
SELECT {EVENT_RECORD} FROM event_runs JOIN {EVENTS} ON events.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT {MAX_RUN_EVENTS}
"""
_ATTEMPTS = f"SELECT {ATTEMPT_RECORD} FROM attempts WHERE run_id = ? ORDER BY token"
_RUNNING = (
    "SELECT token, claimed_us, NULL, ?::text, '', NULL::bytea, NULL::bytea FROM runs"
    " WHERE id = ? AND state = 'claimed'"
)
_RUN_WRITES = f"""
SELECT {WRITE_RECORD} FROM writes JOIN entities ON entities.id = writes.entity_id
WHERE writes.run_id = ? ORDER BY writes.seq
"""
_WRITES_OF = f"""
SELECT {WRITE_RECORD} FROM writes JOIN entities ON entities.id = writes.entity_id
WHERE writes.entity_id = (SELECT id FROM entities WHERE blueprint = ? AND identifier = ?)
    AND writes.seq < ?::bigint ORDER BY writes.seq DESC LIMIT ?
"""
_HEADERS = f"""
SELECT events.headers FROM event_runs JOIN {EVENTS} ON events.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT ?
"""
_NO_BOUND = 2**63 - 1


async def backlog(look: Look, given_us: int | None) -> Backlog:
    """Counts of live and dead work."""
    row = await look.row(_BACKLOG, (given_us,))
    assert row is not None  # noqa: S101 - sums have a row
    *counts, age_us = row
    queued, ready, held, claimed, dead = counts
    return Backlog(
        queued_events=queued,
        ready_runs=ready,
        held_runs=held,
        claimed_runs=claimed,
        dead_runs=dead,
        oldest_seconds=max(age_us or 0, 0) / 1_000_000,
    )


async def find_events(look: Look, where: EventFilter, page: Page) -> list[EventRecord]:
    """Events that match, newest first."""
    conditions = event_conditions(where, "events.body")
    rows = await _page(look, f"SELECT {EVENT_RECORD} FROM {EVENTS}", "events.seq", conditions, page)
    return [event_record(row) for row in rows]


async def find_runs(look: Look, where: RunFilter, page: Page) -> list[RunRecord]:
    """Runs that match, newest first."""
    rows = await _page(look, f"SELECT {RUN_RECORD} FROM runs", "runs.id", run_conditions(where), page)
    return [run_record(row) for row in rows]


async def _page(look: Look, select: str, number: str, conditions: Conditions, page: Page) -> list[Row]:
    if page.before is not None:
        conditions.add(f"{number} < ?", page.before)
    query = f"{select} WHERE {conditions.where} ORDER BY {number} DESC LIMIT ?"
    return await look.rows(query, (*conditions.values, max(page.limit, 0)))


async def event_detail(look: Look, event_id: str) -> EventDetail:
    """An event by its id or an unambiguous beginning of it. Raises NotFoundError.

    What cannot be read is shown as empty: its reason, or its run's, says so.
    """
    row = await look.row(_EVENT, (await _seq_of(look, event_id),))
    if row is None:
        raise no_event(event_id)
    record = event_record(row[:_EVENT_RECORD_COLUMNS])
    headers, body, trace_id = EventHeaders(), b"", ""
    with suppress(UnreadableError):
        stored = read_event(row[_EVENT_RECORD_COLUMNS:])
        headers, body, trace_id = stored.headers, stored.body, stored.trace_id
    runs = await runs_of_event(look, record.seq)
    return EventDetail(
        record=record,
        headers=headers,
        body=body,
        trace_id=trace_id,
        runs=runs,
        carried=frozenset(run.id for run in runs if run.event_seq == record.seq),
    )


async def runs_of_event(look: Look, seq: int) -> tuple[RunRecord, ...]:
    """The runs that stand for an event now, oldest first."""
    return tuple(run_record(run) for run in await look.rows(EVENT_RUNS, (seq,)))


async def _seq_of(look: Look, event_id: str) -> int:
    exact = await look.row("SELECT seq FROM events WHERE id = ?", (event_id,))
    if exact is not None:
        return exact[0]
    check_prefix(event_id)
    query = "SELECT seq FROM events WHERE id >= ? AND starts_with(id, ?) ORDER BY id LIMIT 2"
    found = await look.rows(query, (event_id, event_id))
    if not found:
        raise no_event(event_id)
    if len(found) > 1:
        raise ambiguous(event_id)
    return found[0][0]


async def run_detail(look: Look, run_id: int) -> RunDetail:
    """A run with all that belongs to it. Raises NotFoundError."""
    row = await look.row(f"SELECT {RUN_RECORD} FROM runs WHERE id = ?", (run_id,))
    if row is None:
        raise no_run(run_id)
    shown = await look.rows(_ATTEMPTS, (run_id,))
    if row[1] == RunState.CLAIMED:
        shown += await look.rows(_RUNNING, (RUNNING, run_id))
    return RunDetail(
        record=run_record(row),
        attempts=tuple(attempt_record(number, attempt) for number, attempt in enumerate(shown, start=1)),
        writes=tuple(write_record(write) for write in await look.rows(_RUN_WRITES, (run_id,))),
        events=tuple(event_record(event) for event in await look.rows(_RUN_EVENTS, (run_id,))),
    )


async def writes_of(look: Look, ref: EntityRef, page: Page) -> list[WriteRecord]:
    """What was done to an entity, newest first."""
    before = _NO_BOUND if page.before is None else page.before
    rows = await look.rows(_WRITES_OF, (*ref, before, max(page.limit, 0)))
    return [write_record(row) for row in rows]


async def headers_of_run(look: Look, run_id: int, limit: int) -> list[EventHeaders]:
    """Those of the events that a run stands for, newest first."""
    return decode_all_headers(headers for (headers,) in await look.rows(_HEADERS, (run_id, limit)))
