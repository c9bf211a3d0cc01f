"""Events come in and become runs: enqueueing, lending to the router, creating or joining runs on their lanes."""

from datetime import datetime, timedelta

from tidegate.core.events import IncomingEvent, StoredEvent
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.ports import Accepted, BacklogFull, Duplicate, EnqueueOutcome
from tidegate.core.runs import EventClaim, Routing, RunRequest
from tidegate.engines.memory.rows import EventRow, RunRow, Store

_NOT_TAKEN = frozenset({EventState.REJECTED, EventState.DEAD, EventState.DISCARDED})


def enqueue(store: Store, event: IncomingEvent) -> EnqueueOutcome:
    """Store an event, unless it is a duplicate or there is no room."""
    twin = None if event.replay_of is not None else _twin(store, event)
    if twin is not None:
        return Duplicate(twin)
    if len(store.queued) + len(store.live_runs) >= store.max_backlog:
        return BacklogFull(store.max_backlog)
    store.last_seq += 1
    values = {field: getattr(event, field) for field in event.__struct_fields__}
    row = EventRow(StoredEvent(seq=store.last_seq, **values))
    store.events[store.last_seq] = store.queued[store.last_seq] = row
    return Accepted(store.last_seq)


def _twin(store: Store, event: IncomingEvent) -> str | None:
    """The id of the newest stored event that is the same delivery."""
    if event.delivery_id is None:
        return None
    key = (event.path, event.delivery_id)
    twins = [
        row.event.id
        for row in store.events.values()
        if (row.event.path, row.event.delivery_id) == key and row.state not in _NOT_TAKEN
    ]
    return twins[-1] if twins else None


def claim_events(store: Store, limit: int) -> list[EventClaim]:
    """Lend queued events whose lease is free or over, oldest first."""
    now = store.clock.now()
    free = [row for _, row in sorted(store.queued.items()) if row.due_at is None or row.due_at <= now]
    return [_lend(store, row) for row in free[: max(limit, 0)]]


def _lend(store: Store, row: EventRow) -> EventClaim:
    if row.due_at is not None:
        row.expirations += 1
    row.due_at = store.clock.now() + store.lease
    row.token = store.next_token()
    return EventClaim(row.event, row.token, row.expirations)


def route(store: Store, claim: EventClaim, routing: Routing) -> bool:
    """Settle the routing of an event; False if the claim is stale."""
    row = store.queued.get(claim.event.seq)
    if row is None or row.token != claim.token:
        return False
    if not routing.runs:
        store.finish(row, EventState.DEAD if routing.dead else EventState.IGNORED, routing.reason)
        return True
    store.finish(row, EventState.ROUTED, "")
    for request in routing.runs:
        request_run(store, row, request)
    return True


def request_run(store: Store, row: EventRow, request: RunRequest) -> None:
    """Join the pending run of the lane, or create one."""
    pending = None if request.lane is None else store.pending_run(request.lane)
    if pending is not None:
        store.link(pending, row.event.seq)
        pending.version = max(pending.version, request.version)
        return
    create_run(store, row, request)


def create_run(store: Store, row: EventRow, request: RunRequest) -> RunRow:
    """A READY run, or a HELD one if its lane has a claimed run."""
    now = store.clock.now()
    held = request.lane is not None and store.active_run(request.lane) is not None
    store.last_run_id += 1
    run = RunRow(
        id=store.last_run_id,
        processor=request.processor,
        config=request.config,
        kind=request.kind,
        resource_key=request.resource_key,
        lane=request.lane,
        path=row.event.path,
        state=RunState.HELD if held else RunState.READY,
        due_at=None if held else now + timedelta(seconds=request.delay_seconds),
        created_at=now,
        changed_at=now,
        newest_seq=row.event.seq,
        event_seqs=set(),
        detail=request.error or "",
        version=request.version,
    )
    store.runs[run.id] = store.live_runs[run.id] = run
    store.link(run, row.event.seq)
    return run


def next_event_due(store: Store) -> datetime | None:
    """When the next lease of an event ends."""
    now = store.clock.now()
    return min(
        (row.due_at for row in store.queued.values() if row.due_at is not None and row.due_at > now),
        default=None,
    )
