"""Overlaps: two runs that wrote different things to one entity at the same time owe one more refresh."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.runs import EntityWrite, RunClaim, WriteAction

DELETED = b"deleted"
"""The digest of an entity that is to be gone."""

LATE_WRITE = "refresh: a late write may lie over a newer one"
"""Why there is a run that `refresh` asked for."""


class Stamp(NamedTuple):
    """The last write of an entity: `order` comes from the counter that also gives the claims' tokens."""

    order: int
    digest: bytes
    run_id: int


class OtherRun(NamedTuple):
    """What is known of the run that set a stamp. `token` is that of its last claim."""

    processor: str
    config: str
    resource_key: str | None
    newest_seq: int
    token: int


class Owed(NamedTuple):
    """A refresh: of which run, of which entity, and why."""

    run_id: int
    ref: EntityRef
    reason: str


class Owing(NamedTuple):
    """Which of two overlapping runs are run again."""

    own: bool
    other: bool


def digest_of(write: EntityWrite, document: bytes | None) -> bytes:
    """What a write is compared by."""
    if write.action in {WriteAction.DELETE, WriteAction.ABSENT}:
        return DELETED
    return blake2b(document or b"", digest_size=16).digest()


def came_between(stamp: Stamp, claim: RunClaim) -> bool:
    """True if another run settled a write after the claim was given."""
    return stamp.order > claim.token and stamp.run_id != claim.run_id


def came_late(stamp: Stamp, lane: str | None, claim: RunClaim) -> bool:
    """True if an earlier claim of the run or its lane (`lane`: that of the stamp's run) wrote after this one was
    given, which `refresh` tells: what this one plans for the entity does not count, since the late write lies over it.
    """
    own = stamp.run_id == claim.run_id or (lane is not None and lane == claim.lane)
    return own and stamp.order > claim.token


def overlaps(stamp: Stamp, digest: bytes, claim: RunClaim) -> bool:
    """True if another run settled a different write after the claim was given."""
    return came_between(stamp, claim) and stamp.digest != digest


def who_owes(stamp: Stamp, digest: bytes, claim: RunClaim, other: OtherRun) -> Owing:
    """Which of two overlapping runs are run again.

    If one upserted and the other deleted: the one that upserted, since only that one would write the entity
    again; and the other one too if the first has no resource key, since only that one would delete it again.
    If both upserted, and both have a resource key: the claim's own if the other fetched later; otherwise
    nobody, since lanes see to it that each wrote its newest (and refreshes that overlap would never end).
    If both upserted from one processor and config without a key: the one with the newer event, since its
    processor may live on payloads alone. Otherwise the claim's own.
    """
    if digest == DELETED:
        return Owing(own=other.resource_key is None, other=True)
    if stamp.digest == DELETED:
        return Owing(own=True, other=claim.resource_key is None)
    if claim.resource_key is not None and other.resource_key is not None:
        return Owing(own=other.token > claim.token, other=False)
    same_code = (other.processor, other.config) == (claim.processor, claim.config)
    newer = claim.resource_key is None and same_code and other.newest_seq > claim.event.seq
    return Owing(own=not newer, other=newer)


def one_a_run(owed: Sequence[Owed]) -> Sequence[Owed]:
    """One refresh for each run, however many of its entities ask for it: the first one."""
    return list({refresh.run_id: refresh for refresh in reversed(owed)}.values())[::-1]


def refresh_reason(stamp: Stamp, claim: RunClaim, ref: EntityRef) -> str:
    """Why there is a run that an overlap owes."""
    return f"refresh: runs {stamp.run_id} and {claim.run_id} wrote {ref} at the same time"


def let_go(claim: RunClaim, ref: EntityRef) -> str:
    """Why there is a run of somebody who wrote an entity too."""
    return f"refresh: run {claim.run_id} does not write {ref} any more, and may have written it last"


def may_be_gone(claim: RunClaim, ref: EntityRef) -> str:
    """Why there is a run of somebody whose entity an attempt may have deleted that never told."""
    return f"refresh: an attempt of run {claim.run_id} may have deleted {ref}"


def left_alone(claim: RunClaim, ref: EntityRef) -> str:
    """Why there is another run for who kept an entity on account of others."""
    return f"refresh: run {claim.run_id} kept {ref} for others, who do not write it any more"
