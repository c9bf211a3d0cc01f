"""Lanes: at most one run of a lane is READY or CLAIMED, at most one is HELD behind a claimed one."""

from typing import NamedTuple

from tidegate.core.lifecycle import RunState
from tidegate.core.runs import RunRequest
from tidegate.engines.instants import span_us
from tidegate.engines.sqlite.transaction import Transaction
from tidegate.engines.wakeups import Work

HOLDS, WAITS = 0, -1
"""Where a READY or CLAIMED run, and a HELD one, stand on their lane. An APPLIED one has the number of its newest event."""

_ACTIVE = "SELECT id, state FROM runs WHERE lane = ? AND place = 0"
_HELD = "SELECT id FROM runs WHERE lane = ? AND place = -1"
_INSERT = (
    "INSERT INTO runs (id, state, due_us, token, failures, expirations, newest_seq, event_count, created_us,"
    " changed_us, processor, config, kind, resource_key, lane, place, path, detail, version)"
    " VALUES (?1, ?2, ?3, 0, 0, 0, ?4, 1, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
)
_INSERT_IF_FREE = (
    f"{_INSERT} ON CONFLICT (lane, place, nullif(place > 0, 1)) WHERE place IS NOT NULL DO NOTHING"
)
_LINK = "INSERT OR IGNORE INTO event_runs (event_seq, run_id) VALUES (?, ?)"
_JOIN = (
    "UPDATE runs SET event_count = event_count + 1, path = iif(?2 > newest_seq, ?3, path),"
    " failures = iif(?2 > newest_seq, 0, failures),"
    " newest_seq = max(newest_seq, ?2), version = max(version, ?4) WHERE id = ?1"
)
_RAISE_VERSION = "UPDATE runs SET version = max(version, ?2) WHERE id = ?1"
_UNBLOCK = (
    "UPDATE runs SET state = 'ready', due_us = ?1, place = 0, changed_us = ?1 WHERE lane = ?2 AND place = -1"
)
_HAND_ON = (
    "INSERT OR IGNORE INTO event_runs (event_seq, run_id)"
    " SELECT event_seq, ?1 FROM event_runs WHERE run_id = ?2"
)
_SUPERSEDE = (
    "UPDATE runs SET state = 'superseded', due_us = NULL, place = NULL, changed_us = ?1, finished_us = ?1,"
    " superseded_by = ?2, event_count = 0 WHERE id = ?3"
)
_ADOPT = (
    "UPDATE runs SET event_count = event_count + ?2,"
    " path = iif(other.newest_seq > runs.newest_seq, other.path, runs.path),"
    " failures = iif(other.newest_seq > runs.newest_seq, 0, runs.failures),"
    " newest_seq = max(runs.newest_seq, other.newest_seq), version = max(runs.version, other.version)"
    " FROM (SELECT newest_seq, path, version FROM runs WHERE id = ?3) AS other WHERE runs.id = ?1"
)
# Of the newest event that was applied on the run's lane, is stored, and was never turned away.
_NEWEST_APPLIED = """
SELECT applied.newest_seq, events.path, applied.version, runs.newest_seq, runs.version
FROM runs
CROSS JOIN runs AS applied ON applied.lane = runs.lane AND applied.place > 0
CROSS JOIN events ON events.seq = applied.newest_seq
WHERE runs.id = ? AND NOT EXISTS (
    SELECT 1 FROM event_runs CROSS JOIN runs AS turned ON turned.id = event_runs.run_id
    WHERE event_runs.event_seq = applied.newest_seq AND turned.newest_seq = applied.newest_seq
        AND turned.lane = applied.lane AND turned.state IN ('ignored', 'rejected')
)
ORDER BY applied.place DESC, applied.version DESC LIMIT 1
"""
_OTHERS_OF = (
    "SELECT event_runs.event_seq, events.path FROM event_runs JOIN events ON events.seq = event_runs.event_seq"
    " WHERE event_runs.run_id = ? AND event_runs.event_seq <> ? ORDER BY event_runs.event_seq DESC"
)
_UNLINK_OTHERS = "DELETE FROM event_runs WHERE run_id = ? AND event_seq <> ?"


class LaneRuns(NamedTuple):
    """The ids of a lane's live runs. `pending` is READY or HELD: new events join it."""

    claimed: int | None = None
    pending: int | None = None


