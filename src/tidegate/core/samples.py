"""Samples: what one process did in a few seconds, small enough to be kept in the engine.

Whoever can reach the engine can add up the samples of all processes, whichever machines they run on.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from tidegate.core.inspection import Backlog

SAMPLES_KEPT = timedelta(hours=2)
"""How long an engine keeps samples."""


class Stage(StrEnum):
    """The parts of the pipeline, as counts and errors name them."""

    RECEIVED = "received"  # outcomes: accepted, duplicate, or the reason of a refusal
    ROUTED = "routed"  # outcomes: routed, ignored
    ASKED = "asked"  # runs that events asked for
    COALESCED = "coalesced"  # events that another event's run stood for
    SETTLED = "settled"  # outcomes: those of settlements, or stale
    WRITTEN = "written"  # outcomes: upsert, delete, kept, refused
    WARNED = "warned"  # mapping warnings


class Counted(NamedTuple):
    """How often something came about. Dimensions that say nothing are empty."""

    stage: str
    outcome: str
    path: str
    processor: str
    kind: str
    times: int


class Timed(NamedTuple):
    """A histogram (see core/histograms.py): `what` is a step, `commit`, `routing`, `target` or `freshness`."""

    what: str
    kind: str
    buckets: tuple[tuple[int, int], ...]
    total_seconds: float


class Failed(NamedTuple):
    """Errors of one cause. `stage` is the step or duty that failed, `example` the id of the last event or run."""

    stage: str
    cause: str
    processor: str
    kind: str
    times: int
    example: str


class Process(msgspec.Struct, frozen=True):
    """A process that takes part. `id` is its own among all that ever were."""

    id: str
    role: str
    host: str
    pid: int
    started_at: datetime


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a process did in the `seconds` before `at`, and how it stood then.

    `paused` tells which dependencies it leaves alone, and why. `backlog` is the engine's, as the process saw
    it. `leaving`: the process ends by intent.
    """

    process: Process
    at: datetime
    seconds: float
    counts: tuple[Counted, ...] = ()
    timings: tuple[Timed, ...] = ()
    errors: tuple[Failed, ...] = ()
    paused: dict[str, str] = {}
    in_flight: int = 0
    backlog: Backlog | None = None
    leaving: bool = False
