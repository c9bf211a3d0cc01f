"""How a claim ends in the file: its attempt, its writes, its lineage, its lane, its refreshes, its events."""

from collections.abc import Iterator

from tidegate.core.entities import EntityRef
from tidegate.core.lifecycle import RunState, RunTransition, next_run_state
from tidegate.core.runs import (
    ROUTING_CONFIG,
    Completed,
    EntityWrite,
    Rerouted,
    RunClaim,
    RunRequest,
    Settlement,
    Trail,
)
from tidegate.engines.instants import span_us
from tidegate.engines.overlaps import (
    OtherRun,
    Owed,
    Owing,
    Stamp,
    came_between,
    came_late,
    digest_of,
    one_a_run,
    overlaps,
    refresh_reason,
    who_owes,
)
from tidegate.engines.settlements import (
    PASSED_ON,
    TURNED_AWAY,
    Ending,
    changed,
    document_of,
    ending_of,
    outcome_name,
)
from tidegate.engines.sqlite.lanes import merge_held, pass_on, request_run, unblock
from tidegate.engines.sqlite.lineage import entity_id, shrink, spare
from tidegate.engines.sqlite.outcomes import conclude, conclude_applied
from tidegate.engines.sqlite.refreshes import STAMP, owe
from tidegate.engines.sqlite.transaction import Transaction
from tidegate.engines.stored import encode_fetched, encode_trail
from tidegate.engines.wakeups import Work

