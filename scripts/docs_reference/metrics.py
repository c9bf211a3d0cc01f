"""The reference of metrics, from the subscriber that keeps them."""

from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from scripts.docs_reference.blocks import table
from tidegate.telemetry import Metrics


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
    values = vars(Metrics()).values()
    members = [
        member for value in values for member in (value.values() if isinstance(value, dict) else [value])
    ]
    return [_metric(member) for member in members if isinstance(member, MetricWrapperBase)]


def _metric(member: MetricWrapperBase) -> Metric:
    family = next(iter(member.describe()))
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = member._labelnames  # noqa: SLF001 - the library shows labels only with samples
    return Metric(name, family.type, tuple(labels), family.documentation)
