"""What a settlement means for its run: the transition, the text that is kept, what was written."""

from typing import NamedTuple

from tidegate.core.entities import Entity
from tidegate.core.lifecycle import RunState, RunTransition
from tidegate.core.runs import (
    Completed,
    Dead,
    EntityWrite,
    Ignored,
    Rejected,
    Released,
    Rerouted,
    Retry,
    Settlement,
    WriteAction,
)

EXPIRED = "expired"
"""The outcome of an attempt whose lease ended without a settlement."""

TURNED_AWAY = frozenset({RunState.IGNORED, RunState.REJECTED})
"""How a run ends whose newest event alone was looked at, and not taken."""

PASSED_ON = "the newest event of its run was turned away"
"""Why there is a run for the events that nobody had looked at."""

RUNNING = "running"
"""The outcome of an attempt that has not ended."""


class Ending(NamedTuple):
    """How a settlement ends its claim. `delay_seconds` is set if another attempt is owed."""

    transition: RunTransition
    detail: str = ""
    writes: tuple[EntityWrite, ...] = ()
    delay_seconds: float | None = None


def ending_of(settlement: Settlement) -> Ending:
    """Read a settlement."""
    match settlement:
        case Completed(writes=writes):
            return Ending(RunTransition.COMPLETE, writes=writes)
        case Rerouted(runs=(), reason=reason):
            return Ending(RunTransition.IGNORE, reason)
        case Rerouted(runs=runs):
            return Ending(RunTransition.COMPLETE, f"routed: it asks for {len(runs)} runs")
        case Ignored(reason=reason):
            return Ending(RunTransition.IGNORE, reason)
        case Rejected(reason=reason):
            return Ending(RunTransition.REJECT, reason)
        case Retry(delay_seconds=delay, error=error, writes=writes):
            return Ending(RunTransition.RETRY, error, writes, delay)
        case Released(delay_seconds=delay, reason=reason):
            return Ending(RunTransition.RELEASE, reason, (), delay)
        case Dead(error=error, writes=writes):
            return Ending(RunTransition.FAIL, error, writes)


def outcome_name(settlement: Settlement) -> str:
    """The settlement's name as attempts record it."""
    return type(settlement).__name__.lower()


_CHANGES = frozenset({WriteAction.UPSERT, WriteAction.DELETE, WriteAction.ABSENT})


def changed(write: EntityWrite) -> bool:
    """True if the entity is now as the run wants it: only then does the write count for overlaps."""
    return write.action in _CHANGES


def document_of(entity: Entity | None) -> bytes | None:
    """The entity's JSON, as the journal keeps it."""
    return None if entity is None else entity.to_json()
