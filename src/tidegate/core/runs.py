"""Runs: what the router asks for, what a worker is lent, and how it gives it back."""

from enum import StrEnum
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import StoredEvent

ROUTING_CONFIG = ""
"""The config id of a run that routes one event for one processor, whose first routing failed."""


class RunRequest(msgspec.Struct, frozen=True):
    """One run that an event asks for.

    `lane` is what runs are serialised and coalesced by; None makes the run one of its own. `config` is the
    resource config's id, or ROUTING_CONFIG. `delay_seconds` and `error` are set where routing failed.
    `version` is what the event announces, as `core.versions.sortable` writes it; '' if it announces none.
    """

    processor: str
    config: str
    kind: str
    resource_key: str | None
    lane: str | None
    delay_seconds: float = 0.0
    error: str | None = None
    version: str = ""


def lane_of(processor: str, config: str, resource_key: str | None) -> str | None:
    """The lane of (processor, resource config, resource key): 128 bits as hex; None without a key."""
    return None if resource_key is None else _lane_hash(processor, config, resource_key)


def _lane_hash(*parts: str) -> str:
    framed = b"".join([len(part).to_bytes(4, "big") + part for part in map(str.encode, parts)])
    return blake2b(framed, digest_size=16).hexdigest()


def refresh_lane_of(processor: str, config: str, ref: EntityRef) -> str:
    """The lane on which refreshes of one entity, asked for by runs without a resource key, coalesce."""
    return _lane_hash(processor, config, "refresh", ref.blueprint, ref.identifier)


class EventClaim(msgspec.Struct, frozen=True):
    """An event lent to a router. `expirations` counts the leases that ended without a settlement."""

    event: StoredEvent
    token: int
    expirations: int = 0


class RunClaim(msgspec.Struct, frozen=True):
    """A run lent to a worker until its lease ends.

    `token` grows with every claim that the engine gives out, over all machines: it is the fencing token,
    and it orders fetches. `event` is the newest of the run's `event_count` events. `failures` counts
    settled retries; `expirations` counts leases that ended without a settlement. `version` is the highest
    that the run's events announce, or that was found when the lane was applied last; '' if there is none.
    """

    run_id: int
    token: int
    processor: str
    config: str
    kind: str
    resource_key: str | None
    lane: str | None
    event: StoredEvent
    event_count: int = 1
    failures: int = 0
    expirations: int = 0
    version: str = ""


class StepName(StrEnum):
    """The steps of an attempt, in order."""

    LOAD = "load"
    AUTHENTICATE = "authenticate"
    VALIDATE = "validate"
    FETCH = "fetch"
    MAP = "map"
    PLAN = "plan"
    WRITE = "write"


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One step of an attempt: how long it took and what it decided, for the event's timeline."""

    name: StepName
    duration_seconds: float
    note: str = ""


class Trail(msgspec.Struct, frozen=True):
    """What an attempt did, kept with the run: steps, mapping warnings and the fetched items (JSON, bounded)."""

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    fetched: bytes = b""


NO_TRAIL = Trail()


class WriteAction(StrEnum):
    UPSERT = "upsert"
    DELETE = "delete"
    KEPT = "kept"  # a delete that was not done: `reason` says who else wrote the entity
    ABSENT = "absent"  # a delete with nothing to delete: the target has no such entity of this integration
    REFUSED = "refused"  # the target answered that this entity is wrong, for good


class EntityWrite(msgspec.Struct, frozen=True):
    """What a run did to one entity, and why. `entity` is set for upserts."""

    ref: EntityRef
    action: WriteAction
    reason: str = ""
    entity: Entity | None = None


class Completed(msgspec.Struct, frozen=True):
    """The run did its work. `writes` is all that it did; `dropped` are entities it no longer writes.

    `version` is that of what was fetched, as `core.versions.sortable` writes it; '' if it is not known.
    """

    writes: tuple[EntityWrite, ...] = ()
    dropped: tuple[EntityRef, ...] = ()
    version: str = ""
    trail: Trail = NO_TRAIL


class Rerouted(msgspec.Struct, frozen=True):
    """A run of ROUTING_CONFIG did its work: these are the runs that its event asks for (or the reason why none)."""

    runs: tuple[RunRequest, ...]
    reason: str = ""
    trail: Trail = NO_TRAIL


class Ignored(msgspec.Struct, frozen=True):
    """There is nothing to do for the claim's event any more."""

    reason: str
    trail: Trail = NO_TRAIL


class Rejected(msgspec.Struct, frozen=True):
    """authenticate or validate_payload said no to the claim's event. Never retried."""

    reason: str
    trail: Trail = NO_TRAIL


class Retry(msgspec.Struct, frozen=True):
    """The attempt failed and another is owed after the delay. Counts as a failure.

    `writes` is what it did before it failed: journalled and stamped, lineage untouched.
    """

    delay_seconds: float
    error: str
    writes: tuple[EntityWrite, ...] = ()
    trail: Trail = NO_TRAIL


class Released(msgspec.Struct, frozen=True):
    """Given back undecided: drain, an outage, a write that a newer one overtook. Counts as nothing.

    `waits_for` is the third-party host that is paused, if that is why.
    """

    delay_seconds: float
    reason: str
    trail: Trail = NO_TRAIL
    waits_for: str | None = None


class Dead(msgspec.Struct, frozen=True):
    """The run failed for good and is kept as a dead letter. `writes` as for Retry."""

    error: str
    writes: tuple[EntityWrite, ...] = ()
    trail: Trail = NO_TRAIL


Settlement: TypeAlias = Completed | Rerouted | Ignored | Rejected | Retry | Released | Dead


class Routing(msgspec.Struct, frozen=True):
    """What became of an event at the router: the runs it asks for, or the reason why there are none."""

    runs: tuple[RunRequest, ...] = ()
    reason: str = ""
    dead: bool = False  # the event killed its router too often: `reason` says so
