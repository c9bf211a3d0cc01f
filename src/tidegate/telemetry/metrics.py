"""Signals as Prometheus metrics, named by the conventions of that field: base units, `_total` for counters."""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.core.inspection import Backlog
from tidegate.core.signals import (
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
    Takes,
)
from tidegate.telemetry.durations import Durations, SortedHistogram

_SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FRESHNESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


_BACKLOG = (
    ("queued_events", "events_queued", "Events not yet routed."),
    ("ready_runs", "runs_ready", "Runs that wait."),
    ("held_runs", "runs_held", "Runs behind another of their lane."),
    ("claimed_runs", "runs_claimed", "Runs in hand."),
    ("dead_runs", "dead_letters", "Dead runs."),
    ("oldest_seconds", "oldest_event_age_seconds", "Age of the oldest unfinished event."),
)


@dataclass(frozen=True, slots=True)
class StateGauges(Collector):
    """What no process counts: what waits in the engine, asked when the metrics are, and which Tidegate this is."""

    backlog: Backlog

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges, with their values."""
        build = GaugeMetricFamily(
            "tidegate_build_info", "1, with the version as a label.", labels=["version"]
        )
        build.add_metric([version("tidegate")], 1.0)
        yield build
        for field, name, help_text in _BACKLOG:
            yield GaugeMetricFamily(f"tidegate_{name}", help_text, float(getattr(self.backlog, field)))


class Metrics:
    """A subscriber that counts. Each instance has a registry of its own.

    `durations` keeps what its histograms get.
    """

    def __init__(self, durations: Durations) -> None:
        self.registry = CollectorRegistry()
        self._durations = durations
        durations.hand_to(self._observe)
        self._children: dict[tuple[Counter, *tuple[str, ...]], Counter] = {}
        self._accepted = self._counter("events_accepted", "Events committed and answered with 202.", "path")
        self._duplicates = self._counter("events_duplicate", "Deliveries that were stored before.", "path")
        self._bytes = self._counter("events_received_bytes", "Bytes of accepted bodies.", "path")
        self._refused = self._counter(
            "requests_refused", "Requests that the ingress refused.", "path", "status", "reason"
        )
        self._connections = Gauge(
            "tidegate_connections_open",
            "Open connections of the webhook listener.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._cut = self._counter(
            "connections_cut", "Connections that the webhook listener ended without an answer.", "reason"
        )
        self._commit = self._histogram("enqueue_seconds", "Durable commit of one event.", _SHORT_SECONDS)
        self._routed = self._counter("events_routed", "Events routed.", "path", "outcome")
        self._routing = self._histogram("routing_seconds", "Routing of one event.", _SHORT_SECONDS)
        self._processor_errors = self._counter(
            "processor_errors", "Errors of processors while routing.", "processor"
        )
        self._steps = self._histogram("step_seconds", "Steps of runs.", _SHORT_SECONDS, "step", "kind")
        self._settled = self._counter("runs_settled", "Settlements.", "processor", "kind", "outcome")
        self._coalesced = self._counter(
            "events_coalesced", "Events that another event's run stood for.", "processor", "kind"
        )
        self._stale = self._counter("settlements_stale", "Settlements refused by the fencing token.")
        self._freshness = self._histogram(
            "freshness_seconds", "From an event's receipt to its entity's write.", _FRESHNESS_SECONDS, "kind"
        )
        self._writes = self._counter("entity_writes", "Writes of entities.", "blueprint", "action")
        self._warnings = self._counter("mapping_warnings", "Mapping warnings.", "kind")
        self._batches = self._histogram("target_request_seconds", "Requests to the target.", _SHORT_SECONDS)
        self._batched = self._counter("target_changes", "Changes sent to the target.")
        self._paused = Gauge(
            "tidegate_paused",
            "1 while a dependency is paused.",
            ["dependency"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._duties = self._counter("duty_failures", "Failures of background duties.", "duty")

    @property
    def takes(self) -> Takes:
        """What is counted at once: who has an answer finds it here, even if the process is killed right then."""
        return {
            EventAccepted: self._accept,
            EventRefused: self._refuse,
            ConnectionsOpen: self._connected,
            ConnectionCut: self._cut_one,
            ProcessorFailed: self._processor_failed,
            MappingWarned: self._warn,
            BatchApplied: self._apply,
            DependencyPaused: self._pause,
            DutyFailed: self._duty_failed,
        }

    @property
    def counts(self) -> Takes:
        """What each event has, of which a turn of the event loop is counted together."""
        return {EventRouted: self._route, RunSettled: self._settle, EntityWritten: self._write}

    @property
    def content_type(self) -> str:
        """The media type of `exposition`."""
        return CONTENT_TYPE_LATEST

    def exposition(self, backlog: Backlog) -> bytes:
        """All metrics in Prometheus' text format, with the backlog as it is now."""
        self._durations.hand_on()
        return generate_latest(self.registry) + generate_latest(StateGauges(backlog))

    def _observe(self, what: str, kind: str, ascending: Sequence[float]) -> None:
        match what:
            case "commit":
                histogram = self._commit
            case "routing":
                histogram = self._routing
            case "target":
                histogram = self._batches
            case "freshness":
                histogram = self._freshness.labels(kind)
            case step:
                histogram = self._steps.labels(step, kind)
        histogram.observe_all(ascending)

    def _refuse(self, signal: EventRefused) -> None:
        self._child(self._refused, signal.path, str(signal.status), signal.reason).inc()

    def _connected(self, signal: ConnectionsOpen) -> None:
        self._connections.set(signal.count)

    def _cut_one(self, signal: ConnectionCut) -> None:
        self._child(self._cut, signal.reason).inc()

    def _route(self, signals: list[EventRouted]) -> None:
        self._count(self._routed, [(each.path, "routed" if each.runs else "ignored") for each in signals])

    def _processor_failed(self, signal: ProcessorFailed) -> None:
        self._child(self._processor_errors, signal.processor).inc()

    def _write(self, signals: list[EntityWritten]) -> None:
        self._count(self._writes, [(each.blueprint, each.action) for each in signals])

    def _warn(self, signal: MappingWarned) -> None:
        self._child(self._warnings, signal.kind).inc()

    def _apply(self, signal: BatchApplied) -> None:
        self._batched.inc(signal.changes)

    def _pause(self, signal: DependencyPaused) -> None:
        self._paused.labels(signal.name).set(1 if signal.paused else 0)

    def _duty_failed(self, signal: DutyFailed) -> None:
        self._child(self._duties, signal.duty).inc()

    def _accept(self, signal: EventAccepted) -> None:
        if signal.duplicate:
            self._child(self._duplicates, signal.path).inc()
            return
        self._child(self._accepted, signal.path).inc()
        self._child(self._bytes, signal.path).inc(signal.size_bytes)

    def _settle(self, signals: list[RunSettled]) -> None:
        taken = [each for each in signals if not each.stale]
        self._count(self._settled, [(each.processor, each.kind, each.outcome) for each in taken])
        self._stale.inc(len(signals) - len(taken))
        for each in taken:
            if each.outcome == "completed" and each.event_count > 1:
                self._child(self._coalesced, each.processor, each.kind).inc(each.event_count - 1)

    def _count(self, counter: Counter, labels_of_each: Iterable[tuple[str, ...]]) -> None:
        for labels, times in collections.Counter(labels_of_each).items():
            self._child(counter, *labels).inc(times)

    def _child(self, counter: Counter, *labels: str) -> Counter:
        """`counter.labels`, remembered: that is slow, and asked for every event."""
        key = (counter, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = counter.labels(*labels)
        return child

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"tidegate_{name}", help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str
    ) -> SortedHistogram:
        return SortedHistogram(f"tidegate_{name}", help_text, labels, buckets=buckets, registry=self.registry)
