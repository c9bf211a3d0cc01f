"""What becomes of an event, and why, from the runs that it is linked to now."""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.core.lifecycle import EventState, RunState, event_outcome
from tidegate.core.runs import ROUTING_CONFIG


class LinkedRun(NamedTuple):
    """A run as an event sees it. `carried` if the event is the run's newest: the one whose payload it uses."""

    id: int
    state: RunState
    config: str
    carried: bool
    detail: str


_DECISIVE = {
    EventState.DEAD: RunState.DEAD,
    EventState.DISCARDED: RunState.DISCARDED,
    EventState.REJECTED: RunState.REJECTED,
    EventState.IGNORED: RunState.IGNORED,
}


def conclude(links: Sequence[LinkedRun]) -> tuple[EventState, str]:
    """The event's state and reason. `links` are in the order of the runs' ids.

    A run that only routed the event, and found runs for it, has no say: those runs have.
    """
    counted = [
        link for link in links if not (link.config == ROUTING_CONFIG and link.state == RunState.APPLIED)
    ]
    state = event_outcome([link.state for link in counted], [link.carried for link in counted])
    if state in _DECISIVE:
        return state, next((link.detail for link in counted if link.state == _DECISIVE[state]), "")
    if state is EventState.COALESCED:
        carrier = next(link.id for link in counted if link.state == RunState.APPLIED)
        return state, f"coalesced into run {carrier}"
    return state, ""
