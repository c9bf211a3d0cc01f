"""Signals as Prometheus metrics, named by the conventions of that field: base units, `_total` for counters."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar, assert_never, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.core.inspection import Backlog
from tidegate.core.runs import WriteAction
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
    Signal,
    StepFinished,
)

_SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FRESHNESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


_WRITTEN = (WriteAction.UPSERT, WriteAction.DELETE)

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)

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
    """A subscriber that counts. Each instance has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[object, ...], MetricWrapperBase] = {}
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
    def content_type(self) -> str:
        """The media type of `exposition`."""
        return CONTENT_TYPE_LATEST

    def exposition(self, backlog: Backlog) -> bytes:
        """All metrics in Prometheus' text format, with the backlog as it is now."""
        return generate_latest(self.registry) + generate_latest(StateGauges(backlog))

    def emit(self, signal: Signal) -> None:  # noqa: C901, PLR0912 - one case a signal
        """Count a signal."""
        match signal:
            case EventAccepted():
                self._accept(signal)
            case EventRefused(path=path, status=status, reason=reason):
                self._refused.labels(path, str(status), reason).inc()
            case ConnectionsOpen(count=count):
                self._connections.set(count)
            case ConnectionCut(reason=reason):
                self._cut.labels(reason).inc()
            case EventRouted(path=path, runs=runs, duration_seconds=spent):
                self._child(self._routed, path, "routed" if runs else "ignored").inc()
                self._routing.observe(spent)
            case ProcessorFailed(processor=processor):
                self._processor_errors.labels(processor).inc()
            case StepFinished(step=step, kind=kind, duration_seconds=spent):
                self._child(self._steps, step, kind).observe(spent)
            case RunSettled():
                self._settle(signal)
            case EntityWritten(blueprint=blueprint, action=action, kind=kind, freshness_seconds=age):
                self._child(self._writes, blueprint, action).inc()
                if action in _WRITTEN:
                    self._child(self._freshness, kind).observe(age)
            case MappingWarned(kind=kind):
                self._warnings.labels(kind).inc()
            case BatchApplied(changes=changes, duration_seconds=spent):
                self._batched.inc(changes)
                self._batches.observe(spent)
            case DependencyPaused(name=name, paused=paused):
                self._paused.labels(name).set(1 if paused else 0)
            case DutyFailed(duty=duty):
                self._duties.labels(duty).inc()
            case _:
                assert_never(signal)

    def _accept(self, signal: EventAccepted) -> None:
        if signal.duplicate:
            self._duplicates.labels(signal.path).inc()
            return
        self._child(self._accepted, signal.path).inc()
        self._child(self._bytes, signal.path).inc(signal.size_bytes)
        self._commit.observe(signal.commit_seconds)

    def _settle(self, signal: RunSettled) -> None:
        if signal.stale:
            self._stale.inc()
        else:
            self._child(self._settled, signal.processor, signal.kind, signal.outcome).inc()
            if signal.outcome == "completed" and signal.event_count > 1:
                self._child(self._coalesced, signal.processor, signal.kind).inc(signal.event_count - 1)

    def _child(self, metric: MetricT, *labels: str) -> MetricT:
        """`metric.labels`, remembered: that is slow, and asked for every event."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return cast(MetricT, child)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"tidegate_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"tidegate_{name}", help_text, labels, buckets=buckets, registry=self.registry)
