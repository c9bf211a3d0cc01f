"""All that can be seen of an engine, and what must hold of it at any time."""

from dataclasses import dataclass
from typing import Any

from tests.engines.commands import REFS
from tidegate.core.inspection import EventDetail, EventFilter, Page, RunDetail, RunFilter
from tidegate.core.lifecycle import LIVE_EVENT_STATES, RUN_TRANSITIONS, EventState, RunState
from tidegate.engines.outcomes import LinkedRun, conclude
from tidegate.testing.engine_suite import FullEngine

ALL = Page(limit=1000)


@dataclass(frozen=True)
class Picture:
    """All that can be seen of an engine."""

    backlog: object
    events: list[EventDetail]
    runs: list[RunDetail]
    writes: list[object]


async def picture_of(engine: FullEngine) -> Picture:
    events = await engine.find_events(EventFilter(), ALL)
    runs = await engine.find_runs(RunFilter(), ALL)
    details = [await engine.event(record.id) for record in events]
    assert [detail.record for detail in details] == events
    run_details = [await engine.run(record.id) for record in runs]
    assert [detail.record for detail in run_details] == runs
    writes = [await engine.writes(ref, ALL) for ref in REFS]
    return Picture(await engine.backlog(), details, run_details, writes)


def check_backlog(seen: Picture) -> None:
    backlog: Any = seen.backlog
    runs = [detail.record.state for detail in seen.runs]
    counted = [
        runs.count(state) for state in (RunState.READY, RunState.HELD, RunState.CLAIMED, RunState.DEAD)
    ]
    assert counted == [backlog.ready_runs, backlog.held_runs, backlog.claimed_runs, backlog.dead_runs]
    queued = [detail for detail in seen.events if detail.record.state is EventState.QUEUED]
    assert len(queued) == backlog.queued_events


def check_event(detail: EventDetail) -> None:
    """An event that was routed is in the state that its runs ask for."""
    record = detail.record
    assert (record.finished_at is None) == (record.state in LIVE_EVENT_STATES)
    if not detail.runs:
        assert record.state in {EventState.QUEUED, EventState.IGNORED, EventState.DEAD}
        return
    links = [
        LinkedRun(run.id, run.state, run.config, run.id in detail.carried, run.detail) for run in detail.runs
    ]
    assert conclude(links)[0] is record.state


def check_transitions(before: Picture, after: Picture) -> None:
    """Runs move only as the lifecycle says, in two steps at most (a settlement may free and merge a run)."""
    old = {detail.record.id: detail.record.state for detail in before.runs}
    for detail in after.runs:
        run = detail.record
        if run.id in old and old[run.id] is not run.state:
            reached = {end for (start, _), end in RUN_TRANSITIONS.items() if start is old[run.id]}
            further = {end for (start, _), end in RUN_TRANSITIONS.items() if start in reached}
            assert run.state in reached | further, f"{old[run.id]} became {run.state}"
