"""How claims end: each settlement is read here, and carried out by the verb `settle`."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.lifecycle import RunState, RunTransition, next_run_state
from tidegate.core.runs import (
    Completed,
    EntityWrite,
    Rerouted,
    RunClaim,
    Settlement,
    WriteAction,
    refresh_lane_of,
)
from tidegate.engines.instants import span_us
from tidegate.engines.overlaps import DELETED, LATE_WRITE, digest_of
from tidegate.engines.postgres.calls import Verbs, stored_text
from tidegate.engines.postgres.requests import request_arrays
from tidegate.engines.settlements import PASSED_ON, Ending, changed, document_of, ending_of, outcome_name
from tidegate.engines.stored import encode_fetched, encode_trail


class SettleCall(NamedTuple):
    """One call of `settle`."""

    claim: RunClaim
    settlement: Settlement


class Settled(NamedTuple):
    """False if the claim was stale; and whether there is something new to claim."""

    done: bool
    woke: bool


async def settle(verbs: Verbs, calls: Sequence[SettleCall]) -> list[Settled]:
    """End claims."""
    endings = [ending_of(call.settlement) for call in calls]
    rows = await verbs.call(
        "settle",
        ids=[call.claim.run_id for call in calls],
        tokens=[call.claim.token for call in calls],
        states=[next_run_state(RunState.CLAIMED, ending.transition).value for ending in endings],
        failed=[ending.transition is RunTransition.RETRY for ending in endings],
        delays=[_delay_us(ending) for ending in endings],
        details=[stored_text(ending.detail) for ending in endings],
        outcomes=[outcome_name(call.settlement) for call in calls],
        completes=[isinstance(call.settlement, Completed) for call in calls],
        found_versions=[_found_version(call.settlement) for call in calls],
        trails=[encode_trail(call.settlement.trail) for call in calls],
        fetched=[encode_fetched(call.settlement.trail.fetched) for call in calls],
        deleted=DELETED,
        passed_on=PASSED_ON,
        **_write_arrays(
            (place, call.claim, write)
            for place, (call, ending) in enumerate(zip(calls, endings, strict=True), start=1)
            for write in ending.writes
        ),
        **_dropped_arrays(
            (place, ref)
            for place, call in enumerate(calls, start=1)
            if isinstance(call.settlement, Completed)
            for ref in call.settlement.dropped
        ),
        **request_arrays(
            (
                (place, request)
                for place, call in enumerate(calls, start=1)
                if isinstance(call.settlement, Rerouted)
                for request in call.settlement.runs
            ),
            delays="run_delays",
        ),
    )
    found = {place: Settled(True, woke) for place, woke in rows}
    return [found.get(place, Settled(False, False)) for place in range(1, len(calls) + 1)]


def _found_version(settlement: Settlement) -> str | None:
    return stored_text(settlement.version) if isinstance(settlement, Completed) else None


async def refresh(verbs: Verbs, claim: RunClaim, writes: Sequence[EntityWrite]) -> bool:
    """Tell what was written under a stale claim; True if there is something new to claim."""
    [(made,)] = await verbs.call(
        "refresh",
        its_id=claim.run_id,
        its_token=claim.token,
        its_seq=claim.event.seq,
        blueprints=[stored_text(write.ref.blueprint) for write in writes],
        identifiers=[stored_text(write.ref.identifier) for write in writes],
        upserts=[write.action is WriteAction.UPSERT for write in writes],
        digests=[digest_of(write, document_of(write.entity)) if changed(write) else None for write in writes],
        refresh_lanes=[refresh_lane_of(claim.processor, claim.config, write.ref) for write in writes],
        why=LATE_WRITE,
    )
    return made


def _delay_us(ending: Ending) -> int | None:
    return None if ending.delay_seconds is None else span_us(ending.delay_seconds)


def _write_arrays(written: Iterable[tuple[int, RunClaim, EntityWrite]]) -> dict[str, Any]:
    arrays: dict[str, list[Any]] = {name: [] for name in _WRITE_ARRAYS}
    for place, claim, write in written:
        document = document_of(write.entity)
        values = (
            place,
            stored_text(write.ref.blueprint),
            stored_text(write.ref.identifier),
            write.action.value,
            stored_text(write.reason),
            document,
            digest_of(write, document) if changed(write) else None,
            refresh_lane_of(claim.processor, claim.config, write.ref) if claim.lane is None else None,
        )
        for name, value in zip(_WRITE_ARRAYS, values, strict=True):
            arrays[name].append(value)
    return arrays


_WRITE_ARRAYS = (
    "writers",
    "blueprints",
    "identifiers",
    "actions",
    "reasons",
    "documents",
    "digests",
    "refresh_lanes",
)


def _dropped_arrays(dropped: Iterable[tuple[int, EntityRef]]) -> dict[str, Any]:
    pairs = list(dropped)
    return {
        "droppers": [place for place, _ in pairs],
        "dropped_blueprints": [stored_text(ref.blueprint) for _, ref in pairs],
        "dropped_identifiers": [stored_text(ref.identifier) for _, ref in pairs],
    }
