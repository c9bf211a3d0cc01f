"""Refreshes: one more run for a lane or an entity whose last write may not be the newest."""

from collections.abc import Sequence

from tidegate.core.entities import EntityRef
from tidegate.core.lifecycle import LIVE_RUN_STATES, RunState
from tidegate.core.runs import EntityWrite, RunClaim, RunRequest, WriteAction, refresh_lane_of
from tidegate.engines.memory.claiming import note_writer
from tidegate.engines.memory.routing import create_run
from tidegate.engines.memory.rows import RunRow, Store
from tidegate.engines.overlaps import LATE_WRITE, Stamp, digest_of, overlaps, refresh_reason
from tidegate.engines.settlements import changed, document_of


def refresh(store: Store, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
    """Owe one more run to the lane, or to the event, of a run whose write came late, and to whom it overwrote."""
    run = store.runs.get(claim.run_id)
    if run is None:
        return
    _overwrite(store, claim, writes)
    if run.lane is not None:
        # Runs from this one on: should an older one have a newer event, that was turned away, or is applied and
        # comes back with the claim.
        on_lane = (
            other for other in store.runs.values() if other.lane == run.lane and other.id >= claim.run_id
        )
        run = max(on_lane, key=_newest)
    elif any(_is_pending_twin(run, other) for other in store.live_runs.values()):
        return
    owe(store, run, None, LATE_WRITE)


def _overwrite(store: Store, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
    """Take what came late for the last write, with its lineage."""
    order = store.next_token()
    note_writer(store, claim, [write.ref for write in writes if write.action is WriteAction.UPSERT])
    for write in filter(changed, writes):
        digest, stamp = digest_of(write, document_of(write.entity)), store.stamps.get(write.ref)
        if stamp is not None and overlaps(stamp, digest, claim) and stamp.run_id in store.runs:
            owe(store, store.runs[stamp.run_id], write.ref, refresh_reason(stamp, claim, write.ref))
        store.stamps[write.ref] = Stamp(order, digest, claim.run_id)


def _newest(run: RunRow) -> tuple[int, int]:
    return run.newest_seq, run.id


def _is_pending_twin(run: RunRow, other: RunRow) -> bool:
    same = (other.processor, other.config, other.newest_seq) == (run.processor, run.config, run.newest_seq)
    return same and other.state in {RunState.READY, RunState.HELD}


def again(run: RunRow, lane: str | None, reason: str) -> RunRequest:
    """What asks for one more run like this one."""
    return RunRequest(
        run.processor, run.config, run.kind, run.resource_key, lane, error=reason, version=run.version
    )


def owe(store: Store, run: RunRow, ref: EntityRef | None, reason: str) -> None:
    """Create a run like this one; if one is pending on its lane already, that one is enough."""
    row = store.events.get(run.newest_seq)
    if row is None or (run.state in LIVE_RUN_STATES and run.state is not RunState.CLAIMED):
        return
    lane = run.lane
    if lane is None and ref is not None:
        lane = refresh_lane_of(run.processor, run.config, ref)
    pending = None if lane is None else store.pending_run(lane)
    if pending is None:
        create_run(store, row, again(run, lane, reason))
    elif run.lane is None and run.newest_seq > pending.newest_seq:
        store.link(pending, run.newest_seq)
    store.conclude({row.event.seq})