def live_runs(tx: Transaction, lane: str) -> LaneRuns:
    """What is live on a lane."""
    active = tx.row(_ACTIVE, (lane,))
    if active is None:
        return LaneRuns()
    if active[1] == RunState.READY:
        return LaneRuns(pending=active[0])
    held = tx.row(_HELD, (lane,))
    return LaneRuns(active[0], held[0] if held else None)


def request_run(tx: Transaction, event_seq: int, path: str, request: RunRequest) -> None:
    """Create a run, or join the pending one of the lane. A lane is asked who is on it only if it is taken."""
    if create_run(tx, event_seq, path, request) or request.lane is None:
        return
    pending = live_runs(tx, request.lane).pending
    if pending is None:
        create_run(tx, event_seq, path, request, held=True)
    else:
        join(tx, pending, event_seq, path, request.version)


def join(tx: Transaction, run_id: int, event_seq: int, path: str, version: str = "") -> None:
    """Let a run stand for one more event. A newer one has all its retries before it."""
    if tx.run(_LINK, (event_seq, run_id)):
        tx.run(_JOIN, (run_id, event_seq, path, version))
    elif version:
        tx.run(_RAISE_VERSION, (run_id, version))


def catch_up(tx: Transaction, run_id: int) -> bool:
    """A lane does not go back: a run uses no older payload, and takes no older version, than was applied.

    True if the run was behind.
    """
    row = tx.row(_NEWEST_APPLIED, (run_id,))
    if row is None:
        return False
    newest_seq, path, version, own_seq, own_version = row
    if newest_seq > own_seq:
        join(tx, run_id, newest_seq, path, version)
    elif version > own_version:
        tx.run(_RAISE_VERSION, (run_id, version))
    else:
        return False
    return True


def create_run(
    tx: Transaction, event_seq: int, path: str, request: RunRequest, *, held: bool = False
) -> bool:
    """A run for one event. False, and none, if it is not to be held and its lane is taken."""
    state = RunState.HELD if held else RunState.READY
    due_us = None if held else tx.now_us + span_us(request.delay_seconds)
    run_id = tx.counters.run_id + 1
    key = (request.processor, request.config, request.kind, request.resource_key, request.lane)
    place = None if request.lane is None else WAITS if held else HOLDS
    error = request.error or ""
    values = (run_id, state.value, due_us, event_seq, tx.now_us, *key, place, path, error)
    if not tx.run(_INSERT if held else _INSERT_IF_FREE, (*values, request.version)):
        return False
    tx.counters.run_id = run_id
    tx.counters.count(state, +1)
    tx.run(_LINK, (event_seq, run_id))
    if not held:
        tx.added.add(Work.RUNS)
    return True


def unblock(tx: Transaction, lane: str) -> None:
    """The claimed run of the lane ended: the one behind it is due now."""
    if tx.counters.held_runs and tx.run(_UNBLOCK, (tx.now_us, lane)):
        tx.counters.moved(RunState.HELD, RunState.READY)
        tx.added.add(Work.RUNS)


def merge_held(tx: Transaction, lane: str, into: int) -> None:
    """The claimed run of the lane will be tried again: the one behind it becomes part of it."""
    held = tx.row(_HELD, (lane,)) if tx.counters.held_runs else None
    if held is not None:
        merge(tx, held[0], RunState.HELD, into)


def merge(tx: Transaction, run_id: int, state: RunState, into: int) -> None:
    """Hand a run's events on to another run of its lane."""
    handed = tx.run(_HAND_ON, (into, run_id))
    tx.run(_ADOPT, (into, handed, run_id))
    tx.run("DELETE FROM event_runs WHERE run_id = ?", (run_id,))
    tx.run(_SUPERSEDE, (tx.now_us, into, run_id))
    tx.counters.moved(state, RunState.SUPERSEDED)


def pass_on(tx: Transaction, run_id: int, newest_seq: int, again: RunRequest) -> None:
    """The newest event of an ended run was turned away; nobody looked at the others: they go on without it."""
    others = tx.rows(_OTHERS_OF, (run_id, newest_seq))
    if again.lane is None or not others:
        return
    pending = live_runs(tx, again.lane).pending
    if pending is None:
        event_seq, path = others.pop(0)
        create_run(tx, event_seq, path, again)
        pending = tx.counters.run_id
    for event_seq, path in others:
        join(tx, pending, event_seq, path)
    tx.run(_RAISE_VERSION, (pending, again.version))
    tx.run(_UNLINK_OTHERS, (run_id, newest_seq))
    tx.run("UPDATE runs SET event_count = 1 WHERE id = ?", (run_id,))
