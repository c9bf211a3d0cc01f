"""What became of an event, as stages that follow each other: received, verified, routed, and each run's attempts."""

from dataclasses import dataclass
from datetime import datetime

from tidegate.console.documents import document
from tidegate.core.events import Json
from tidegate.core.inspection import (
    AttemptRecord,
    EventDetail,
    EventRecord,
    RunDetail,
    RunRecord,
    WriteRecord,
)
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.runs import ROUTING_CONFIG

MAX_WRITES = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of an attempt: where it begins and how long it is, in percent of the attempt."""

    name: str
    seconds: float
    note: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt. `waited_seconds`: since the run was created, or the attempt before it ended."""

    record: AttemptRecord
    waited_seconds: float
    seconds: float | None
    bars: tuple[Bar, ...]
    fetched: Json


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of the event. `others` are events that it stands for too."""

    record: RunRecord
    carried: bool
    routing: bool
    others: tuple[EventRecord, ...]
    attempts: tuple[AttemptView, ...]
    writes: tuple[WriteRecord, ...]
    more_writes: int
    next_try: datetime | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the story. `state` colours it: done, waiting, failed or skipped."""

    name: str
    state: str
    at: datetime | None
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stages in short, and the runs in full."""

    stages: tuple[Stage, ...]
    runs: tuple[RunView, ...]


def timeline_of(detail: EventDetail, runs: list[RunDetail], now: datetime) -> Timeline:
    """The story of an event."""
    views = tuple(_run_view(run, detail, now) for run in runs)
    stages = [
        Stage("received", "done", detail.record.received_at, _received(detail.record)),
        Stage("verified", "done", None, "Let in by the edge: the path's verifiers, if it has any, agreed"),
        _routed(detail, views, now),
        *([_coalesced(views)] if views else []),
        *_work(views),
        *([_ended(detail.record)] if views else []),
    ]
    return Timeline(tuple(stages), views)


def _received(event: EventRecord) -> str:
    again = f"Once more: it replays {event.replay_of}. " if event.replay_of else ""
    return f"{again}{event.size_bytes:,} bytes at /integration{event.path}, on disk before the sender got its 202"


def _routed(detail: EventDetail, views: tuple[RunView, ...], now: datetime) -> Stage:
    event = detail.record
    if event.state is EventState.QUEUED:
        waited = (now - event.received_at).total_seconds()
        return Stage("routed", "waiting", None, "Waits for a router", waited)
    if not views:
        failed = "failed" if event.state is EventState.DEAD else "skipped"
        seconds = (
            None if event.finished_at is None else (event.finished_at - event.received_at).total_seconds()
        )
        return Stage("routed", failed, event.finished_at, event.reason or "Nobody wanted it", seconds)
    created = [view.record.created_at for view in views]
    # A run that the event joined may be older than the event itself.
    at = max(min(created), event.received_at)
    runs = "1 run" if len(views) == 1 else f"{len(views)} runs"
    names = ", ".join(dict.fromkeys(view.record.processor for view in views))
    return Stage("routed", "done", at, f"{runs}, for {names}", (at - event.received_at).total_seconds())


def _coalesced(views: tuple[RunView, ...]) -> Stage:
    passed_on = [view for view in views if not view.carried]
    shared = max(view.record.event_count for view in views)
    if len(passed_on) == len(views):
        return Stage(
            "coalesced", "done", None, "A newer event of the same resource was processed in its place"
        )
    if shared > 1:
        return Stage("coalesced", "done", None, f"Its run stands for {shared:,} events of the same resource")
    return Stage("coalesced", "skipped", None, "Nothing to join: its runs stand for this event alone")


def _work(views: tuple[RunView, ...]) -> list[Stage]:
    """Fetched, mapped and written, over the last attempts of all runs."""
    last = [view.attempts[-1] for view in views if view.attempts and not view.routing]
    if not last:
        waiting = any(view.record.state in (RunState.READY, RunState.HELD) for view in views)
        return [
            Stage("fetched", "waiting" if waiting else "skipped", None, "No attempt yet" if waiting else "")
        ]
    stages: list[Stage] = []
    for name, step in (("fetched", "fetch"), ("mapped", "map"), ("written", "write")):
        bars = [bar for attempt in last for bar in attempt.bars if bar.name == step]
        failed = any(
            attempt.record.outcome in ("dead", "retry", "rejected") and attempt.bars[-1:] == (bar,)
            for attempt in last
            for bar in bars
        )
        said = [bar.note for bar in bars if bar.note]
        if failed:
            said += [attempt.record.detail for attempt in last if attempt.record.detail]
        text = "; ".join(dict.fromkeys(said))
        state = "failed" if failed else "done" if bars else "skipped"
        seconds = max((bar.seconds for bar in bars), default=None)
        stages.append(Stage(name, state, None, text or ("Not reached" if not bars else ""), seconds))
    return stages


def _ended(event: EventRecord) -> Stage:
    if event.finished_at is None:
        return Stage(event.state.value, "waiting", None, "Not finished yet")
    seconds = (event.finished_at - event.received_at).total_seconds()
    bad = event.state in (EventState.DEAD, EventState.REJECTED, EventState.DISCARDED)
    return Stage(event.state.value, "failed" if bad else "done", event.finished_at, event.reason, seconds)


def _run_view(run: RunDetail, detail: EventDetail, now: datetime) -> RunView:
    record = run.record
    attempts: list[AttemptView] = []
    since = record.created_at
    for attempt in run.attempts:
        attempts.append(_attempt_view(attempt, since, now))
        since = attempt.finished_at or attempt.started_at
    waits = record.state is RunState.READY and record.due_at is not None and record.due_at > now
    return RunView(
        record=record,
        carried=record.id in detail.carried,
        routing=record.config == ROUTING_CONFIG,
        others=tuple(event for event in run.events if event.seq != detail.record.seq),
        attempts=tuple(attempts),
        writes=run.writes[:MAX_WRITES],
        more_writes=max(len(run.writes) - MAX_WRITES, 0),
        next_try=record.due_at if waits else None,
    )


def _attempt_view(attempt: AttemptRecord, since: datetime, now: datetime) -> AttemptView:
    ended = attempt.finished_at or (now if attempt.outcome == "running" else None)
    seconds = None if ended is None else max((ended - attempt.started_at).total_seconds(), 0.0)
    total = max(sum(spent for _, spent, _ in attempt.steps), 1e-9)
    bars: list[Bar] = []
    at = 0.0
    for name, spent, note in attempt.steps:
        bars.append(Bar(name, spent, note, at / total * 100, max(spent / total * 100, 0.4)))
        at += spent
    return AttemptView(
        record=attempt,
        waited_seconds=max((attempt.started_at - since).total_seconds(), 0.0),
        seconds=seconds,
        bars=tuple(bars),
        fetched=document(attempt)["fetched"],
    )
