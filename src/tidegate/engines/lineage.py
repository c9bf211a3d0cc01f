"""Whose an entity is: which rows of lineage belong to a run's own source, and which are another writer's."""

from typing import NamedTuple

from tidegate.core.runs import RunClaim


class Source(NamedTuple):
    """What lineage is kept by: a resource config and a resource key, '' for runs without one."""

    config: str
    resource_key: str


class Mark(NamedTuple):
    """The newest event from which a source wrote an entity, and the processor that did."""

    event_seq: int
    processor: str


def source_of(claim: RunClaim) -> Source:
    """The source that a claim writes for."""
    return Source(claim.config, claim.resource_key or "")


def is_of_lane(source: Source, mark: Mark, claim: RunClaim) -> bool:
    """True if the row was left by a run of the claim's own lane."""
    return claim.lane is not None and (source, mark.processor) == (source_of(claim), claim.processor)


def is_own(source: Source, mark: Mark, claim: RunClaim) -> bool:
    """True if the row is the claim's own, to be replaced by what it writes now.

    Another processor's row of the same source counts as another writer's if it is from the same event or a
    later one: what one processor of an event upserts is not deleted by another. Runs without a resource key
    share one source, so there a later event's row is never one's own.
    """
    if source != source_of(claim):
        return False
    if mark.processor != claim.processor:
        return mark.event_seq < claim.event.seq
    return claim.resource_key is not None or mark.event_seq <= claim.event.seq
