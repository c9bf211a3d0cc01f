"""What the engine shows of itself: records, filters and counts for the CLI, the operations API and the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tidegate.core.entities import EntityRef
from tidegate.core.events import EventHeaders
from tidegate.core.lifecycle import EventState, RunState


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: all conditions must hold. `since` is inclusive, `until` exclusive. `text` is looked for
    in the body and the delivery id.
    """

    ids: tuple[str, ...] = ()
    path: str | None = None
    state: EventState | None = None
    delivery_id: str | None = None
    processor: str | None = None
    kind: str | None = None
    resource_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs: all conditions must hold. `error` is a part of the last error. Times are of the last change."""

    ids: tuple[int, ...] = ()
    state: RunState | None = None
    path: str | None = None
    processor: str | None = None
    kind: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a listing, newest first: `before` is the seq (events, writes) or id (runs) to go on from."""

    limit: int = 50
    before: int | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as listings show it."""

    seq: int
    id: str
    path: str
    state: EventState
    received_at: datetime
    finished_at: datetime | None
    delivery_id: str | None
    replay_of: str | None
    reason: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt of a run. `outcome` is the settlement's name in lower case; `detail` its error or reason.

    An attempt whose lease ended without a settlement is `expired`, and one that has not ended is `running`.
    """

    number: int
    token: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    detail: str
    steps: tuple[tuple[str, float, str], ...]  # name, seconds, note
    warnings: tuple[str, ...]
    fetched: bytes


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """One write (or refusal to write) of one entity. `document` is the entity's JSON for upserts."""

    seq: int
    ref: EntityRef
    action: str
    reason: str
    run_id: int
    event_id: str
    at: datetime
    document: bytes | None


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """Which entities: `text` is a part of the identifier."""

    blueprint: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class EntityRecord:
    """An entity that the integration wrote, with the last that was done to it (None: forgotten by now)."""

    ref: EntityRef
    last: WriteRecord | None


@dataclass(frozen=True, slots=True)
class EntitiesFound:
    """A part of a search, by blueprint and identifier. `resume` is where to go on; None: nothing is left to be
    looked at.
    """

    records: tuple[EntityRecord, ...] = ()
    resume: EntityRef | None = None
    examined: int = 0
    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class BlueprintCount:
    """How many entities a blueprint has; `more` if there are more than were counted."""

    blueprint: str
    entities: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as listings show it. `event_id` is the newest event's."""

    id: int
    state: RunState
    path: str
    processor: str
    config: str
    kind: str
    resource_key: str | None
    event_id: str
    event_seq: int
    event_count: int
    failures: int
    expirations: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    detail: str
    superseded_by: int | None = None


@dataclass(frozen=True, slots=True)
class EventsFound:
    """A part of a search, newest first. `resume` is where to go on (`Page.before`); None: nothing is
    left to be looked at. `runs` are those that stand for the events, by seq.

    `cut_short` if the time was over before the page was full: `examined` events were looked at by then, and
    older ones may match too.
    """

    records: tuple[EventRecord, ...] = ()
    resume: int | None = None
    examined: int = 0
    cut_short: bool = False
    runs: Mapping[int, tuple[RunRecord, ...]] = field(default_factory=dict[int, tuple[RunRecord, ...]])


@dataclass(frozen=True, slots=True)
class EventDetail:
    """An event with everything that became of it.

    `carried` names those of its runs that use its payload: the others have a newer event.
    """

    record: EventRecord
    headers: EventHeaders
    body: bytes
    trace_id: str
    runs: tuple[RunRecord, ...]
    carried: frozenset[int]


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with its attempts, its writes and the events that it stands for (newest first, at most 100)."""

    record: RunRecord
    attempts: tuple[AttemptRecord, ...]
    writes: tuple[WriteRecord, ...]
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Counts of live and dead work. `oldest_seconds` is the age of the oldest unfinished event, 0 if none."""

    queued_events: int = 0
    ready_runs: int = 0
    held_runs: int = 0
    claimed_runs: int = 0
    dead_runs: int = 0
    oldest_seconds: float = 0.0

    @property
    def unfinished(self) -> int:
        return self.queued_events + self.ready_runs + self.held_runs + self.claimed_runs
