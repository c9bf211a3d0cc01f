"""Metrics: every signal is counted under the field's conventions, and a scrape carries the backlog."""

import re
from collections.abc import Callable
from typing import get_args

import pytest
from prometheus_client import Gauge

from tidegate.core.inspection import Backlog
from tidegate.core.runs import Step, StepName, WriteAction
from tidegate.core.signals import (
    AttemptEnded,
    BatchApplied,
    ConnectionCut,
    ConnectionsOpen,
    DependencyPaused,
    DutyFailed,
    EntityWritten,
    EventAccepted,
    EventRefused,
    EventRouted,
    MappingWarned,
    ProcessorFailed,
    RunSettled,
    Signal,
)
from tidegate.telemetry import Durations, Fanout, LogLines, Metrics, Turns

ONE_OF_EACH: list[Signal] = [
    EventAccepted("/webhook", "e", 100, 0.001),
    EventAccepted("/webhook", "e", 100, 0.001, duplicate=True),
    EventRefused("/webhook", 413, "too-large"),
    EventRouted("e", "/webhook", 1, "", 0.001),
    ProcessorFailed("e", "P", "KeyError"),
    AttemptEnded("issue", (Step(StepName.LOAD, 0.001), Step(StepName.FETCH, 0.01))),
    RunSettled(1, "e", "P", "issue", "completed", "", 0.02, event_count=4),
    RunSettled(1, "e", "P", "issue", "completed", "", 0.02, stale=True),
    EntityWritten("bp", "id", WriteAction.UPSERT, "issue", 1, "e", 0.02),
    MappingWarned("issue", 1, "odd"),
    BatchApplied(3, 0.01),
    DependencyPaused("target", paused=True, reason="503"),
    DutyFailed("routing", "OSError"),
]
OF_CONNECTIONS: list[Signal] = [ConnectionsOpen(2), ConnectionCut("made-room")]
"""Metrics alone count these."""


def test_every_signal_is_counted() -> None:
    durations = Durations()
    metrics = Metrics(durations)
    telemetry = Fanout(Turns(durations, metrics), metrics, LogLines())
    signals = ONE_OF_EACH + OF_CONNECTIONS
    assert {type(signal) for signal in signals} == set(get_args(Signal))
    for signal in signals:
        telemetry.emit(signal)
    page = metrics.exposition(Backlog(dead_runs=7)).decode()
    for line in (
        'tidegate_events_accepted_total{path="/webhook"} 1.0',
        'tidegate_events_duplicate_total{path="/webhook"} 1.0',
        'tidegate_requests_refused_total{path="/webhook",reason="too-large",status="413"} 1.0',
        'tidegate_events_routed_total{outcome="routed",path="/webhook"} 1.0',
        'tidegate_processor_errors_total{processor="P"} 1.0',
        'tidegate_step_seconds_count{kind="issue",step="load"} 1.0',
        'tidegate_step_seconds_count{kind="issue",step="fetch"} 1.0',
        'tidegate_runs_settled_total{kind="issue",outcome="completed",processor="P"} 1.0',
        'tidegate_events_coalesced_total{kind="issue",processor="P"} 3.0',
        "tidegate_settlements_stale_total 1.0",
        'tidegate_entity_writes_total{action="upsert",blueprint="bp"} 1.0',
        'tidegate_freshness_seconds_count{kind="issue"} 1.0',
        'tidegate_mapping_warnings_total{kind="issue"} 1.0',
        "tidegate_target_changes_total 3.0",
        'tidegate_paused{dependency="target"} 1.0',
        'tidegate_duty_failures_total{duty="routing"} 1.0',
        "tidegate_connections_open 2.0",
        'tidegate_connections_cut_total{reason="made-room"} 1.0',
        "tidegate_dead_letters 7.0",
    ):
        assert line in page


def test_a_turn_is_counted_together_and_what_is_answered_at_once() -> None:
    ends: list[Callable[[], None]] = []
    metrics = Metrics(Durations())
    telemetry = Fanout(Turns(metrics, call_soon=ends.append), metrics)
    routed = {"path": "/webhook", "outcome": "routed"}

    def seen(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"tidegate_{name}_total", labels)

    for turn in (1, 2):
        for number in range(3):
            telemetry.emit(EventAccepted("/webhook", f"e{number}", 100, 0.001))
            telemetry.emit(EventRouted(f"e{number}", "/webhook", 1, "", 0.001))
            telemetry.emit(RunSettled(number, f"e{number}", "P", "issue", "completed", "", 0.02))
        assert len(ends) == turn
        assert seen("events_accepted", path="/webhook") == 3 * turn
        assert (seen("events_routed", **routed) or 0) == 3 * (turn - 1)
        ends[-1]()
        assert seen("events_routed", **routed) == 3 * turn
        assert seen("runs_settled", processor="P", kind="issue", outcome="completed") == 3 * turn


def test_durations_are_handed_on_together_where_another_process_looks() -> None:
    later: list[tuple[float, Callable[[], None]]] = []
    durations = Durations(lambda seconds, then: later.append((seconds, then)))
    metrics = Metrics(durations)
    telemetry = Fanout(Turns(durations, metrics))

    def seen(sample: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"tidegate_step_seconds_{sample}", labels)

    for seconds in (99.0, 0.0005, 0.0006):
        telemetry.emit(AttemptEnded("issue", (Step(StepName.FETCH, seconds),)))
    [(wait, hand_on)] = later
    assert 0 < wait < 1
    assert seen("count", step="fetch", kind="issue") is None
    for _ in range(2):
        hand_on()  # what was handed on is not handed on again
        assert seen("count", step="fetch", kind="issue") == 3
        assert seen("sum", step="fetch", kind="issue") == pytest.approx(99.0011)
        assert seen("bucket", step="fetch", kind="issue", le="0.0005") == 1  # a bound belongs to its bucket
        assert seen("bucket", step="fetch", kind="issue", le="0.001") == 2
        assert seen("bucket", step="fetch", kind="issue", le="30.0") == 2
    telemetry.emit(AttemptEnded("issue", (Step(StepName.FETCH, 1.0),)))
    assert len(later) == 2


def test_names_follow_the_conventions() -> None:
    page = Metrics(Durations()).exposition(Backlog()).decode()
    names = re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)
    assert names
    for name, kind in names:
        assert name.startswith("tidegate_")
        assert kind != "counter" or name.endswith(("_total", "_created"))
        assert kind != "histogram" or name.endswith("_seconds")


def test_gauges_of_processes_that_ended_do_not_count() -> None:
    gauges = [metric for metric in vars(Metrics(Durations())).values() if isinstance(metric, Gauge)]
    assert gauges
    for gauge in gauges:
        assert gauge._multiprocess_mode in ("livesum", "livemax"), gauge
