"""Looking: what is asked of one state of the database."""

from tidegate.core.inspection import Backlog
from tidegate.engines.inspecting import Texts
from tidegate.engines.lookups import MAX_RUN_EVENTS
from tidegate.engines.postgres.reader import EVENTS, Look
from tidegate.engines.postgres.searching import EVENT_TABLES
from tidegate.engines.records import ATTEMPT_RECORD, EVENT_RECORD, WRITE_RECORD

# ruff: noqa: S608 - the texts are this module's own, values are bound

_BACKLOG = """
SELECT count_backlog.*, time_us(?::bigint) - (
    SELECT received_us FROM events WHERE seq = (
        SELECT min(seq) FROM (
            (SELECT seq FROM event_states WHERE due_us = 0 ORDER BY seq LIMIT 1)
            UNION ALL (SELECT min(seq) FROM event_states WHERE due_us > 0)
            UNION ALL (SELECT seq FROM event_states WHERE state = 'routed' ORDER BY seq LIMIT 1)
        ) AS live
    ))
FROM count_backlog()
"""
_EVENT_COLUMNS = (
    "events.seq, events.id, events.path, events.received_us, events.delivery_id, events.replay_of,"
    " events.trace_id, events.headers, events.body"
)
_EVENT = f"SELECT {EVENT_RECORD}, {_EVENT_COLUMNS} FROM {EVENTS} WHERE events.seq = ?"
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
_ENTITY_WRITES = f"""
SELECT {WRITE_RECORD} FROM writes JOIN entities ON entities.id = writes.entity_id
WHERE writes.entity_id = (SELECT id FROM entities WHERE blueprint = ? AND identifier = ?)
    AND writes.seq < ?::bigint ORDER BY writes.seq DESC LIMIT ?
"""
_HEADERS = f"""
SELECT events.headers FROM event_runs JOIN {EVENTS} ON events.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT ?
"""
TEXTS = Texts(
    tables=EVENT_TABLES,
    event=_EVENT,
    run_events=_RUN_EVENTS,
    attempts=_ATTEMPTS,
    running=_RUNNING,
    run_writes=_RUN_WRITES,
    entity_writes=_ENTITY_WRITES,
    headers=_HEADERS,
)


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
