"""Runs are lent to workers: claims in turn, and renewals."""

from collections.abc import Collection, Sequence
from datetime import datetime

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import AttemptRecord
from tidegate.core.lifecycle import RunState, RunTransition
from tidegate.core.runs import RunClaim
from tidegate.engines.lineage import Mark, source_of
from tidegate.engines.memory.rows import RunRow, Store
from tidegate.engines.settlements import EXPIRED, TURNED_AWAY
from tidegate.engines.turns import take_turns


def claim_runs(store: Store, limit: int, excluding: Collection[str], last_served: str) -> list[RunClaim]:
    """Lend due runs, oldest due first within a processor, processors in turn."""
    now = store.clock.now()
    due: dict[str, list[RunRow]] = {}
    for run in sorted(store.live_runs.values(), key=_age):
        if run.due_at is not None and run.due_at <= now and run.processor not in excluding:
            due.setdefault(run.processor, []).append(run)
    return [_lend(store, run) for _, run in take_turns(due, max(limit, 0), last_served)]


def _age(run: RunRow) -> tuple[datetime, int]:
    return run.due_at or run.created_at, run.id


def _lend(store: Store, run: RunRow) -> RunClaim:
    now = store.clock.now()
    if run.state is RunState.CLAIMED:
        run.expirations += 1
        run.attempts.append(attempt(run, EXPIRED, None))
        store.move(run, RunTransition.RECLAIM, now + store.lease)
    else:
        store.move(run, RunTransition.CLAIM, now + store.lease)
    run.token = store.next_token()
    run.claimed_at = now
    _catch_up(store, run)
    return RunClaim(
        run_id=run.id,
        token=run.token,
        processor=run.processor,
        config=run.config,
        kind=run.kind,
        resource_key=run.resource_key,
        lane=run.lane,
        event=store.events[run.newest_seq].event,
        event_count=len(run.event_seqs),
        failures=run.failures,
        expirations=run.expirations,
        version=run.version,
    )


def _catch_up(store: Store, run: RunRow) -> None:
    """A lane does not go back: a run uses no older payload, and takes no older version, than was applied."""
    newest = None if run.lane is None else _newest_applied(store, run.lane)
    if newest is None:
        return
    run.version = max(run.version, newest.version)
    if newest.newest_seq > run.newest_seq:
        store.link(run, newest.newest_seq)
        store.conclude({newest.newest_seq})


def _newest_applied(store: Store, lane: str) -> RunRow | None:
    """The run of the lane's newest event that was applied and never turned away."""
    ended = [run for run in store.runs.values() if run.lane == lane]
    turned_away = {run.newest_seq for run in ended if run.state in TURNED_AWAY}
    applied = [
        run
        for run in ended
        if run.state is RunState.APPLIED and run.newest_seq in store.events.keys() - turned_away
    ]
    return max(applied, key=lambda run: (run.newest_seq, run.version), default=None)


def next_run_due(store: Store) -> datetime | None:
    """When the next delay or lease of a run ends."""
    now = store.clock.now()
    return min(
        (run.due_at for run in store.live_runs.values() if run.due_at is not None and run.due_at > now),
        default=None,
    )


def attempt(run: RunRow, outcome: str, finished_at: datetime | None, detail: str = "") -> AttemptRecord:
    """The record of the run's claim, without a trail."""
    return AttemptRecord(
        number=len(run.attempts) + 1,
        token=run.token,
        started_at=run.claimed_at or run.created_at,
        finished_at=finished_at,
        outcome=outcome,
        detail=detail,
        steps=(),
        warnings=(),
        fetched=b"",
    )


def holder(store: Store, claim: RunClaim) -> RunRow | None:
    """The run, if the claim still holds it."""
    run = store.live_runs.get(claim.run_id)
    if run is None or run.state is not RunState.CLAIMED or run.token != claim.token:
        return None
    return run


def renew(store: Store, claims: Sequence[RunClaim]) -> frozenset[int]:
    """Extend leases."""
    live = [run for run in (holder(store, claim) for claim in claims) if run is not None]
    for run in live:
        run.due_at = store.clock.now() + store.lease
    return frozenset(run.id for run in live)


def note_writer(store: Store, claim: RunClaim, refs: Collection[EntityRef]) -> None:
    """Note the claim's source as a writer of entities."""
    source = source_of(claim)
    for ref in refs:
        rows = store.owners.setdefault(ref, {})
        if source not in rows or rows[source].event_seq <= claim.event.seq:
            rows[source] = Mark(claim.event.seq, claim.processor)