_AGAIN = (
    "UPDATE runs SET state = 'ready', due_us = ?2, failures = failures + ?3, changed_us = ?4, detail = ?5"
    " WHERE id = ?1"
)
_FINISH = (
    "UPDATE runs SET state = ?2, due_us = NULL, place = iif(?2 = 'applied' AND place = 0, newest_seq, NULL),"
    " changed_us = ?3, finished_us = ?3, detail = ?4, version = coalesce(?5, version) WHERE id = ?1"
)
_ATTEMPT = (
    "INSERT INTO attempts (token, run_id, started_us, finished_us, outcome, detail, first_write, write_count,"
    " trail, fetched) SELECT token, id, claimed_us, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
    " FROM runs WHERE id = ?1 AND token = ?2 AND state = 'claimed'"
)
_ENTITY = "SELECT id, stamp, digest, run_id FROM entities WHERE blueprint = ? AND identifier = ?"
_WRITE = (
    "INSERT INTO writes (seq, entity_id, run_id, event_seq, at_us, action, reason, document)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_LANE = "SELECT lane FROM runs WHERE id = ?"
_OTHER = (
    "SELECT runs.processor, runs.config, runs.resource_key, runs.newest_seq, runs.token FROM runs"
    " JOIN events ON events.seq = runs.newest_seq WHERE runs.id = ?"
)


def settle(tx: Transaction, claim: RunClaim, settlement: Settlement) -> bool:
    """End the claim; False if it is stale."""
    ending = ending_of(settlement)
    if not record_attempt(
        tx,
        claim.run_id,
        claim.token,
        outcome_name(settlement),
        detail=ending.detail,
        writes=(tx.counters.write_seq + 1, len(ending.writes)),
        trail=settlement.trail,
    ):
        return False
    owed, overlapped, late = _journal(tx, claim, ending.writes)
    if isinstance(settlement, Completed):
        owed += shrink(tx, claim, settlement, overlapped, late)
    if ending.delay_seconds is None:
        owed += spare(tx, claim, {write.ref for write in ending.writes if changed(write)})
    _end(tx, claim, ending, settlement.version if isinstance(settlement, Completed) else None)
    if isinstance(settlement, Rerouted):
        for request in settlement.runs:
            request_run(tx, claim.event.seq, claim.event.path, request)
    for run_id, ref, reason in one_a_run(owed):
        owe(tx, run_id, ref, reason)
    if isinstance(settlement, Completed) and claim.event_count == 1 and claim.config != ROUTING_CONFIG:
        conclude_applied(tx, claim.run_id, claim.event.seq)
    else:
        conclude(tx, claim.run_id)
    return True


def _end(tx: Transaction, claim: RunClaim, ending: Ending, version: str | None) -> None:
    """Move the run on, and with it the run that waits behind it."""
    state = next_run_state(RunState.CLAIMED, ending.transition)
    tx.counters.moved(RunState.CLAIMED, state)
    if ending.delay_seconds is None:
        tx.run(_FINISH, (claim.run_id, state.value, tx.now_us, ending.detail, version))
        if claim.lane is not None:
            unblock(tx, claim.lane)
        if state in TURNED_AWAY and claim.event_count > 1:
            key = (claim.processor, claim.config, claim.kind, claim.resource_key, claim.lane)
            again = RunRequest(*key, error=PASSED_ON, version=claim.version)
            pass_on(tx, claim.run_id, claim.event.seq, again)
        return
    due_us = tx.now_us + span_us(ending.delay_seconds)
    failed = ending.transition is RunTransition.RETRY
    tx.run(_AGAIN, (claim.run_id, due_us, failed, tx.now_us, ending.detail))
    tx.added.add(Work.RUNS)
    if claim.lane is not None:
        merge_held(tx, claim.lane, into=claim.run_id)


def record_attempt(
    tx: Transaction,
    run_id: int,
    token: int,
    outcome: str,
    *,
    detail: str = "",
    writes: tuple[int, int] = (0, 0),
    trail: Trail | None = None,
) -> bool:
    """Keep what an attempt did; without a trail it has not ended, but lost its lease. False if the claim is stale."""
    finished_us = None if trail is None else tx.now_us
    document = None if trail is None else encode_trail(trail)
    fetched = None if trail is None else encode_fetched(trail.fetched)
    values = (run_id, token, finished_us, outcome, detail, *writes, document, fetched)
    return tx.run(_ATTEMPT, values) > 0


def _journal(
    tx: Transaction, claim: RunClaim, writes: tuple[EntityWrite, ...]
) -> tuple[list[Owed], frozenset[EntityRef], frozenset[EntityRef]]:
    """Keep the writes. Answers the refreshes that are owed because of them, the entities that another run wrote
    after the claim was given, and those that an earlier claim wrote late.
    """
    order = tx.counters.next_token() if any(changed(write) for write in writes) else 0
    owed: list[Owed] = []
    overlapped: set[EntityRef] = set()
    late: set[EntityRef] = set()
    for write in writes:
        document = document_of(write.entity)
        row = tx.row(_ENTITY, write.ref)
        entity = row[0] if row else entity_id(tx, write.ref)
        _keep_write(tx, claim, write, entity, document)
        stamp = Stamp(*row[1:]) if row and row[1] else None
        if stamp is not None and came_between(stamp, claim):
            overlapped.add(write.ref)
        if stamp is not None and stamp.order > claim.token and came_late(stamp, _lane(tx, stamp), claim):
            late.add(write.ref)
        if not changed(write):
            continue
        digest = digest_of(write, document)
        if stamp is not None and overlaps(stamp, digest, claim):
            owed += _owed_by(tx, claim, write, digest, stamp)
        tx.run(STAMP, (order, digest, claim.run_id, entity))
    return owed, frozenset(overlapped), frozenset(late)


def _lane(tx: Transaction, stamp: Stamp) -> str | None:
    row = tx.row(_LANE, (stamp.run_id,))
    return None if row is None else row[0]


def _keep_write(
    tx: Transaction, claim: RunClaim, write: EntityWrite, entity: int, document: bytes | None
) -> None:
    tx.counters.write_seq += 1
    values = (
        tx.counters.write_seq,
        entity,
        claim.run_id,
        claim.event.seq,
        tx.now_us,
        write.action.value,
        write.reason,
        document,
    )
    tx.run(_WRITE, values)


def _owed_by(
    tx: Transaction, claim: RunClaim, write: EntityWrite, digest: bytes, stamp: Stamp
) -> Iterator[Owed]:
    """Which of two overlapping runs are run again."""
    reason = refresh_reason(stamp, claim, write.ref)
    row = tx.row(_OTHER, (stamp.run_id,))
    owing = Owing(own=True, other=False)
    if row is not None:
        owing = who_owes(stamp, digest, claim, OtherRun(*row))
    if owing.other:
        yield Owed(stamp.run_id, write.ref, reason)
    if owing.own:
        yield Owed(claim.run_id, write.ref, reason)
