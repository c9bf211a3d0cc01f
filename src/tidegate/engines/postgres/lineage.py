"""Lineage: which source wrote which entity, noted before it is written."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError
from tidegate.core.plans import Owner, Staged
from tidegate.core.runs import RunClaim, refresh_lane_of
from tidegate.engines.postgres.calls import Verbs, stored_text
from tidegate.postgres import Row


class StageCall(NamedTuple):
    """One call of `stage`."""

    claim: RunClaim
    upserts: Collection[EntityRef]
    candidates: Collection[EntityRef]


async def stage(verbs: Verbs, calls: Sequence[StageCall]) -> list[Staged | StaleClaimError]:
    """Answer whose the entities are, then note the sources as writers of what they are about to write."""
    written = [(place, ref) for place, call in enumerate(calls, start=1) for ref in sorted(call.upserts)]
    asked = [(place, ref) for place, call in enumerate(calls, start=1) for ref in sorted(call.candidates)]
    rows = await verbs.call(
        "stage",
        ids=[call.claim.run_id for call in calls],
        tokens=[call.claim.token for call in calls],
        writers=[place for place, _ in written],
        write_blueprints=[stored_text(ref.blueprint) for _, ref in written],
        write_identifiers=[stored_text(ref.identifier) for _, ref in written],
        write_refresh_lanes=[_refresh_lane(calls[place - 1].claim, ref) for place, ref in written],
        askers=[place for place, _ in asked],
        ask_blueprints=[stored_text(ref.blueprint) for _, ref in asked],
        ask_identifiers=[stored_text(ref.identifier) for _, ref in asked],
    )
    answers: dict[int, list[Row]] = {}
    for place, *rest in rows:
        answers.setdefault(place, []).append(tuple(rest))
    return [_staged(call, answers.get(place)) for place, call in enumerate(calls, start=1)]


def _refresh_lane(claim: RunClaim, ref: EntityRef) -> str | None:
    return None if claim.resource_key is not None else refresh_lane_of(claim.processor, claim.config, ref)


def _staged(call: StageCall, rows: list[Row] | None) -> Staged | StaleClaimError:
    if rows is None:
        return StaleClaimError(f"run {call.claim.run_id} was claimed again since: its lease is over")
    previous: set[EntityRef] = set()
    known: set[EntityRef] = set()
    owners: dict[EntityRef, list[Owner]] = {}
    for what, blueprint, identifier, config, resource_key, event_seq in rows:
        ref = EntityRef(blueprint, identifier)
        match what:
            case "previous":
                previous.add(ref)
            case "own":
                known.add(ref)
            case "other":
                known.add(ref)
                owners.setdefault(ref, []).append(Owner(config, resource_key, event_seq))
            case _:  # "live", which says no more than that
                pass
    by_source = {
        ref: tuple(sorted(found, key=lambda owner: (owner.config, owner.resource_key)))
        for ref, found in owners.items()
    }
    return Staged(frozenset(previous), by_source, frozenset(known))
