"""The state machines of events and runs, as tables. Every engine obeys them; the docs' diagram is made of them.

A transition that is not in its table does not exist: engines check `next_run_state` in the conformance suite.
"""

from enum import StrEnum


class EventState(StrEnum):
    """Where an accepted event stands. All but QUEUED and ROUTED are final."""

    QUEUED = "queued"  # durable, not yet routed
    ROUTED = "routed"  # it has runs, and at least one is not finished
    APPLIED = "applied"  # its runs are done, and at least one carried this event's payload
    COALESCED = "coalesced"  # its runs are done, and each carried a newer event of the same resource
    IGNORED = "ignored"  # no processor, or no resource config, wanted it (the reason says)
    REJECTED = "rejected"  # authentication or validation said no
    DEAD = "dead"  # at least one run failed for good; it can be redriven
    DISCARDED = "discarded"  # an operator gave up a dead run of it


class RunState(StrEnum):
    """Where a run stands. READY, HELD and CLAIMED are live; the rest is final (DEAD until it is redriven)."""

    READY = "ready"  # may be claimed once it is due; a retry waits here
    HELD = "held"  # behind a claimed run of the same lane: the lane is dirty
    CLAIMED = "claimed"  # leased to a worker; due when the lease ends
    APPLIED = "applied"
    IGNORED = "ignored"  # there was nothing to do any more (its resource config is gone)
    REJECTED = "rejected"
    SUPERSEDED = "superseded"  # merged into another run of its lane, which carries its events
    DEAD = "dead"
    DISCARDED = "discarded"


class RunTransition(StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    RECLAIM = "reclaim"  # the lease ended without a settlement
    COMPLETE = "complete"
    IGNORE = "ignore"
    REJECT = "reject"
    RETRY = "retry"  # failed, will be tried again: counts against max_retries
    RELEASE = "release"  # given back undecided (drain, outage): counts against nothing
    FAIL = "fail"
    UNBLOCK = "unblock"  # the claimed run of its lane ended
    MERGE = "merge"
    REDRIVE = "redrive"
    HOLD = "hold"  # redriven while a run of its lane is claimed
    DISCARD = "discard"


_S, _T = RunState, RunTransition

RUN_TRANSITIONS: dict[tuple[RunState, RunTransition], RunState] = {
    (_S.READY, _T.CLAIM): _S.CLAIMED,
    (_S.CLAIMED, _T.RECLAIM): _S.CLAIMED,
    (_S.CLAIMED, _T.COMPLETE): _S.APPLIED,
    (_S.CLAIMED, _T.IGNORE): _S.IGNORED,
    (_S.CLAIMED, _T.REJECT): _S.REJECTED,
    (_S.CLAIMED, _T.RETRY): _S.READY,
    (_S.CLAIMED, _T.RELEASE): _S.READY,
    (_S.CLAIMED, _T.FAIL): _S.DEAD,
    (_S.HELD, _T.UNBLOCK): _S.READY,
    (_S.HELD, _T.MERGE): _S.SUPERSEDED,
    (_S.READY, _T.MERGE): _S.SUPERSEDED,
    (_S.DEAD, _T.MERGE): _S.SUPERSEDED,
    (_S.DEAD, _T.REDRIVE): _S.READY,
    (_S.DEAD, _T.HOLD): _S.HELD,
    (_S.DEAD, _T.DISCARD): _S.DISCARDED,
}

LIVE_RUN_STATES = frozenset({_S.READY, _S.HELD, _S.CLAIMED})
LIVE_EVENT_STATES = frozenset({EventState.QUEUED, EventState.ROUTED})


class IllegalTransitionError(ValueError):
    """The run's state does not allow the transition."""


def next_run_state(state: RunState, transition: RunTransition) -> RunState:
    """The state after `transition`. Raises IllegalTransitionError if the table has no such row."""
    try:
        return RUN_TRANSITIONS[state, transition]
    except KeyError:
        raise IllegalTransitionError(f"a {state} run cannot {transition}") from None


def event_outcome(run_states: list[RunState], carried: list[bool]) -> EventState:
    """The state of a routed event from the states of its runs.

    `run_states` are those of the runs that the event is linked to now (a superseded run has handed its
    events on); `carried[i]` tells whether run i processed this very event's payload.
    The worst outcome wins: a dead run keeps the event dead, whatever the others did.
    """
    if any(state in LIVE_RUN_STATES for state in run_states):
        return EventState.ROUTED
    for state, outcome in (
        (RunState.DEAD, EventState.DEAD),
        (RunState.DISCARDED, EventState.DISCARDED),
        (RunState.REJECTED, EventState.REJECTED),
    ):
        if state in run_states:
            return outcome
    applied = [
        was_carried
        for state, was_carried in zip(run_states, carried, strict=True)
        if state == RunState.APPLIED
    ]
    if applied:
        return EventState.APPLIED if any(applied) else EventState.COALESCED
    return EventState.IGNORED
