"""What the parts of Tidegate tell telemetry: plain facts, which subscribers turn into metrics and log lines."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from tidegate.core.runs import Step, WriteAction


class EventAccepted(msgspec.Struct, frozen=True):
    path: str
    event_id: str
    size_bytes: int
    commit_seconds: float
    duplicate: bool = False


class EventRefused(msgspec.Struct, frozen=True):
    """The ingress said no. `reason` is a short fixed word: `too-large`, `bad-json`, `unknown-path`, …"""

    path: str
    status: int
    reason: str


class ConnectionsOpen(msgspec.Struct, frozen=True):
    """How many connections the webhook listener has open now."""

    count: int


class ConnectionCut(msgspec.Struct, frozen=True):
    """The webhook listener ended a connection without an answer. `reason` is a short fixed word."""

    reason: str


class EventRouted(msgspec.Struct, frozen=True):
    event_id: str
    path: str
    runs: int
    reason: str
    duration_seconds: float


class ProcessorFailed(msgspec.Struct, frozen=True):
    """A processor raised outside a run: while it routed an event."""

    event_id: str
    processor: str
    error: str


class AttemptEnded(msgspec.Struct, frozen=True):
    """An attempt of a run is over, well or not: these steps were begun."""

    kind: str
    steps: tuple[Step, ...]


class RunSettled(msgspec.Struct, frozen=True):
    """`outcome` is the settlement's name in lower case. `freshness_seconds`: from receipt to settlement.

    `step` is the last one that was begun, empty if there was none. `event_count`: how many events the run
    stood for.
    """

    run_id: int
    event_id: str
    processor: str
    kind: str
    outcome: str
    detail: str
    freshness_seconds: float
    stale: bool = False
    step: str = ""
    event_count: int = 1


class EntityWritten(msgspec.Struct, frozen=True):
    blueprint: str
    identifier: str
    action: WriteAction
    kind: str
    run_id: int
    event_id: str
    freshness_seconds: float
    reason: str = ""


class MappingWarned(msgspec.Struct, frozen=True):
    kind: str
    run_id: int
    warning: str


class BatchApplied(msgspec.Struct, frozen=True):
    """The state applier finished one request to the target."""

    changes: int
    duration_seconds: float


class DependencyPaused(msgspec.Struct, frozen=True):
    """A circuit breaker opened (`paused`) or closed. `name` is `target` or a third-party host."""

    name: str
    paused: bool
    reason: str


class DutyFailed(msgspec.Struct, frozen=True):
    """A background duty (dispatcher, maintenance, …) failed once and goes on."""

    duty: str
    error: str


Signal: TypeAlias = (
    EventAccepted
    | EventRefused
    | ConnectionsOpen
    | ConnectionCut
    | EventRouted
    | ProcessorFailed
    | AttemptEnded
    | RunSettled
    | EntityWritten
    | MappingWarned
    | BatchApplied
    | DependencyPaused
    | DutyFailed
)

Takes: TypeAlias = Mapping[type[Signal], Callable[[Any], None]]
"""What a subscriber does with the signals that it wants."""


class Telemetry(Protocol):
    """Takes signals. It never raises, never blocks, and is called from the event loop's thread."""

    def emit(self, signal: Signal) -> None: ...
