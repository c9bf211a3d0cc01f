"""Refreshes: one more run for a lane or an entity whose last write may not be the newest."""

from tidegate.core.entities import EntityRef
from tidegate.core.lifecycle import RunState
from tidegate.core.runs import RunRequest, refresh_lane_of
from tidegate.engines.overlaps import LATE_WRITE
from tidegate.engines.sqlite.lanes import LaneRuns, create_run, live_runs
from tidegate.engines.sqlite.outcomes import conclude
from tidegate.engines.sqlite.transaction import Transaction

_LANE = "SELECT lane FROM runs WHERE id = ?"
# Only runs from this one on can have a newer event of the lane: no index is kept for so rare a question.
_NEWEST_OF_LANE = "SELECT id FROM runs WHERE id >= ? AND lane = ? ORDER BY newest_seq DESC, id DESC LIMIT 1"
_RUN = (
    "SELECT runs.state, runs.processor, runs.config, runs.kind, runs.resource_key, runs.lane, events.seq,"
    " events.path FROM runs JOIN events ON events.seq = runs.newest_seq WHERE runs.id = ?"
)
_PENDING_TWIN = (
    "SELECT 1 FROM event_runs JOIN runs ON runs.id = event_runs.run_id"
    " WHERE event_runs.event_seq = ?1 AND runs.newest_seq = ?1 AND runs.processor = ?2 AND runs.config = ?3"
    " AND runs.state IN ('ready', 'held')"
)


def refresh(tx: Transaction, run_id: int) -> None:
    """Owe one more run to the lane, or to the event, of a run whose write came late."""
    row = tx.row(_LANE, (run_id,))
    if row is None:
        return
    if row[0] is not None:
        row = tx.row(_NEWEST_OF_LANE, (run_id, row[0]))
        owe(tx, row[0] if row else run_id, None, LATE_WRITE)
        return
    known = tx.row(_RUN, (run_id,))
    if known is not None:
        _, processor, config, _, _, _, event_seq, _ = known
        if tx.row(_PENDING_TWIN, (event_seq, processor, config)) is None:
            owe(tx, run_id, None, LATE_WRITE)


def owe(tx: Transaction, run_id: int, ref: EntityRef | None, reason: str) -> None:
    """Create a run like this one, unless one is pending on its lane already."""
    row = tx.row(_RUN, (run_id,))
    if row is None:
        return
    state, processor, config, kind, resource_key, lane, event_seq, path = row
    if state in {RunState.READY, RunState.HELD}:
        return
    if lane is None and ref is not None:
        lane = refresh_lane_of(processor, config, ref)
    live = LaneRuns() if lane is None else live_runs(tx, lane)
    if live.pending is not None:
        return
    request = RunRequest(processor, config, kind, resource_key, lane, error=reason)
    create_run(tx, event_seq, path, request, held=live.claimed is not None)
    conclude(tx, tx.counters.run_id)
