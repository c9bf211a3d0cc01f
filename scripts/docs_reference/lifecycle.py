"""The state machines of runs and events, from the tables in tidegate.core.lifecycle."""

from typing import NamedTuple

from scripts.docs_reference.blocks import table
from tidegate.core.lifecycle import (
    LIVE_EVENT_STATES,
    LIVE_RUN_STATES,
    RUN_TRANSITIONS,
    EventState,
    RunState,
    RunTransition,
    event_outcome,
)


class Edge(NamedTuple):
    """A way from one state to another. Several transitions may take it."""

    source: str
    target: str
    labels: tuple[str, ...]


WHAT_HAPPENS = {
    RunTransition.CLAIM: "a worker takes it, for the length of a lease",
    RunTransition.RECLAIM: "the lease ended without a settlement; another worker takes it",
    RunTransition.COMPLETE: "the attempt did its work",
    RunTransition.IGNORE: "there is nothing to do for it any more",
    RunTransition.REJECT: "`authenticate` or `validate_payload` said no",
    RunTransition.RETRY: "the attempt failed and another is owed after a delay",
    RunTransition.RELEASE: "given back undecided: an outage, a shutdown, an overtaken write",
    RunTransition.FAIL: "it failed for good",
    RunTransition.UNBLOCK: "the claimed run of its lane ended",
    RunTransition.MERGE: "another run of its lane takes over its events",
    RunTransition.REDRIVE: "an operator puts it back",
    RunTransition.HOLD: "an operator puts it back, behind a claimed run of its lane",
    RunTransition.DISCARD: "an operator gives it up",
}


def run_edges() -> list[Edge]:
    """The edges of a run's state machine, in the order of the table."""
    labels: dict[tuple[str, str], list[str]] = {}
    for (source, transition), target in RUN_TRANSITIONS.items():
        labels.setdefault((source.value, target.value), []).append(transition.value)
    return [Edge(source, target, tuple(names)) for (source, target), names in labels.items()]


def event_edges() -> list[Edge]:
    """The edges of an event's state machine: routing's and refreshes', and what the transitions of a run cause."""
    queued = EventState.QUEUED.value
    labels: dict[tuple[str, str], list[str]] = {
        (queued, EventState.ROUTED.value): ["somebody wants it"],
        (queued, EventState.IGNORED.value): ["nobody wants it"],
        (queued, EventState.DEAD.value): ["routing it keeps failing"],
        (EventState.APPLIED.value, EventState.ROUTED.value): ["a refresh is owed"],
    }
    for carried in (True, False):
        for (source, transition), target in RUN_TRANSITIONS.items():
            if RunState.SUPERSEDED in (source, target):
                continue  # a superseded run has handed its events on
            before = event_outcome([source], [carried])
            after = event_outcome([target], [carried])
            if before is not after:
                names = labels.setdefault((before.value, after.value), [])
                if transition.value not in names:
                    names.append(transition.value)
    return [Edge(source, target, tuple(names)) for (source, target), names in labels.items()]


def run_diagram() -> str:
    """The runs' state machine, for Mermaid."""
    final = [state.value for state in RunState if state not in LIVE_RUN_STATES]
    return _mermaid(run_edges(), [RunState.READY.value, RunState.HELD.value], final)


def event_diagram() -> str:
    """The events' state machine, for Mermaid."""
    final = [state.value for state in EventState if state not in LIVE_EVENT_STATES]
    return _mermaid(event_edges(), [EventState.QUEUED.value], final)


def run_transitions() -> str:
    """The table of transitions."""
    rows: list[tuple[object, ...]] = [
        (f"`{source}`", transition.value, f"`{target}`", WHAT_HAPPENS[transition])
        for (source, transition), target in RUN_TRANSITIONS.items()
    ]
    return table(("from", "transition", "to", "what happens"), rows)


def event_transitions() -> str:
    """The same for events."""
    rows: list[tuple[object, ...]] = [
        (f"`{edge.source}`", f"`{edge.target}`", ", ".join(edge.labels)) for edge in event_edges()
    ]
    return table(("from", "to", "because of"), rows)


def _mermaid(edges: list[Edge], first: list[str], final: list[str]) -> str:
    lines = ["stateDiagram-v2", *(f"    [*] --> {state}" for state in first)]
    lines += [f"    {edge.source} --> {edge.target}: {', '.join(edge.labels)}" for edge in edges]
    left = {edge.source for edge in edges}
    lines += [f"    {state} --> [*]" for state in final if state not in left]
    return "\n".join(["```mermaid", *lines, "```"])
