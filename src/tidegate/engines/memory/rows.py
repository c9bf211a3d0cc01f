"""The tables of the in-memory engine, and the few writes that keep them consistent."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.core.entities import EntityRef
from tidegate.core.events import StoredEvent
from tidegate.core.inspection import AttemptRecord, WriteRecord
from tidegate.core.lifecycle import (
    LIVE_EVENT_STATES,
    LIVE_RUN_STATES,
    EventState,
    RunState,
    RunTransition,
    next_run_state,
)
from tidegate.core.ports import Clock
from tidegate.core.samples import Sample
from tidegate.engines.lineage import Mark, Source
from tidegate.engines.outcomes import LinkedRun, conclude
from tidegate.engines.overlaps import Stamp


@dataclass(slots=True)
class EventRow:
    """`due_at` is the end of the router's lease, None if it is free."""

    event: StoredEvent
    state: EventState = EventState.QUEUED
    due_at: datetime | None = None
    token: int = 0
    expirations: int = 0
    finished_at: datetime | None = None
    reason: str = ""
    run_ids: set[int] = field(default_factory=set[int])


@dataclass(slots=True)
class RunRow:
    """`due_at` is set while the run can be claimed: when it is ready, or when its lease ends."""

    id: int
    processor: str
    config: str
    kind: str
    resource_key: str | None
    lane: str | None
    path: str
    state: RunState
    due_at: datetime | None
    created_at: datetime
    changed_at: datetime
    newest_seq: int
    event_seqs: set[int]
    detail: str
    version: str = ""
    token: int = 0
    claimed_at: datetime | None = None
    failures: int = 0
    expirations: int = 0
    finished_at: datetime | None = None
    superseded_by: int | None = None
    attempts: list[AttemptRecord] = field(default_factory=list[AttemptRecord])
    writes: list[WriteRecord] = field(default_factory=list[WriteRecord])
    doomed: set[EntityRef] = field(default_factory=set[EntityRef])  # what its attempts may have deleted


@dataclass(slots=True)
class Store:
    """Everything that is durable. Events and runs are kept in the order of their numbers."""

    clock: Clock
    lease: timedelta
    max_backlog: int
    events: dict[int, EventRow] = field(default_factory=dict[int, EventRow])
    runs: dict[int, RunRow] = field(default_factory=dict[int, RunRow])
    live_runs: dict[int, RunRow] = field(default_factory=dict[int, RunRow])
    queued: dict[int, EventRow] = field(default_factory=dict[int, EventRow])
    owners: dict[EntityRef, dict[Source, Mark]] = field(default_factory=dict[EntityRef, dict[Source, Mark]])
    stamps: dict[EntityRef, Stamp] = field(default_factory=dict[EntityRef, Stamp])
    samples: list[Sample] = field(default_factory=list[Sample])
    last_seq: int = 0
    last_run_id: int = 0
    last_write_seq: int = 0
    last_token: int = 0

    def next_token(self) -> int:
        self.last_token += 1
        return self.last_token

    def move(self, run: RunRow, transition: RunTransition, due_at: datetime | None = None) -> None:
        """Change a run's state as the lifecycle allows it."""
        now = self.clock.now()
        run.state = next_run_state(run.state, transition)
        run.changed_at = now
        run.due_at = due_at
        run.finished_at = None if run.state in LIVE_RUN_STATES else now
        if run.state in LIVE_RUN_STATES:
            self.live_runs[run.id] = run
        else:
            self.live_runs.pop(run.id, None)

    def active_run(self, lane: str) -> RunRow | None:
        """The READY or CLAIMED run of a lane; there is one at most."""
        return self._run_of(lane, frozenset({RunState.READY, RunState.CLAIMED}))

    def pending_run(self, lane: str) -> RunRow | None:
        """The READY or HELD run of a lane; there is one at most."""
        return self._run_of(lane, frozenset({RunState.READY, RunState.HELD}))

    def _run_of(self, lane: str, states: frozenset[RunState]) -> RunRow | None:
        return next(
            (run for run in self.live_runs.values() if run.lane == lane and run.state in states), None
        )

    def link(self, run: RunRow, event_seq: int) -> None:
        """Let a run stand for an event. A newer one has all its retries before it."""
        run.event_seqs.add(event_seq)
        self.events[event_seq].run_ids.add(run.id)
        if event_seq > run.newest_seq:
            run.newest_seq = event_seq
            run.failures = 0
            run.path = self.events[event_seq].event.path

    def unlink(self, run: RunRow, event_seq: int) -> None:
        """Let a run stand for an event no more."""
        run.event_seqs.discard(event_seq)
        self.events[event_seq].run_ids.discard(run.id)

    def merge(self, run: RunRow, into: RunRow) -> None:
        """Hand a run's events on to another run of its lane."""
        self.move(run, RunTransition.MERGE)
        run.superseded_by = into.id
        into.version = max(into.version, run.version)
        for event_seq in run.event_seqs:
            self.events[event_seq].run_ids.discard(run.id)
            self.link(into, event_seq)
        run.event_seqs = set()

    def links(self, event_seq: int) -> list[RunRow]:
        """The runs that an event is linked to now, oldest first."""
        return [self.runs[run_id] for run_id in sorted(self.events[event_seq].run_ids)]

    def conclude(self, event_seqs: set[int]) -> None:
        """Give events the state that their runs ask for."""
        for event_seq in event_seqs:
            row = self.events[event_seq]
            links = [
                LinkedRun(run.id, run.state, run.config, run.newest_seq == event_seq, run.detail)
                for run in self.links(event_seq)
            ]
            state, reason = conclude(links)
            if state is not row.state:
                self.finish(row, state, reason)

    def finish(self, row: EventRow, state: EventState, reason: str) -> None:
        """Set an event's state; times follow."""
        row.state, row.reason, row.due_at = state, reason, None
        row.finished_at = None if state in LIVE_EVENT_STATES else self.clock.now()
        self.queued.pop(row.event.seq, None)
