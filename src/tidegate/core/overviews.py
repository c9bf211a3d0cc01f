"""The overview: what all processes did in the last minute and hour, from their samples.

The console, the operations API and `tidegate status` show the same one.
"""

from dataclasses import dataclass
from datetime import datetime

from tidegate.core.inspection import Backlog


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a stage ended so, a second, over the window."""

    stage: str
    outcome: str
    per_second: float


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something took, over the window. `kind` is empty for all kinds together."""

    what: str
    kind: str
    per_second: float
    p50_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Errors of one cause: `count` in the hour, `recent` in the window. `example` is the last one's event or run."""

    stage: str
    cause: str
    processor: str
    kind: str
    count: int
    recent: int
    last_at: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A dependency that is left alone, why, and by which processes."""

    name: str
    reason: str
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process. `state` is `alive`, `left` (it ended by intent) or `silent` (it has not been heard of)."""

    id: str
    role: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    in_flight: int
    state: str


@dataclass(frozen=True, slots=True)
class Series:
    """An hour in steps, oldest first; the last step has ended. None where nothing is known.

    `received`, `written` and `failed` are per second; `unfinished` and `dead` are counts.
    """

    began_at: datetime
    step_seconds: float
    received: tuple[float, ...]
    written: tuple[float, ...]
    failed: tuple[float, ...]
    freshness_p99_seconds: tuple[float | None, ...]
    unfinished: tuple[int | None, ...]
    dead: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """How the pipeline stands. Rates and timings are over `window_seconds`."""

    at: datetime
    window_seconds: float
    backlog: Backlog
    in_flight: int
    rates: tuple[Rate, ...]
    timings: tuple[Timing, ...]
    freshness: tuple[Timing, ...]
    errors: tuple[ErrorLine, ...]
    series: Series
    paused: tuple[Pause, ...]
    processes: tuple[ProcessState, ...]

    def rate(self, stage: str, *outcomes: str) -> float:
        """A stage's rate: of these outcomes, or of all."""
        return sum(
            rate.per_second
            for rate in self.rates
            if rate.stage == stage and (not outcomes or rate.outcome in outcomes)
        )
