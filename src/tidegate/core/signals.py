"""What the parts of Tidegate tell telemetry: plain facts, which subscribers turn into metrics and log lines."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tidegate.core.runs import StepName, WriteAction


@dataclass(frozen=True, slots=True)
class EventAccepted:
    path: str
    event_id: str
    size_bytes: int
    commit_seconds: float
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class EventRefused:
    """The ingress said no. `reason` is a short fixed word: `too-large`, `bad-json`, `unknown-path`, …"""

    path: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionsOpen:
    """How many connections the webhook listener has open now."""

    count: int


@dataclass(frozen=True, slots=True)
class ConnectionCut:
    """The webhook listener ended a connection without an answer. `reason` is a short fixed word."""

    reason: str


@dataclass(frozen=True, slots=True)
class EventRouted:
    event_id: str
    path: str
    runs: int
    reason: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class ProcessorFailed:
    """A processor raised outside a run: while it routed an event."""

    event_id: str
    processor: str
    error: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    step: StepName
    kind: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class RunSettled:
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


@dataclass(frozen=True, slots=True)
class EntityWritten:
    blueprint: str
    identifier: str
    action: WriteAction
    kind: str
    run_id: int
    event_id: str
    freshness_seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MappingWarned:
    kind: str
    run_id: int
    warning: str


@dataclass(frozen=True, slots=True)
class BatchApplied:
    """The state applier finished one request to the target."""

    changes: int
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class DependencyPaused:
    """A circuit breaker opened (`paused`) or closed. `name` is `target` or a third-party host."""

    name: str
    paused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class DutyFailed:
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
    | StepFinished
    | RunSettled
    | EntityWritten
    | MappingWarned
    | BatchApplied
    | DependencyPaused
    | DutyFailed
)


class Telemetry(Protocol):
    """Takes signals. It never raises, never blocks, and is called from the event loop's thread."""

    def emit(self, signal: Signal) -> None: ...
