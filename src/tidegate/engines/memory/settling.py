"""How a claim ends: its attempt, its writes, its lineage, its lane, its refreshes, its events."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import WriteRecord
from tidegate.core.lifecycle import RunState, RunTransition
from tidegate.core.runs import Completed, EntityWrite, Rerouted, RunClaim, Settlement
from tidegate.engines.memory.claiming import attempt, holder
from tidegate.engines.memory.lineage import shrink, spare
from tidegate.engines.memory.refreshes import again, owe
from tidegate.engines.memory.routing import create_run, request_run
from tidegate.engines.memory.rows import RunRow, Store
from tidegate.engines.overlaps import (
    OtherRun,
    Owed,
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


def settle(store: Store, claim: RunClaim, settlement: Settlement) -> bool:
    """End the claim; False if it is stale."""
    run = holder(store, claim)
    if run is None:
        return False
    ending = ending_of(settlement)
    _record_attempt(store, run, settlement, ending)
    overlapped = _overlapped(store, claim, ending.writes)
    late = _late(store, claim, ending.writes)
    owed = _journal(store, claim, run, ending.writes)
    if isinstance(settlement, Completed):
        run.version = settlement.version
        owed += shrink(store, claim, settlement, overlapped, late)
    if ending.delay_seconds is None:
        owed += spare(store, claim, run, {write.ref for write in ending.writes if changed(write)})
    _end(store, run, ending)
    if run.state in TURNED_AWAY:
        _pass_on(store, run)
    if isinstance(settlement, Rerouted):
        for request in settlement.runs:
            request_run(store, store.events[claim.event.seq], request)
    for run_id, ref, reason in one_a_run(owed):
        owe(store, store.runs[run_id], ref, reason)
    store.conclude(run.event_seqs)
    return True


def _record_attempt(store: Store, run: RunRow, settlement: Settlement, ending: Ending) -> None:
    record = attempt(run, outcome_name(settlement), store.clock.now(), ending.detail)
    trail = settlement.trail
    steps = tuple((step.name.value, step.duration_seconds, step.note) for step in trail.steps)
    run.attempts.append(replace(record, steps=steps, warnings=trail.warnings, fetched=trail.fetched))


def _overlapped(store: Store, claim: RunClaim, writes: tuple[EntityWrite, ...]) -> frozenset[EntityRef]:
    """Entities that another run wrote after the claim was given."""
    stamps = ((write.ref, store.stamps.get(write.ref)) for write in writes)
    return frozenset(ref for ref, stamp in stamps if stamp is not None and came_between(stamp, claim))


def _late(store: Store, claim: RunClaim, writes: tuple[EntityWrite, ...]) -> frozenset[EntityRef]:
    """Entities that an earlier claim wrote late."""
    late: set[EntityRef] = set()
    for write in writes:
        stamp = store.stamps.get(write.ref)
        run = None if stamp is None else store.runs.get(stamp.run_id)
        if stamp is not None and came_late(stamp, None if run is None else run.lane, claim):
            late.add(write.ref)
    return frozenset(late)


def _journal(store: Store, claim: RunClaim, run: RunRow, writes: tuple[EntityWrite, ...]) -> list[Owed]:
    """Keep the writes. Answers the refreshes that are owed because of them."""
    order = store.next_token() if any(changed(write) for write in writes) else 0
    owed: list[Owed] = []
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
            owed += _owed_by(store, claim, write, digest, stamp)
        store.stamps[write.ref] = Stamp(order, digest, run.id)
    return owed


def _owed_by(
    store: Store, claim: RunClaim, write: EntityWrite, digest: bytes, stamp: Stamp
) -> Iterator[Owed]:
    """Which of two overlapping runs are run again."""
    reason = refresh_reason(stamp, claim, write.ref)
    other = store.runs.get(stamp.run_id)
    if other is None or other.newest_seq not in store.events:
        yield Owed(claim.run_id, write.ref, reason)
        return
    known = OtherRun(other.processor, other.config, other.resource_key, other.newest_seq, other.token)
    owing = who_owes(stamp, digest, claim, known)
    if owing.other:
        yield Owed(other.id, write.ref, reason)
    if owing.own:
        yield Owed(claim.run_id, write.ref, reason)


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


def _pass_on(store: Store, run: RunRow) -> None:
    """The newest event of the run was turned away; nobody looked at the others: they go on without it."""
    rest = run.event_seqs - {run.newest_seq}
    if run.lane is None or not rest:
        return
    for seq in rest:
        store.unlink(run, seq)
    pending = store.pending_run(run.lane)
    if pending is None:
        pending = create_run(store, store.events[max(rest)], again(run, run.lane, PASSED_ON))
    for seq in rest:
        store.link(pending, seq)
    pending.version = max(pending.version, run.version)
