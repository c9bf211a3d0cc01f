"""Runs are lent to workers: claims in turn, renewals, and what happens to a run that cannot be read."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tidegate.core.lifecycle import RunState
from tidegate.core.runs import Released, RunClaim
from tidegate.engines.records import run_claim
from tidegate.engines.settlements import EXPIRED
from tidegate.engines.sqlite.database import CorruptError, Row
from tidegate.engines.sqlite.events import EVENT_COLUMNS
from tidegate.engines.sqlite.lanes import catch_up, unblock
from tidegate.engines.sqlite.outcomes import conclude
from tidegate.engines.sqlite.settling import record_attempt, settle
from tidegate.engines.sqlite.transaction import DamageError, Transaction
from tidegate.engines.stored import UnreadableError, read_event
from tidegate.engines.turns import take_turns

# Each step jumps to the next processor by the index, however many runs each has.
_PROCESSORS = """
WITH RECURSIVE found(processor) AS (
    SELECT min(processor) FROM runs WHERE state = 'ready' AND due_us IS NOT NULL
    UNION ALL
    SELECT (
        SELECT min(processor) FROM runs
        WHERE state = 'ready' AND due_us IS NOT NULL AND processor > found.processor
    )
    FROM found WHERE found.processor IS NOT NULL
)
SELECT processor FROM found WHERE processor IS NOT NULL
"""
_DUE = "SELECT due_us, id FROM runs WHERE state = 'ready' AND processor = ? AND due_us <= ? ORDER BY due_us, id LIMIT ?"
_NEXT_DUE = "SELECT min(due_us) FROM runs WHERE state = 'ready' AND processor = ? AND due_us > ?"
# These walk through the claims: there are no more of them than workers have in hand.
_OVER = "SELECT processor, due_us, id FROM runs WHERE state = 'claimed' AND due_us <= ?"
_NEXT_OVER = "SELECT min(due_us) FROM runs WHERE state = 'claimed' AND due_us > ?"
_READ = f"""
SELECT EXISTS (SELECT 1 FROM runs AS applied WHERE applied.lane = runs.lane AND applied.place > 0),
    runs.state, runs.token, runs.processor, runs.config, runs.kind, runs.resource_key, runs.lane,
    runs.event_count, runs.failures, runs.expirations, runs.version, {EVENT_COLUMNS}
FROM runs LEFT JOIN events ON events.seq = runs.newest_seq LEFT JOIN event_bodies ON event_bodies.seq = events.seq
WHERE runs.id = ?
"""  # noqa: S608 - own text
_RUN_COLUMNS = 12
_LEND = (
    "UPDATE runs SET state = 'claimed', due_us = ?2, token = ?3, claimed_us = ?4, changed_us = ?4,"
    " expirations = ?5 WHERE id = ?1"
)
_RENEW = "UPDATE runs SET due_us = ? WHERE id = ? AND token = ? AND state = 'claimed'"
_KILL = (
    "UPDATE runs SET state = 'dead', due_us = NULL, place = NULL, changed_us = ?2, finished_us = ?2, detail = ?3"
    " WHERE id = ?1 RETURNING lane"
)


class RunsLent(NamedTuple):
    """Claims, the processor served last, and when the next delay or lease ends (if nothing is due now)."""

    claims: list[RunClaim]
    last_served: str
    next_due_us: int | None
    exhausted: bool


def claim_runs(tx: Transaction, limit: int, excluding: Collection[str], last_served: str) -> RunsLent:
    """Lend due runs, oldest due first within a processor, processors in turn."""
    names = [name for (name,) in tx.rows(_PROCESSORS)]
    claims: list[RunClaim] = []
    while len(claims) < limit:
        wanted = limit - len(claims)
        due = {name: tx.rows(_DUE, (name, tx.now_us, wanted)) for name in names}
        for name, *over in tx.rows(_OVER, (tx.now_us,)):
            due[name] = sorted([*due.get(name, ()), tuple(over)])
        offered = {name: rows for name, rows in due.items() if name not in excluding}
        turns = take_turns(offered, wanted, last_served)
        lent = [claim for _, (_, run_id) in turns if (claim := _lend(tx, run_id)) is not None]
        claims += lent
        if turns:
            last_served = turns[-1][0]
        if len(lent) == len(turns):
            break  # else some could not be read: others may take their places
    if len(claims) == limit:
        return RunsLent(claims, last_served, None, exhausted=False)
    return RunsLent(claims, last_served, _next_due_us(tx, names), exhausted=True)


def _next_due_us(tx: Transaction, names: Sequence[str]) -> int | None:
    rows = [tx.row(_NEXT_OVER, (tx.now_us,)), *(tx.row(_NEXT_DUE, (name, tx.now_us)) for name in names)]
    return min((row[0] for row in rows if row is not None and row[0] is not None), default=None)


def _lend(tx: Transaction, run_id: int) -> RunClaim | None:
    try:
        row = tx.row(_READ, (run_id,))
        caught_up = row is not None and row[0] and catch_up(tx, run_id)
        if caught_up:
            row = tx.row(_READ, (run_id,))
        if row is None:
            return None
        event = read_event(row[_RUN_COLUMNS:])
    except UnreadableError as error:
        _kill(tx, run_id, str(error))
        return None
    except CorruptError as error:
        reason = str(error)
        raise DamageError(lambda later: _kill(later, run_id, reason)) from error
    state, old_token, *named, expirations, version = row[1:_RUN_COLUMNS]
    if state == RunState.CLAIMED:
        expirations += 1
        record_attempt(tx, run_id, old_token, EXPIRED)
    else:
        tx.counters.moved(RunState.READY, RunState.CLAIMED)
    token = tx.counters.next_token()
    tx.run(_LEND, (run_id, tx.lease_end_us, token, tx.now_us, expirations))
    if caught_up:
        conclude(tx, run_id)
    return run_claim(run_id, token, (*named, expirations, version), event)


def _kill(tx: Transaction, run_id: int, reason: str) -> None:
    """A run whose data cannot be read goes DEAD, and does not block its lane."""
    state = _state_of(tx, run_id)
    row = tx.row(_KILL, (run_id, tx.now_us, f"it cannot be read: {reason}"))
    tx.counters.moved(state, RunState.DEAD)
    if row is not None and row[0] is not None:
        unblock(tx, row[0])
    conclude(tx, run_id)


def _state_of(tx: Transaction, run_id: int) -> RunState:
    row: Row | None = tx.row("SELECT state FROM runs WHERE id = ?", (run_id,))
    return RunState.READY if row is None else RunState(row[0])


def give_back_runs(tx: Transaction, claims: Sequence[RunClaim]) -> None:
    """End claims that never reached a worker."""
    for claim in claims:
        settle(tx, claim, Released(0.0, "the worker went away before it had begun"))


def renew(tx: Transaction, claims: Sequence[RunClaim]) -> frozenset[int]:
    """Extend leases."""
    due_us = tx.lease_end_us
    return frozenset(claim.run_id for claim in claims if tx.run(_RENEW, (due_us, claim.run_id, claim.token)))
