"""The transition tables, and what becomes of an event from its runs."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.lifecycle import (
    LIVE_EVENT_STATES,
    LIVE_RUN_STATES,
    RUN_TRANSITIONS,
    EventState,
    IllegalTransitionError,
    RunState,
    RunTransition,
    event_outcome,
    next_run_state,
)

LINKS = st.lists(st.tuples(st.sampled_from(sorted(set(RunState) - {RunState.SUPERSEDED})), st.booleans()))


def outcome(links: list[tuple[RunState, bool]]) -> EventState:
    return event_outcome([state for state, _ in links], [carried for _, carried in links])


def test_every_state_and_transition_is_used() -> None:
    assert {state for state, _ in RUN_TRANSITIONS} | set(RUN_TRANSITIONS.values()) == set(RunState)
    assert {transition for _, transition in RUN_TRANSITIONS} == set(RunTransition)


def test_every_state_is_reached_from_ready_or_held() -> None:
    reached = {RunState.READY, RunState.HELD}
    for _ in RunState:
        reached |= {end for (start, _), end in RUN_TRANSITIONS.items() if start in reached}
    assert reached == set(RunState)


def test_only_dead_runs_come_back() -> None:
    final = set(RunState) - LIVE_RUN_STATES
    leaving = {start for (start, _) in RUN_TRANSITIONS if start in final}
    assert leaving == {RunState.DEAD}


def test_only_ready_runs_and_runs_whose_lease_is_over_are_claimed() -> None:
    claimed = {start for (start, _), end in RUN_TRANSITIONS.items() if end is RunState.CLAIMED}
    assert claimed == {RunState.READY, RunState.CLAIMED}


@pytest.mark.parametrize(("state", "transition"), list(itertools.product(RunState, RunTransition)))
def test_what_is_not_in_the_table_does_not_exist(state: RunState, transition: RunTransition) -> None:
    if (state, transition) in RUN_TRANSITIONS:
        assert next_run_state(state, transition) is RUN_TRANSITIONS[state, transition]
    else:
        with pytest.raises(IllegalTransitionError, match=f"a {state} run cannot {transition}"):
            next_run_state(state, transition)


@given(LINKS)
def test_an_event_is_unfinished_exactly_while_one_of_its_runs_is(links: list[tuple[RunState, bool]]) -> None:
    live = any(state in LIVE_RUN_STATES for state, _ in links)
    assert (outcome(links) in LIVE_EVENT_STATES) == live


@given(LINKS, st.randoms())
def test_the_order_of_runs_does_not_matter(links: list[tuple[RunState, bool]], random: Random) -> None:
    shuffled = list(links)
    random.shuffle(shuffled)
    assert outcome(shuffled) is outcome(links)


RANKED = (
    (EventState.DEAD, (RunState.DEAD, True)),
    (EventState.DISCARDED, (RunState.DISCARDED, True)),
    (EventState.REJECTED, (RunState.REJECTED, True)),
    (EventState.APPLIED, (RunState.APPLIED, True)),
    (EventState.COALESCED, (RunState.APPLIED, False)),
    (EventState.IGNORED, (RunState.IGNORED, True)),
)


@pytest.mark.parametrize(("better", "worse"), list(itertools.combinations(range(len(RANKED))[::-1], 2)))
def test_the_worst_outcome_wins(better: int, worse: int) -> None:
    assert outcome([RANKED[better][1], RANKED[worse][1]]) is RANKED[worse][0]
    assert outcome([RANKED[better][1]]) is RANKED[better][0]


def test_an_event_without_runs_is_ignored() -> None:
    assert outcome([]) is EventState.IGNORED
