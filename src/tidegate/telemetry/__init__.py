"""Subscribers of signals: metrics and log lines."""

from tidegate.core.signals import Signal, Telemetry
from tidegate.telemetry.logs import LogLines, configure_logging
from tidegate.telemetry.metrics import Metrics


class Fanout:
    """Hands each signal to every subscriber."""

    def __init__(self, *subscribers: Telemetry) -> None:
        self._subscribers = subscribers

    def emit(self, signal: Signal) -> None:
        """Hand on a signal."""
        for subscriber in self._subscribers:
            subscriber.emit(signal)


__all__ = ["Fanout", "LogLines", "Metrics", "configure_logging"]
