"""Subscribers of signals: metrics, log lines, and the samples of which overviews are made.

What every event has reaches metrics and samples by `Turns`, which is to be a subscriber beside them; their histograms
get theirs of `Durations`, by `Turns` as well.
"""

from collections.abc import Callable
from typing import Any, Protocol

from tidegate.core.signals import Signal, Takes
from tidegate.telemetry.durations import Durations
from tidegate.telemetry.logs import LogLines, configure_logging
from tidegate.telemetry.metrics import Metrics
from tidegate.telemetry.overviews import OverviewReader
from tidegate.telemetry.samples import SampleKeeper, SampleRoll
from tidegate.telemetry.sharing import SharedMetrics, forget_gauges, share_metrics
from tidegate.telemetry.turns import Turns


class Subscriber(Protocol):
    """Takes some of the signals."""

    @property
    def takes(self) -> Takes: ...


class Fanout:
    """Hands each signal to those that want it."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._takers: dict[type[Signal], list[Callable[[Any], None]]] = {}
        for subscriber in subscribers:
            for kind, take in subscriber.takes.items():
                self._takers.setdefault(kind, []).append(take)

    def emit(self, signal: Signal) -> None:
        """Hand on a signal."""
        for take in self._takers.get(type(signal), ()):
            take(signal)


__all__ = [
    "Durations",
    "Fanout",
    "LogLines",
    "Metrics",
    "OverviewReader",
    "SampleKeeper",
    "SampleRoll",
    "SharedMetrics",
    "Turns",
    "configure_logging",
    "forget_gauges",
    "share_metrics",
]
