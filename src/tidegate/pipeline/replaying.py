"""Replay: process a stored event again, as a new event that remembers which one it repeats."""

from collections.abc import Callable
from typing import Protocol

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted, Clock, Engine, EngineOperations


class ReplayEngine(Engine, EngineOperations, Protocol):
    """What a replay needs of the engine."""


class BacklogFullError(ConfigurationError):
    """The backlog is at its limit: nothing was replayed."""


async def replay(engine: ReplayEngine, event_id: str, clock: Clock, new_id: Callable[[], str]) -> str:
    """Enqueue the event again; answers the new event's id.

    Raises NotFoundError, BacklogFullError, or EngineUnavailableError.
    """
    original = await engine.event(event_id)
    again = IncomingEvent(
        id=new_id(),
        path=original.record.path,
        headers=original.headers,
        body=original.body,
        received_at=clock.now(),
        trace_id=original.trace_id,
        delivery_id=original.record.delivery_id,
        replay_of=original.record.id,
    )
    outcome = await engine.enqueue(again)
    if not isinstance(outcome, Accepted):
        raise BacklogFullError("the backlog is at its limit: replay when it has shrunk")
    return again.id
