"""Events: enqueueing, lending to the router, and the end of their routing."""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.core.events import IncomingEvent
from tidegate.core.lifecycle import EventState
from tidegate.core.ports import Accepted, BacklogFull, Duplicate, EnqueueOutcome
from tidegate.core.runs import EventClaim, Routing
from tidegate.engines.instants import to_us
from tidegate.engines.postgres.calls import Verbs, stored_text, stored_texts
from tidegate.engines.postgres.horizon import Lows
from tidegate.engines.postgres.requests import request_arrays
from tidegate.engines.stored import UnreadableError, delivery_hash, encode_headers, read_event

LOST_DATA = "it cannot be read: "


class EventsLent(NamedTuple):
    """Claims, and after how many microseconds there may be more (None if the limit was reached, or none is lent)."""

    claims: list[EventClaim]
    wait_us: int | None
    exhausted: bool


async def enqueue(verbs: Verbs, events: Sequence[IncomingEvent]) -> list[EnqueueOutcome]:
    """Store events, each unless it is a duplicate or there is no room."""
    delivery_ids = stored_texts(event.delivery_id for event in events)
    rows = await verbs.call(
        "enqueue",
        max_backlog=verbs.max_backlog,
        event_ids=[stored_text(event.id) for event in events],
        paths=[stored_text(event.path) for event in events],
        received=[to_us(event.received_at) for event in events],
        trace_ids=[stored_text(event.trace_id) for event in events],
        delivery_ids=delivery_ids,
        delivery_hashes=[None if name is None else delivery_hash(name) for name in delivery_ids],
        replays=stored_texts(event.replay_of for event in events),
        all_headers=[encode_headers(event.headers) for event in events],
        bodies=[event.body for event in events],
    )
    return [_outcome(verbs, outcome, seq, twin) for _, outcome, seq, twin in rows]


def _outcome(verbs: Verbs, outcome: str, seq: int, twin: str) -> EnqueueOutcome:
    match outcome:
        case "accepted":
            return Accepted(seq)
        case "duplicate":
            return Duplicate(twin)
        case _:
            return BacklogFull(verbs.max_backlog)


async def claim_events(verbs: Verbs, lows: Lows, limit: int) -> EventsLent:
    """Lend queued events whose lease is free or over, oldest first."""
    claims: list[EventClaim] = []
    while True:
        wanted = limit - len(claims)
        rows = await verbs.call("claim_events", most=wanted, low_seq=lows.seq, low_lease_us=lows.lease_us)
        wait_us = rows.pop()[-1] if rows and rows[-1][0] is None else None
        lent = [claim for row in rows if (claim := await _read(verbs, *row)) is not None]
        claims += lent
        if len(lent) == len(rows):  # else some could not be read: others may take their places
            return EventsLent(claims, wait_us, exhausted=len(rows) < wanted)


async def _read(verbs: Verbs, seq: int, token: int, expirations: int, *stored: object) -> EventClaim | None:
    event_id, path, received_us, delivery_id, replay_of, trace_id, headers, body, _ = stored
    row = (seq, event_id, path, received_us, delivery_id, replay_of, trace_id, headers, body)
    try:
        return EventClaim(read_event(row), token, expirations)
    except UnreadableError as error:
        await verbs.call("bury_event", its_seq=seq, its_token=token, why=f"{LOST_DATA}{error}")
        return None


async def give_back_events(verbs: Verbs, claims: Sequence[EventClaim]) -> None:
    """End claims that never reached a router."""
    await verbs.call(
        "give_back_events",
        seqs=[claim.event.seq for claim in claims],
        tokens=[claim.token for claim in claims],
    )


async def route(verbs: Verbs, calls: Sequence[tuple[EventClaim, Routing]]) -> list[bool]:
    """Settle the routing of events; False for those whose claim is stale."""
    rows = await verbs.call(
        "route",
        seqs=[claim.event.seq for claim, _ in calls],
        tokens=[claim.token for claim, _ in calls],
        states=[_state(routing).value for _, routing in calls],
        reasons=["" if routing.runs else stored_text(routing.reason) for _, routing in calls],
        **request_arrays(
            (place, request) for place, (_, routing) in enumerate(calls, start=1) for request in routing.runs
        ),
    )
    done = {place for (place,) in rows}
    return [place in done for place in range(1, len(calls) + 1)]


def _state(routing: Routing) -> EventState:
    if routing.runs:
        return EventState.ROUTED
    return EventState.DEAD if routing.dead else EventState.IGNORED
