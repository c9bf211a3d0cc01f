"""How events and runs are named when somebody asks for one, and what is said if there is none."""

from tidegate.core.errors import NotFoundError

MIN_PREFIX = 8
MAX_RUN_EVENTS = 100
COUNTED_ENTITIES = 1_000
"""Entities of a blueprint are counted up to here."""


def no_event(event_id: str) -> NotFoundError:
    """There is no such event."""
    return NotFoundError(f"no stored event has the id {event_id!r} (it may have been pruned)")


def no_run(run_id: int) -> NotFoundError:
    """There is no such run."""
    return NotFoundError(f"there is no run {run_id} (it may have been pruned)")


def ambiguous(event_id: str) -> NotFoundError:
    """Several events have ids that begin so."""
    return NotFoundError(f"several events have ids that begin with {event_id!r}: give more of it")


def check_prefix(event_id: str) -> None:
    """Raises NotFoundError if this is too short to be the beginning of an id."""
    if len(event_id) < MIN_PREFIX:
        raise NotFoundError(
            f"no stored event has the id {event_id!r}: give it whole, or its first {MIN_PREFIX} characters or more"
        )
