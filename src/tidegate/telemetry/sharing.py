"""Metrics of several processes: each counts in files of its own, in one directory, and one process shows the sum.

The files are memory maps, so that what a process counted is there after it was killed, and goes on from there
when it is started again.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]
)

from tidegate.core.inspection import Backlog
from tidegate.telemetry.metrics import StateGauges


def share_metrics(directory: Path, name: str) -> None:
    """Let all metrics that this process makes from now on count in `directory`, under a name of its own."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    shared = values.MultiProcessValue(process_identifier=lambda: name)  # pyright: ignore[reportUnknownMemberType]
    setattr(values, "ValueClass", shared)  # noqa: B010 - the library's own way, for other names than pids


def forget_gauges(directory: Path, name: str) -> None:
    """A process has ended: what it counted stays, what it showed as its present state does not."""
    mark_process_dead(name, str(directory))


class SharedMetrics:
    """The sum of what all processes counted. Gauges say themselves how those of several are taken together."""

    def __init__(self, directory: Path) -> None:
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, str(directory))

    @property
    def content_type(self) -> str:
        """The media type of `exposition`."""
        return CONTENT_TYPE_LATEST

    def exposition(self, backlog: Backlog) -> bytes:
        """All metrics in Prometheus' text format, with the backlog as it is now."""
        return generate_latest(self._registry) + generate_latest(StateGauges(backlog))
