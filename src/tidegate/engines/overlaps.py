"""Overlaps: two runs that wrote different things to one entity at the same time owe one more refresh."""

from hashlib import blake2b
from typing import NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.runs import EntityWrite, RunClaim, WriteAction

DELETED = b"deleted"
"""The digest of a delete."""

LATE_WRITE = "refresh: a late write may lie over a newer one"
"""Why there is a run that `refresh` asked for."""


class Stamp(NamedTuple):
    """The last write of an entity: `order` comes from the counter that also gives the claims' tokens."""

    order: int
    digest: bytes
    run_id: int


class OtherRun(NamedTuple):
    """What is known of the run that set a stamp."""

    processor: str
    config: str
    newest_seq: int


def digest_of(write: EntityWrite, document: bytes | None) -> bytes:
    """What a write is compared by."""
    if write.action is WriteAction.DELETE:
        return DELETED
    return blake2b(document or b"", digest_size=16).digest()


def overlaps(stamp: Stamp, digest: bytes, claim: RunClaim) -> bool:
    """True if another run settled a different write after the claim was given."""
    return stamp.order > claim.token and stamp.run_id != claim.run_id and stamp.digest != digest


def other_is_owed(stamp: Stamp, digest: bytes, claim: RunClaim, other: OtherRun) -> bool:
    """Which of the two is run again: True for the other one, False for the claim's own.

    The one that upserted, if the claim's own write is a delete: only that one would write the entity again.
    Without a resource key, the one with the newer event: its processor may live on payloads alone.
    """
    if digest == DELETED and stamp.digest != DELETED:
        return True
    same_code = (other.processor, other.config) == (claim.processor, claim.config)
    return claim.resource_key is None and same_code and other.newest_seq > claim.event.seq


def refresh_reason(stamp: Stamp, claim: RunClaim, ref: EntityRef) -> str:
    """Why there is a run that an overlap owes."""
    return f"refresh: runs {stamp.run_id} and {claim.run_id} wrote {ref} at the same time"
