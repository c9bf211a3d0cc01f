"""How a claim ends: its attempt, its writes, its lineage, its lane, its refreshes, its events."""

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import WriteRecord
from tidegate.core.lifecycle import LIVE_RUN_STATES, RunState, RunTransition
from tidegate.core.runs import (
    Completed,
    EntityWrite,
    Rerouted,
    RunClaim,
    RunRequest,
    Settlement,
    WriteAction,
    refresh_lane_of,
)
from tidegate.engines.lineage import is_own, source_of
from tidegate.engines.memory.claiming import attempt, holder
from tidegate.engines.memory.routing import create_run, request_run
from tidegate.engines.memory.rows import RunRow, Store
from tidegate.engines.overlaps import (
    LATE_WRITE,
    OtherRun,
    Stamp,
    digest_of,
    other_is_owed,
    overlaps,
    refresh_reason,
)
from tidegate.engines.settlements import Ending, changed, document_of, ending_of, outcome_name


class Owed(NamedTuple):
    """Why a refresh is owed, and the entity whose refresh lane it may use."""

    ref: EntityRef
    reason: str


def settle(store: Store, claim: RunClaim, settlement: Settlement) -> bool:
    """End the claim; False if it is stale."""
    run = holder(store, claim)
    if run is None:
        return False
    ending = ending_of(settlement)
    _record_attempt(store, run, settlement, ending)
    owed = _journal(store, claim, run, ending.writes)
    if isinstance(settlement, Completed):
        _shrink_lineage(store, claim, settlement)
    _end(store, run, ending)
    if isinstance(settlement, Rerouted):
        for request in settlement.runs:
            request_run(store, store.events[claim.event.seq], request)
    for run_id, (ref, reason) in owed.items():
        _owe(store, store.runs[run_id], ref, reason)
    store.conclude(run.event_seqs)
    return True


def _record_attempt(store: Store, run: RunRow, settlement: Settlement, ending: Ending) -> None:
    record = attempt(run, outcome_name(settlement), store.clock.now(), ending.detail)
    trail = settlement.trail
    steps = tuple((step.name.value, step.duration_seconds, step.note) for step in trail.steps)
    run.attempts.append(replace(record, steps=steps, warnings=trail.warnings, fetched=trail.fetched))


def _journal(store: Store, claim: RunClaim, run: RunRow, writes: tuple[EntityWrite, ...]) -> dict[int, Owed]:
    """Keep the writes. Answers the runs that owe a refresh because of them."""
    order = store.next_token() if any(changed(write) for write in writes) else 0
    owed: dict[int, Owed] = {}
    for write in writes:
        document = document_of(write.entity)
        store.last_write_seq += 1
        run.writes.append(
            WriteRecord(
                seq=store.last_write_seq,
                ref=write.ref,
                action=write.action.value,
                reason=write.reason,
                run_id=run.id,
                event_id=claim.event.id,
                at=store.clock.now(),
                document=document,
            )
        )
        if not changed(write):
            continue
        digest = digest_of(write, document)
        stamp = store.stamps.get(write.ref)
        if stamp is not None and overlaps(stamp, digest, claim):
            reason = refresh_reason(stamp, claim, write.ref)
            owed.setdefault(_owed_run(store, claim, stamp, digest), Owed(write.ref, reason))
        store.stamps[write.ref] = Stamp(order, digest, run.id)
    return owed


def _owed_run(store: Store, claim: RunClaim, stamp: Stamp, digest: bytes) -> int:
    other = store.runs.get(stamp.run_id)
    if other is None or other.newest_seq not in store.events:
        return claim.run_id
    known = OtherRun(other.processor, other.config, other.newest_seq)
    return other.id if other_is_owed(stamp, digest, claim, known) else claim.run_id


def _shrink_lineage(store: Store, claim: RunClaim, settlement: Completed) -> None:
    source = source_of(claim)
    for ref in settlement.dropped:
        rows = store.owners.get(ref, {})
        if source in rows and is_own(source, rows[source], claim):
            del rows[source]
    for write in settlement.writes:
        if write.action is WriteAction.DELETE:
            rows = store.owners.get(write.ref, {})
            store.owners[write.ref] = {
                writer: mark for writer, mark in rows.items() if mark.event_seq > claim.event.seq
            }


def _end(store: Store, run: RunRow, ending: Ending) -> None:
    """Move the run on, and with it the run that waits behind it."""
    now = store.clock.now()
    held = None
    if run.lane is not None:
        held = next(
            (
                other
                for other in store.live_runs.values()
                if other.lane == run.lane and other.state is RunState.HELD
            ),
            None,
        )
    run.detail = ending.detail
    if ending.delay_seconds is None:
        store.move(run, ending.transition)
        if held is not None:
            store.move(held, RunTransition.UNBLOCK, now)
        return
    store.move(run, ending.transition, now + timedelta(seconds=ending.delay_seconds))
    if ending.transition is RunTransition.RETRY:
        run.failures += 1
    if held is not None:
        store.merge(held, into=run)


def refresh(store: Store, run_id: int) -> None:
    """Owe one more run to the lane, or to the event, of a run whose write came late."""
    run = store.runs.get(run_id)
    if run is None:
        return
    if run.lane is not None:
        run = max((other for other in store.runs.values() if other.lane == run.lane), key=_newest)
    elif any(_is_pending_twin(run, other) for other in store.live_runs.values()):
        return
    _owe(store, run, None, LATE_WRITE)


def _newest(run: RunRow) -> tuple[int, int]:
    return run.newest_seq, run.id


def _is_pending_twin(run: RunRow, other: RunRow) -> bool:
    same = (other.processor, other.config, other.newest_seq) == (run.processor, run.config, run.newest_seq)
    return same and other.state in {RunState.READY, RunState.HELD}


def _owe(store: Store, run: RunRow, ref: EntityRef | None, reason: str) -> None:
    """Create a run like this one, unless one is pending on its lane already."""
    row = store.events.get(run.newest_seq)
    if row is None or (run.state in LIVE_RUN_STATES and run.state is not RunState.CLAIMED):
        return
    lane = run.lane
    if lane is None and ref is not None:
        lane = refresh_lane_of(run.processor, run.config, ref)
    if lane is not None and store.pending_run(lane) is not None:
        return
    create_run(
        store, row, RunRequest(run.processor, run.config, run.kind, run.resource_key, lane, error=reason)
    )
    store.conclude({row.event.seq})
