"""Runs are lent to workers: claims in turn, renewals, and what happens to a run that cannot be read."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tidegate.core.runs import RunClaim
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.events import LOST_DATA
from tidegate.engines.postgres.horizon import Lows
from tidegate.engines.records import run_claim
from tidegate.engines.stored import UnreadableError, read_event

_COLUMNS = 8
"""Of a run, as `run_claim` takes them, but for its version, which comes after the event."""


class RunsLent(NamedTuple):
    """Claims, the processor served last, and after how many microseconds there may be more (if fewer than wanted)."""

    claims: list[RunClaim]
    last_served: str
    wait_us: int | None
    exhausted: bool


async def claim_runs(
    verbs: Verbs, lows: Lows, limit: int, excluding: Collection[str], last_served: str
) -> RunsLent:
    """Lend due runs, oldest due first within a processor, processors in turn."""
    claims: list[RunClaim] = []
    while True:
        wanted = limit - len(claims)
        rows = await verbs.call(
            "claim_runs",
            most=wanted,
            excluded=sorted(excluding),
            last_served=last_served,
            low_names=list(lows.dues),
            low_dues=list(lows.dues.values()),
        )
        wait_us = rows.pop()[-1] if rows and rows[-1][0] is None else None
        lent = [claim for row in rows if (claim := await _read(verbs, row)) is not None]
        claims += lent
        if rows:
            last_served = rows[-1][2]
        if len(lent) == len(rows):  # else some could not be read: others may take their places
            return RunsLent(claims, last_served, wait_us, exhausted=len(rows) < wanted)


async def _read(verbs: Verbs, row: tuple[Any, ...]) -> RunClaim | None:
    run_id, token, *rest = row
    columns, stored, version = rest[:_COLUMNS], rest[_COLUMNS:-2], rest[-2]
    try:
        event = read_event(tuple(stored))
    except UnreadableError as error:
        await verbs.call("bury_run", its_id=run_id, its_token=token, why=f"{LOST_DATA}{error}")
        return None
    return run_claim(run_id, token, (*columns, version), event)


async def renew(verbs: Verbs, claims: Sequence[RunClaim]) -> frozenset[int]:
    """Extend leases."""
    rows = await verbs.call(
        "renew", ids=[claim.run_id for claim in claims], tokens=[claim.token for claim in claims]
    )
    return frozenset(run_id for (run_id,) in rows)
