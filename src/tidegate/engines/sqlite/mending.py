"""Mending and tidying in the file: dead runs put back or given up, finished events forgotten."""

from datetime import datetime

from tidegate.core.inspection import RunFilter
from tidegate.core.lifecycle import RunState
from tidegate.engines.filters import run_conditions
from tidegate.engines.instants import to_us
from tidegate.engines.sqlite.lanes import HOLDS, WAITS, LaneRuns, live_runs, merge
from tidegate.engines.sqlite.outcomes import conclude
from tidegate.engines.sqlite.transaction import Transaction
from tidegate.engines.wakeups import Work

_PUT_BACK = (
    "UPDATE runs SET state = ?2, due_us = ?3, place = ?4, failures = 0, expirations = 0,"
    " changed_us = ?5, finished_us = NULL WHERE id = ?1"
)
_DISCARD = "UPDATE runs SET state = 'discarded', changed_us = ?2, finished_us = ?2 WHERE id = ?1"
_PRUNABLE = (
    "SELECT seq FROM events WHERE finished_us < ? AND state <> 'dead'"
    # A dead run of a lane, once redriven, needs the newest event that was applied there.
    " AND NOT EXISTS (SELECT 1 FROM event_runs"
    " CROSS JOIN runs ON runs.id = event_runs.run_id AND runs.state = 'applied'"
    " CROSS JOIN runs AS dead ON dead.lane = runs.lane AND dead.state = 'dead'"
    " WHERE event_runs.event_seq = events.seq AND runs.newest_seq = events.seq"
    " AND NOT EXISTS (SELECT 1 FROM runs AS newer WHERE newer.lane = runs.lane"
    " AND newer.place > runs.newest_seq))"
    " ORDER BY finished_us, seq LIMIT ?"
)
_WRITTEN = (
    "SELECT DISTINCT writes.entity_id FROM attempts JOIN writes"
    " ON writes.seq BETWEEN attempts.first_write AND attempts.first_write + attempts.write_count - 1"
    " WHERE attempts.run_id = ? AND attempts.write_count > 0"
)
_DELETE_WRITES = (
    "DELETE FROM writes WHERE seq IN (SELECT writes.seq FROM attempts JOIN writes"
    " ON writes.seq BETWEEN attempts.first_write AND attempts.first_write + attempts.write_count - 1"
    " WHERE attempts.run_id = ? AND attempts.write_count > 0)"
)
# Nobody writes the entity any more, nothing tells of it, and no live claim is older than its last write.
_FORGET_ENTITY = (
    "DELETE FROM entities WHERE id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM owners WHERE entity_id = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM writes WHERE entity_id = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.state = 'claimed' AND runs.token < entities.stamp)"
)


def redrive(tx: Transaction, where: RunFilter, limit: int) -> int:
    """Put dead runs back, oldest first; answers how many."""
    runs = _dead_runs(tx, where, limit)
    for run_id, lane in runs:
        _put_back(tx, run_id, lane)
    return len(runs)


def _dead_runs(tx: Transaction, where: RunFilter, limit: int) -> list[tuple[int, str | None]]:
    conditions = run_conditions(where)
    conditions.add("runs.state = 'dead'")
    query = f"SELECT id, lane FROM runs WHERE {conditions.where} ORDER BY id LIMIT ?"  # noqa: S608 - own text
    return [(run_id, lane) for run_id, lane in tx.rows(query, (*conditions.values, max(limit, 0)))]


def _put_back(tx: Transaction, run_id: int, lane: str | None) -> None:
    live = LaneRuns() if lane is None else live_runs(tx, lane)
    if live.pending is not None:
        merge(tx, run_id, RunState.DEAD, live.pending)
        conclude(tx, live.pending)
        return
    state, due_us, place = RunState.READY, tx.now_us, HOLDS
    if live.claimed is not None:
        state, due_us, place = RunState.HELD, None, WAITS
    tx.run(_PUT_BACK, (run_id, state.value, due_us, None if lane is None else place, tx.now_us))
    tx.counters.moved(RunState.DEAD, state)
    tx.added.add(Work.RUNS)
    conclude(tx, run_id)


def discard(tx: Transaction, where: RunFilter, limit: int) -> int:
    """Give up dead runs, oldest first; answers how many."""
    runs = _dead_runs(tx, where, limit)
    for run_id, _ in runs:
        tx.run(_DISCARD, (run_id, tx.now_us))
        tx.counters.moved(RunState.DEAD, RunState.DISCARDED)
        conclude(tx, run_id)
    return len(runs)


def prune(tx: Transaction, finished_before: datetime, limit: int) -> int:
    """Forget events that were final before the time, those that finished first before the others."""
    seqs = [seq for (seq,) in tx.rows(_PRUNABLE, (to_us(finished_before), max(limit, 0)))]
    for seq in seqs:
        _forget(tx, seq)
    return len(seqs)


def _forget(tx: Transaction, seq: int) -> None:
    """Remove an event, the runs that stand for nothing else, and the runs that were merged into those."""
    runs = [run_id for (run_id,) in tx.rows("SELECT run_id FROM event_runs WHERE event_seq = ?", (seq,))]
    tx.run("DELETE FROM event_runs WHERE event_seq = ?", (seq,))
    tx.run("DELETE FROM event_bodies WHERE seq = ?", (seq,))
    tx.run("DELETE FROM events WHERE seq = ?", (seq,))
    for run_id in runs:
        left = tx.run(
            "UPDATE runs SET event_count = event_count - 1 WHERE id = ? AND event_count > 1", (run_id,)
        )
        if not left:
            _remove_run(tx, run_id)


def _remove_run(tx: Transaction, run_id: int) -> None:
    doomed = [run_id]
    while doomed:
        run_id = doomed.pop()
        doomed += [merged for (merged,) in tx.rows("SELECT id FROM runs WHERE superseded_by = ?", (run_id,))]
        entities = tx.rows(_WRITTEN, (run_id,))
        tx.run(_DELETE_WRITES, (run_id,))
        tx.run("DELETE FROM attempts WHERE run_id = ?", (run_id,))
        tx.run("DELETE FROM runs WHERE id = ?", (run_id,))
        for entity in entities:
            tx.run(_FORGET_ENTITY, entity)
