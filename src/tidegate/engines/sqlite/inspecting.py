"""Looking: counts, listings and details, on connections that never hold up the writer."""

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
from tidegate.engines.sqlite.database import Database, Row
from tidegate.engines.sqlite.events import EVENT_COLUMNS
from tidegate.engines.sqlite.transaction import SELECT_COUNTERS, Counters
from tidegate.engines.stored import UnreadableError, decode_all_headers, read_event

# ruff: noqa: S608 - the texts are this module's own, values are bound

_OLDEST = """
SELECT min(received_us) FROM events WHERE seq = (
    SELECT min(seq) FROM (
        SELECT (SELECT seq FROM events WHERE due_us = 0 ORDER BY seq LIMIT 1) AS seq
        UNION ALL SELECT (SELECT min(+seq) FROM events WHERE due_us > 0)
        UNION ALL SELECT (SELECT seq FROM events WHERE state = 'routed'
            AND state IN ('routed', 'rejected', 'dead', 'discarded') ORDER BY seq LIMIT 1)
    )
)
"""
_EVENT = f"""
SELECT {EVENT_RECORD}, {EVENT_COLUMNS} FROM events LEFT JOIN event_bodies USING (seq) WHERE events.seq = ?
"""
_EVENT_RECORD_COLUMNS = 10
_RUN_EVENTS = f"""
SELECT {EVENT_RECORD} FROM event_runs JOIN events ON events.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT {MAX_RUN_EVENTS}
"""
_ATTEMPTS = f"SELECT {ATTEMPT_RECORD}, first_write, write_count FROM attempts WHERE run_id = ? ORDER BY token"
_RUNNING = "SELECT token, claimed_us, NULL, ?, '', NULL, NULL FROM runs WHERE id = ? AND state = 'claimed'"
_WRITES_BETWEEN = f"""
SELECT {WRITE_RECORD} FROM writes JOIN entities ON entities.id = writes.entity_id
WHERE writes.seq BETWEEN ? AND ? ORDER BY writes.seq
"""
_WRITES_OF = f"""
SELECT {WRITE_RECORD} FROM entities JOIN writes ON writes.entity_id = entities.id
WHERE entities.blueprint = ? AND entities.identifier = ? AND writes.seq < ? ORDER BY writes.seq DESC LIMIT ?
"""
_HEADERS = """
SELECT event_bodies.headers FROM event_runs JOIN event_bodies ON event_bodies.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT ?
"""
_NO_BOUND = 2**63 - 1


def backlog(database: Database, now_us: int) -> Backlog:
    """Counts of live and dead work."""
    row = database.row(SELECT_COUNTERS)
    assert row is not None  # noqa: S101 - the schema puts the row there
    counters = Counters(*row)
    oldest = database.row(_OLDEST)
    age_us = 0 if oldest is None or oldest[0] is None else now_us - oldest[0]
    return Backlog(
        queued_events=counters.queued_events,
        ready_runs=counters.ready_runs,
        held_runs=counters.held_runs,
        claimed_runs=counters.claimed_runs,
        dead_runs=counters.dead_runs,
        oldest_seconds=max(age_us, 0) / 1_000_000,
    )


def find_events(database: Database, where: EventFilter, page: Page) -> list[EventRecord]:
    """Events that match, newest first."""
    conditions = event_conditions(where, "event_bodies.body")
    tables = "events" if where.text is None else "events LEFT JOIN event_bodies USING (seq)"
    rows = _page(database, f"SELECT {EVENT_RECORD} FROM {tables}", "events.seq", conditions, page)
    return [event_record(row) for row in rows]


def find_runs(database: Database, where: RunFilter, page: Page) -> list[RunRecord]:
    """Runs that match, newest first."""
    rows = _page(database, f"SELECT {RUN_RECORD} FROM runs", "runs.id", run_conditions(where), page)
    return [run_record(row) for row in rows]


def _page(database: Database, select: str, number: str, conditions: Conditions, page: Page) -> list[Row]:
    if page.before is not None:
        conditions.add(f"{number} < ?", page.before)
    query = f"{select} WHERE {conditions.where} ORDER BY {number} DESC LIMIT ?"
    return database.rows(query, (*conditions.values, max(page.limit, 0)))


def event_detail(database: Database, event_id: str) -> EventDetail:
    """An event by its id or an unambiguous beginning of it. Raises NotFoundError.

    What cannot be read is shown as empty: its reason, or its run's, says so.
    """
    row = database.row(_EVENT, (_seq_of(database, event_id),))
    if row is None:
        raise no_event(event_id)
    record = event_record(row[:_EVENT_RECORD_COLUMNS])
    headers, body, trace_id = EventHeaders(), b"", ""
    with suppress(UnreadableError):
        stored = read_event(row[_EVENT_RECORD_COLUMNS:])
        headers, body, trace_id = stored.headers, stored.body, stored.trace_id
    runs = runs_of_event(database, record.seq)
    return EventDetail(
        record=record,
        headers=headers,
        body=body,
        trace_id=trace_id,
        runs=runs,
        carried=frozenset(run.id for run in runs if run.event_seq == record.seq),
    )


def runs_of_event(database: Database, seq: int) -> tuple[RunRecord, ...]:
    """The runs that stand for an event now, oldest first."""
    return tuple(run_record(run) for run in database.rows(EVENT_RUNS, (seq,)))


def _seq_of(database: Database, event_id: str) -> int:
    exact = database.row("SELECT seq FROM events WHERE id = ?", (event_id,))
    if exact is not None:
        return exact[0]
    check_prefix(event_id)
    query = "SELECT seq FROM events WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2"
    found = database.rows(query, (event_id,))
    if not found:
        raise no_event(event_id)
    if len(found) > 1:
        raise ambiguous(event_id)
    return found[0][0]


def run_detail(database: Database, run_id: int) -> RunDetail:
    """A run with all that belongs to it. Raises NotFoundError."""
    row = database.row(f"SELECT {RUN_RECORD} FROM runs WHERE id = ?", (run_id,))
    if row is None:
        raise no_run(run_id)
    attempts = database.rows(_ATTEMPTS, (run_id,))
    writes = [
        write
        for *_, first, count in attempts
        if count
        for write in database.rows(_WRITES_BETWEEN, (first, first + count - 1))
    ]
    shown = [attempt[:-2] for attempt in attempts]
    if row[1] == RunState.CLAIMED:
        shown += database.rows(_RUNNING, (RUNNING, run_id))
    return RunDetail(
        record=run_record(row),
        attempts=tuple(attempt_record(number, attempt) for number, attempt in enumerate(shown, start=1)),
        writes=tuple(write_record(write) for write in writes),
        events=tuple(event_record(event) for event in database.rows(_RUN_EVENTS, (run_id,))),
    )


def writes_of(database: Database, ref: EntityRef, page: Page) -> list[WriteRecord]:
    """What was done to an entity, newest first."""
    before = _NO_BOUND if page.before is None else page.before
    rows = database.rows(_WRITES_OF, (*ref, before, max(page.limit, 0)))
    return [write_record(row) for row in rows]


def headers_of_run(database: Database, run_id: int, limit: int) -> list[EventHeaders]:
    """Those of the events that a run stands for, newest first."""
    return decode_all_headers(headers for (headers,) in database.rows(_HEADERS, (run_id, limit)))
