"""Looking: what is asked on connections that never hold up the writer."""

from tidegate.core.inspection import Backlog
from tidegate.engines.inspecting import Texts
from tidegate.engines.lookups import MAX_RUN_EVENTS
from tidegate.engines.records import ATTEMPT_RECORD, EVENT_RECORD, WRITE_RECORD
from tidegate.engines.sqlite.database import Database
from tidegate.engines.sqlite.events import EVENT_COLUMNS
from tidegate.engines.sqlite.searching import EVENT_TABLES
from tidegate.engines.sqlite.transaction import SELECT_COUNTERS, Counters

# ruff: noqa: S608 - the texts are this module's own, values are bound

_OLDEST = """
SELECT min(received_us) FROM events WHERE seq = (
    SELECT min(seq) FROM (
        SELECT (SELECT seq FROM events WHERE state = 'queued' ORDER BY seq LIMIT 1) AS seq
        UNION ALL SELECT (SELECT seq FROM events WHERE state = 'routed' ORDER BY seq LIMIT 1)
    )
)
"""
_EVENT = f"""
SELECT {EVENT_RECORD}, {EVENT_COLUMNS} FROM events LEFT JOIN event_bodies USING (seq) WHERE events.seq = ?
"""
_RUN_EVENTS = f"""
SELECT {EVENT_RECORD} FROM event_runs JOIN events ON events.seq = event_runs.event_seq
WHERE event_runs.run_id = ? ORDER BY event_runs.event_seq DESC LIMIT {MAX_RUN_EVENTS}
"""
_ATTEMPTS = f"SELECT {ATTEMPT_RECORD} FROM attempts WHERE run_id = ? ORDER BY token"
_RUNNING = "SELECT token, claimed_us, NULL, ?, '', NULL, NULL FROM runs WHERE id = ? AND state = 'claimed'"
# The writes of an attempt are a range: there is no index by run.
_RUN_WRITES = f"""
SELECT {WRITE_RECORD} FROM attempts
CROSS JOIN writes ON writes.seq BETWEEN attempts.first_write AND attempts.first_write + attempts.write_count - 1
CROSS JOIN entities ON entities.id = writes.entity_id
WHERE attempts.run_id = ? ORDER BY writes.seq
"""
_ENTITY_WRITES = f"""
SELECT {WRITE_RECORD} FROM entities JOIN writes ON writes.entity_id = entities.id
WHERE entities.blueprint = ? AND entities.identifier = ? AND writes.seq < ? ORDER BY writes.seq DESC LIMIT ?
"""
_HEADERS = """
SELECT event_bodies.headers FROM event_runs JOIN event_bodies ON event_bodies.seq = event_runs.event_seq
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
