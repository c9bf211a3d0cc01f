"""Signals as log lines, with event and run ids and never a payload or a header. One line an event is for DEBUG."""

import logging
import sys
from collections.abc import Hashable
from datetime import UTC, datetime

import msgspec

from tidegate.core.causes import cause_of
from tidegate.core.signals import (
    DependencyPaused,
    DutyFailed,
    EntityWritten,
    EventRefused,
    EventRouted,
    MappingWarned,
    ProcessorFailed,
    RunSettled,
    Signal,
    Takes,
)
from tidegate.core.traces import SUBJECT
from tidegate.telemetry.damping import Damper

logger = logging.getLogger("tidegate")

_FIELDS = "tidegate_fields"


_UNREMARKABLE = frozenset({"completed", "rerouted", "ignored", "released"})
"""Settlements that only show in the event's story."""


class LogLines:
    """A subscriber that writes what an operator wants to read: failures at WARNING, the rest at DEBUG.

    Of failures that are alike only a few a minute are written: an outage is no reason to fill the disk.
    """

    def __init__(self, damper: Damper | None = None) -> None:
        self._damper = damper or Damper()

    @property
    def takes(self) -> Takes:
        """All that has a line, at the level that is set."""
        loud = (EventRefused, ProcessorFailed, DependencyPaused, DutyFailed)
        quiet = (EventRouted, EntityWritten, MappingWarned) if logger.isEnabledFor(logging.DEBUG) else ()
        return {RunSettled: self._settled, **dict.fromkeys((*loud, *quiet), self._log)}

    def _settled(self, signal: RunSettled) -> None:
        is_quiet = signal.outcome in _UNREMARKABLE and not signal.stale
        if not is_quiet or logger.isEnabledFor(logging.DEBUG):
            self._log(signal)

    def _log(self, signal: Signal) -> None:
        """Log a signal, if the level is on."""
        level, message = _line(signal)
        if not message or not logger.isEnabledFor(level):
            return
        key = _alike(signal)
        held_back = 0 if key is None else self._damper.admit(key)
        if held_back is None:
            return
        if held_back:
            message = f"{message} (and {held_back} more like it before)"
        fields = {name: getattr(signal, name) for name in signal.__struct_fields__}
        logger.log(level, "%s", message, extra={_FIELDS: fields})


def _alike(signal: Signal) -> Hashable | None:
    """What makes lines alike; None for those that are always written."""
    match signal:
        case EventRefused(path=path, status=status, reason=reason):
            return EventRefused, path, status, reason
        case RunSettled(outcome="retry" | "dead" | "rejected", stale=False):
            return RunSettled, signal.outcome, signal.processor, signal.kind, cause_of(signal.detail)
        case ProcessorFailed(processor=processor, error=error):
            return ProcessorFailed, processor, cause_of(error)
        case _:
            return None


def _line(signal: Signal) -> tuple[int, str]:
    match signal:
        case RunSettled():
            return _settled(signal)
        case EventRefused(path=path, status=status, reason=reason):
            return logging.INFO, f"refused a request to {path} with {status}: {reason}"
        case EventRouted(event_id=event_id, runs=runs, reason=reason):
            return logging.DEBUG, f"event {event_id}: {runs} runs {reason}".rstrip()
        case ProcessorFailed(event_id=event_id, processor=processor, error=error):
            return logging.WARNING, f"event {event_id}: {processor} failed: {error}"
        case EntityWritten(blueprint=blueprint, identifier=identifier, action=action, event_id=event_id):
            return logging.DEBUG, f"event {event_id}: {action} {blueprint}/{identifier}"
        case MappingWarned(kind=kind, run_id=run_id, warning=warning):
            return logging.DEBUG, f"run {run_id} ({kind}): mapping: {warning}"
        case DependencyPaused(name=name, paused=True, reason=reason):
            return logging.WARNING, f"{name} is paused: {reason}"
        case DependencyPaused(name=name):
            return logging.INFO, f"{name} works again"
        case DutyFailed(duty=duty, error=error):
            return logging.ERROR, f"{duty} failed and is started again: {error}"
        case _:
            return logging.DEBUG, ""


def _settled(signal: RunSettled) -> tuple[int, str]:
    where = f"run {signal.run_id} ({signal.kind}, event {signal.event_id})"
    if signal.stale:
        return logging.WARNING, f"{where}: its lease was lost, {signal.outcome} is dropped"
    match signal.outcome:
        case "dead":
            return logging.ERROR, f"{where}: dead: {signal.detail}"
        case "retry" | "rejected":
            return logging.WARNING, f"{where}: {signal.outcome}: {signal.detail}"
        case _:
            milliseconds = signal.freshness_seconds * 1000
            return (
                logging.DEBUG,
                f"{where}: {signal.outcome} after {milliseconds:.0f} ms {signal.detail}".rstrip(),
            )


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        text = f"{time} {record.levelname.lower():<7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _subject() -> dict[str, str | int]:
    """What the task that logs works on, whoever's line it is."""
    subject = SUBJECT.get()
    if subject is None:
        return {}
    ids: dict[str, str | int] = {"event_id": subject.event_id, "trace_id": subject.trace_id}
    return ids if subject.run_id is None else {**ids, "run_id": subject.run_id}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_subject(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(document).decode()


def configure_logging(level: str, line_format: str) -> None:
    """Send log lines to standard error, as text or as JSON. Replaces what was configured before."""
    root = logging.getLogger()
    for known in list(root.handlers):
        root.removeHandler(known)
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_JsonFormatter() if line_format == "json" else _TextFormatter())
    root.addHandler(stream)
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
