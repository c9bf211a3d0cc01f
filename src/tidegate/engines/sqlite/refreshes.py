"""Refreshes: one more run for a lane or an entity whose last write may not be the newest."""

from collections.abc import Sequence

from tidegate.core.entities import EntityRef
from tidegate.core.lifecycle import RunState
from tidegate.core.runs import EntityWrite, RunClaim, RunRequest, WriteAction, refresh_lane_of
from tidegate.engines.overlaps import LATE_WRITE, Stamp, digest_of, overlaps, refresh_reason
from tidegate.engines.settlements import changed, document_of
from tidegate.engines.sqlite.lanes import LaneRuns, create_run, join, live_runs
from tidegate.engines.sqlite.lineage import entity_id, note_writer
from tidegate.engines.sqlite.outcomes import conclude
from tidegate.engines.sqlite.transaction import Transaction

_LANE = "SELECT lane FROM runs WHERE id = ?"
# Runs from this one on: should an older one have a newer event, that was turned away, or is applied and comes back with
# the claim. No index is kept for so rare a question.
_NEWEST_OF_LANE = "SELECT id FROM runs WHERE id >= ? AND lane = ? ORDER BY newest_seq DESC, id DESC LIMIT 1"
_RUN = (
    "SELECT runs.state, runs.processor, runs.config, runs.kind, runs.resource_key, runs.lane, events.seq,"
    " events.path, runs.version FROM runs JOIN events ON events.seq = runs.newest_seq WHERE runs.id = ?"
)
_IS_OLDER = "SELECT 1 FROM runs WHERE id = ? AND newest_seq < ?"
_STAMP_OF = "SELECT stamp, digest, run_id FROM entities WHERE id = ? AND stamp > 0"
STAMP = "UPDATE entities SET stamp = ?, digest = ?, run_id = ? WHERE id = ?"
_PENDING_TWIN = (
    "SELECT 1 FROM event_runs JOIN runs ON runs.id = event_runs.run_id"
    " WHERE event_runs.event_seq = ?1 AND runs.newest_seq = ?1 AND runs.processor = ?2 AND runs.config = ?3"
    " AND runs.state IN ('ready', 'held')"
)


def refresh(tx: Transaction, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
    """Owe one more run to the lane, or to the event, of a run whose write came late, and to whom it overwrote."""
    row = tx.row(_LANE, (claim.run_id,))
    if row is None:
        return
    _overwrite(tx, claim, writes)
    if row[0] is not None:
        row = tx.row(_NEWEST_OF_LANE, (claim.run_id, row[0]))
        owe(tx, row[0] if row else claim.run_id, None, LATE_WRITE)
        return
    known = tx.row(_RUN, (claim.run_id,))
    if known is not None:
        _, processor, config, _, _, _, event_seq, _, _ = known
        if tx.row(_PENDING_TWIN, (event_seq, processor, config)) is None:
            owe(tx, claim.run_id, None, LATE_WRITE)


def _overwrite(tx: Transaction, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
    """Take what came late for the last write, with its lineage."""
    order = tx.counters.next_token()
    note_writer(tx, claim, [write.ref for write in writes if write.action is WriteAction.UPSERT])
    for write in filter(changed, writes):
        digest, entity = digest_of(write, document_of(write.entity)), entity_id(tx, write.ref)
        row = tx.row(_STAMP_OF, (entity,))
        stamp = None if row is None else Stamp(*row)
        if stamp is not None and overlaps(stamp, digest, claim):
            owe(tx, stamp.run_id, write.ref, refresh_reason(stamp, claim, write.ref))
        tx.run(STAMP, (order, digest, claim.run_id, entity))


def owe(tx: Transaction, run_id: int, ref: EntityRef | None, reason: str) -> None:
    """Create a run like this one; if one is pending on its lane already, that one is enough."""
    row = tx.row(_RUN, (run_id,))
    if row is None:
        return
    state, processor, config, kind, resource_key, own_lane, event_seq, path, version = row
    if state in {RunState.READY, RunState.HELD}:
        return
    lane = own_lane
    if lane is None and ref is not None:
        lane = refresh_lane_of(processor, config, ref)
    live = LaneRuns() if lane is None else live_runs(tx, lane)
    if live.pending is None:
        request = RunRequest(processor, config, kind, resource_key, lane, error=reason, version=version)
        create_run(tx, event_seq, path, request, held=live.claimed is not None)
        conclude(tx, tx.counters.run_id)
    elif own_lane is None and tx.row(_IS_OLDER, (live.pending, event_seq)) is not None:
        join(tx, live.pending, event_seq, path, version)
        conclude(tx, live.pending)
