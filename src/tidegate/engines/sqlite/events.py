"""Events in the file: enqueueing, lending to the router, and the end of their routing."""

from typing import NamedTuple

from tidegate.core.events import IncomingEvent
from tidegate.core.lifecycle import EventState
from tidegate.core.ports import Accepted, BacklogFull, Duplicate, EnqueueOutcome
from tidegate.core.runs import EventClaim, Routing
from tidegate.engines.instants import to_us
from tidegate.engines.sqlite.database import CorruptError
from tidegate.engines.sqlite.lanes import request_run
from tidegate.engines.sqlite.transaction import DamageError, Transaction
from tidegate.engines.stored import UnreadableError, delivery_hash, read_event
from tidegate.engines.wakeups import Work

_TWIN = (
    "SELECT id FROM events WHERE delivery_hash = ? AND delivery_id = ? AND path = ?"
    " AND state NOT IN ('rejected', 'dead', 'discarded') ORDER BY seq DESC LIMIT 1"
)
_INSERT = (
    "INSERT INTO events (seq, id, path, state, due_us, token, expirations, received_us, size_bytes,"
    " delivery_id, delivery_hash, replay_of, reason) VALUES (?, ?, ?, 'queued', 0, 0, 0, ?, ?, ?, ?, ?, '')"
)
_INSERT_BODY = "INSERT INTO event_bodies (seq, trace_id, headers, body) VALUES (?, ?, ?, ?)"
# Both walk past those that are lent: no more than routers have in hand.
_FREE = "SELECT seq FROM events WHERE state = 'queued' AND due_us <= ? ORDER BY seq LIMIT ?"
_NEXT_DUE = "SELECT min(due_us) FROM events WHERE state = 'queued' AND due_us > ?"
_LEND = "UPDATE events SET due_us = ?, token = ?, expirations = ? WHERE seq = ?"
_GIVE_BACK = "UPDATE events SET due_us = 0 WHERE seq = ? AND token = ? AND due_us IS NOT NULL"
_END_ROUTING = (
    "UPDATE events SET state = ?, due_us = NULL, finished_us = ?, reason = ?"
    " WHERE seq = ? AND token = ? AND due_us IS NOT NULL"
)
_KILL = "UPDATE events SET state = 'dead', due_us = NULL, finished_us = ?, reason = ? WHERE seq = ?"

EVENT_COLUMNS = (
    "events.seq, events.id, events.path, events.received_us, events.delivery_id, events.replay_of,"
    " event_bodies.trace_id, event_bodies.headers, event_bodies.body"
)
_READ = (
    f"SELECT events.due_us, events.expirations, {EVENT_COLUMNS}"  # noqa: S608 - own text
    " FROM events LEFT JOIN event_bodies USING (seq) WHERE seq = ?"
)


class EventsLent(NamedTuple):
    """Claims, and when the next lease ends (None if the limit was reached, or no event is lent)."""

    claims: list[EventClaim]
    next_due_us: int | None
    exhausted: bool


def enqueue(tx: Transaction, event: IncomingEvent, headers: bytes) -> EnqueueOutcome:
    """Store an event, unless it is a duplicate or there is no room."""
    key = None if event.delivery_id is None else delivery_hash(event.delivery_id)
    if key is not None and event.replay_of is None:
        twin = tx.row(_TWIN, (key, event.delivery_id, event.path))
        if twin is not None:
            return Duplicate(twin[0])
    counters = tx.counters
    if counters.unfinished >= tx.max_backlog:
        return BacklogFull(tx.max_backlog)
    counters.event_seq += 1
    counters.queued_events += 1
    seq = counters.event_seq
    received_us, size = to_us(event.received_at), len(event.body)
    tx.run(
        _INSERT,
        (seq, event.id, event.path, received_us, size, event.delivery_id, key, event.replay_of),
    )
    tx.run(_INSERT_BODY, (seq, event.trace_id, headers, event.body))
    tx.added.add(Work.EVENTS)
    return Accepted(seq)


def claim_events(tx: Transaction, limit: int) -> EventsLent:
    """Lend queued events whose lease is free or over, oldest first."""
    free = tx.rows(_FREE, (tx.now_us, limit))
    lent = [_lend(tx, seq) for (seq,) in free]
    claims = [claim for claim in lent if claim is not None]
    if len(free) == limit:
        return EventsLent(claims, None, exhausted=False)
    row = tx.row(_NEXT_DUE, (tx.now_us,))
    return EventsLent(claims, row[0] if row else None, exhausted=True)


def _lend(tx: Transaction, seq: int) -> EventClaim | None:
    try:
        row = tx.row(_READ, (seq,))
        if row is None:
            return None
        event = read_event(row[2:])
    except UnreadableError as error:
        _kill(tx, seq, str(error))
        return None
    except CorruptError as error:
        reason = str(error)
        raise DamageError(lambda later: _kill(later, seq, reason)) from error
    lease_end_us, expirations = row[:2]
    if lease_end_us > 0:
        expirations += 1
    token = tx.counters.next_token()
    tx.run(_LEND, (tx.lease_end_us, token, expirations, seq))
    return EventClaim(event, token, expirations)


def _kill(tx: Transaction, seq: int, reason: str) -> None:
    """An event whose data cannot be read goes DEAD."""
    tx.run(_KILL, (tx.now_us, f"it cannot be read: {reason}", seq))
    tx.counters.queued_events -= 1


def give_back_events(tx: Transaction, claims: list[EventClaim]) -> None:
    """End claims that never reached a router."""
    for claim in claims:
        if tx.run(_GIVE_BACK, (claim.event.seq, claim.token)):
            tx.added.add(Work.EVENTS)


def route(tx: Transaction, claim: EventClaim, routing: Routing) -> bool:
    """Settle the routing of an event; False if the claim is stale."""
    seq = claim.event.seq
    state, finished_us, reason = EventState.ROUTED, None, ""
    if not routing.runs:
        state = EventState.DEAD if routing.dead else EventState.IGNORED
        finished_us, reason = tx.now_us, routing.reason
    if not tx.run(_END_ROUTING, (state.value, finished_us, reason, seq, claim.token)):
        return False
    tx.counters.queued_events -= 1
    for request in routing.runs:
        request_run(tx, seq, claim.event.path, request)
    return True
