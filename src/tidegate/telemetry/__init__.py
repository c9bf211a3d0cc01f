"""Subscribers of signals: metrics, log lines, and the samples of which overviews are made."""

from tidegate.core.signals import Signal, Telemetry
from tidegate.telemetry.logs import LogLines, configure_logging
from tidegate.telemetry.metrics import Metrics
from tidegate.telemetry.overviews import OverviewReader
from tidegate.telemetry.samples import SampleKeeper, SampleRoll
from tidegate.telemetry.sharing import SharedMetrics, forget_gauges, share_metrics


class Fanout:
    """Hands each signal to every subscriber."""

    def __init__(self, *subscribers: Telemetry) -> None:
        self._subscribers = subscribers

    def emit(self, signal: Signal) -> None:
        """Hand on a signal."""
        for subscriber in self._subscribers:
            subscriber.emit(signal)


__all__ = [
    "Fanout",
    "LogLines",
    "Metrics",
    "OverviewReader",
    "SampleKeeper",
    "SampleRoll",
    "SharedMetrics",
    "configure_logging",
    "forget_gauges",
    "share_metrics",
]
