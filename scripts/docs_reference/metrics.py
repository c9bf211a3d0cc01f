"""The reference of metrics, from the subscriber that keeps them."""

from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from scripts.docs_reference.blocks import table
from tidegate.core.inspection import Backlog
from tidegate.telemetry import Durations, Metrics
from tidegate.telemetry.metrics import StateGauges


class Metric(NamedTuple):
    """One metric as Prometheus names it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    what: str


def metrics_reference() -> str:
    """A table of all metrics."""
    rows = [
        (f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.what)
        for metric in all_metrics()
    ]
    return table(("metric", "type", "labels", "what it counts"), list(rows))


def all_metrics() -> list[Metric]:
    """Every metric, in the order in which it was made."""
    members = [
        member for member in vars(Metrics(Durations())).values() if isinstance(member, MetricWrapperBase)
    ]
    gauges = StateGauges(Backlog()).collect()
    return [
        *(_metric(member) for member in members),
        *(
            Metric(gauge.name, gauge.type, tuple(gauge.samples[0].labels), gauge.documentation)
            for gauge in gauges
        ),
    ]


def _metric(member: MetricWrapperBase) -> Metric:
    family = next(iter(member.describe()))
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = member._labelnames  # noqa: SLF001 - the library shows labels only with samples
    return Metric(name, family.type, tuple(labels), family.documentation)
