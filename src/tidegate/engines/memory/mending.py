"""Mending and tidying: dead runs put back or given up, finished events forgotten."""

from datetime import datetime

from tidegate.core.inspection import RunFilter
from tidegate.core.lifecycle import LIVE_EVENT_STATES, EventState, RunState, RunTransition
from tidegate.engines.memory.inspecting import run_matches
from tidegate.engines.memory.rows import RunRow, Store


def redrive(store: Store, where: RunFilter, limit: int) -> int:
    """Put dead runs back, oldest first; answers how many."""
    runs = _dead_runs(store, where, limit)
    for run in runs:
        event_seqs = set(run.event_seqs)
        _put_back(store, run)
        store.conclude(event_seqs)
    return len(runs)


def _dead_runs(store: Store, where: RunFilter, limit: int) -> list[RunRow]:
    dead = [run for run in store.runs.values() if run.state is RunState.DEAD and run_matches(run, where)]
    return dead[: max(limit, 0)]


def _put_back(store: Store, run: RunRow) -> None:
    pending = None if run.lane is None else store.pending_run(run.lane)
    if pending is not None:
        store.merge(run, into=pending)
    elif run.lane is not None and store.active_run(run.lane) is not None:
        store.move(run, RunTransition.HOLD)
    else:
        store.move(run, RunTransition.REDRIVE, store.clock.now())
    if pending is None:
        run.failures = run.expirations = 0


def discard(store: Store, where: RunFilter, limit: int) -> int:
    """Give up dead runs, oldest first; answers how many."""
    runs = _dead_runs(store, where, limit)
    for run in runs:
        store.move(run, RunTransition.DISCARD)
        store.conclude(run.event_seqs)
    return len(runs)


def prune(store: Store, finished_before: datetime, limit: int) -> int:
    """Forget events that were final before the time, those that finished first before the others."""
    final = [
        (row.finished_at, row.event.seq)
        for row in store.events.values()
        if row.state not in LIVE_EVENT_STATES
        and row.state is not EventState.DEAD
        and row.finished_at is not None
        and row.finished_at < finished_before
        and not _stands_before_dead(store, row.event.seq)
    ]
    chosen = sorted(final)[: max(limit, 0)]
    for _, event_seq in chosen:
        _forget(store, event_seq)
    return len(chosen)


def _stands_before_dead(store: Store, event_seq: int) -> bool:
    """Whether a dead run of a lane, once redriven, would need this event: the newest that was applied there."""
    lanes = {
        run.lane
        for run in store.links(event_seq)
        if run.lane is not None and run.state is RunState.APPLIED and run.newest_seq == event_seq
    }
    applied = max(
        (
            run.newest_seq
            for run in store.runs.values()
            if run.lane in lanes and run.state is RunState.APPLIED
        ),
        default=0,
    )
    return applied == event_seq and any(
        run.lane in lanes and run.state is RunState.DEAD for run in store.runs.values()
    )


def _forget(store: Store, event_seq: int) -> None:
    """Remove an event, the runs that stand for nothing else, and the runs that were merged into those."""
    for run in store.links(event_seq):
        run.event_seqs.discard(event_seq)
        if not run.event_seqs:
            _remove_run(store, run)
    del store.events[event_seq]


def _remove_run(store: Store, run: RunRow) -> None:
    del store.runs[run.id]
    for merged in [other for other in store.runs.values() if other.superseded_by == run.id]:
        _remove_run(store, merged)
