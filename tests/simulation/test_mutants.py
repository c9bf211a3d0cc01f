"""The simulation can fail: each safeguard, taken away, ends some schedule with a wrong catalog or a lost event."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from msgspec import structs

from tests.simulation import trial
from tests.simulation.catalog import Catalog
from tests.simulation.engines import LEASE_SECONDS
from tests.simulation.weather import Style, Weather, calm
from tidegate.core.entities import EntityRef
from tidegate.core.events import IncomingEvent
from tidegate.core.plans import Staged
from tidegate.core.ports import Change, ChangeOutcome, Clock, Duplicate, EnqueueOutcome
from tidegate.core.runs import EntityWrite, Rejected, RunClaim, Settlement
from tidegate.engines.memory import MemoryEngine, claiming, settling
from tidegate.pipeline import processing
from tidegate.pipeline.staleness import Read
from tidegate.testing.engine_suite import FullEngine

MOST_SEEDS = 1_000
PAUSES = replace(
    calm(Style.KEYED),
    fenced=False,
    processes=3,
    runs_at_once=2,
    resources=3,
    changes=40,
    horizon=80.0,
    fetch_seconds=1.0,
    send_seconds=2.0,
    write_seconds=1.0,
    pauses=12,
)
"""Processes stand still again and again, and the target takes whatever comes late."""
OVERLAPS = replace(
    calm(Style.KEYLESS),
    fenced=False,
    resources=2,
    changes=16,
    horizon=10.0,
    fetch_seconds=4.0,
    write_seconds=2.0,
)
"""Many runs of one resource are under way at once."""


class NoLineage(MemoryEngine):
    """Nobody knows what a resource wrote before."""

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        return structs.replace(await super().stage(claim, upserts, candidates), previous=frozenset())


class LateLineage(MemoryEngine):
    """What is about to be written is not noted."""

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        return await super().stage(claim, (), {*candidates, *upserts})


class UnfencedSettle(MemoryEngine):
    """A stale claim's settlement counts."""

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        run = self._store.live_runs.get(claim.run_id)
        return await super().settle(
            claim if run is None else structs.replace(claim, token=run.token), settlement
        )


class ForgetsLateWrites(MemoryEngine):
    """What was written late is nobody's business."""

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        pass


class RejectsUnseen(MemoryEngine):
    """Events that are turned away take those along that are coalesced with them."""

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        run = self._store.live_runs.get(claim.run_id)
        if isinstance(settlement, Rejected) and run is not None:
            run.newest_seq, run.lane = claim.event.seq, None
        return await super().settle(claim, settlement)


class SwallowsRedeliveries(MemoryEngine):
    """A delivery id is kept although its event could not be stored."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(clock, **options)
        self._seen: set[str] = set()

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        if event.delivery_id is None or event.delivery_id in self._seen:
            return await super().enqueue(event)
        self._seen.add(event.delivery_id)
        return (
            Duplicate("one that was never stored")
            if len(self._seen) % 5 == 0
            else await super().enqueue(event)
        )


class ForgetsLanes(MemoryEngine):
    """Runs of one resource go at once."""

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        for run in self._store.live_runs.values():
            if run.due_at is None:
                run.state, run.due_at = claiming.RunState.READY, self._store.clock.now()
        return await super().claim_runs(limit, excluding)


ENGINES = (
    NoLineage,
    LateLineage,
    UnfencedSettle,
    ForgetsLateWrites,
    RejectsUnseen,
    SwallowsRedeliveries,
    ForgetsLanes,
)


def first_wrong(engine: type[MemoryEngine] = MemoryEngine, weather: Weather | None = None) -> int | None:
    """The first schedule that goes wrong with such an engine."""

    @asynccontextmanager
    async def opened(clock: Clock) -> AsyncGenerator[FullEngine]:
        async with engine(clock, lease_seconds=LEASE_SECONDS) as broken:
            yield broken

    return next((seed for seed in range(MOST_SEEDS) if trial.attempt(seed, opened, weather=weather)), None)


@pytest.mark.parametrize("broken", ENGINES)
def test_a_broken_engine_is_found(broken: type[MemoryEngine]) -> None:
    paused = broken in {UnfencedSettle, ForgetsLateWrites}
    assert first_wrong(broken, PAUSES if paused else None) is not None


def test_pauses_and_overlaps_alone_break_nothing() -> None:
    assert not any(
        trial.attempt(seed, weather=weather) for seed in range(10) for weather in (PAUSES, OVERLAPS)
    )


def nothing(*_: object, **__: object) -> None:
    """What a safeguard does that is taken away."""


@pytest.mark.parametrize(
    ("module", "safeguard", "instead", "weather"),
    [
        (claiming, "_catch_up", nothing, None),
        (settling, "owe", nothing, OVERLAPS),
        (settling, "overlaps", lambda *_: False, OVERLAPS),
        (processing, "check_read", lambda *_: Read(""), None),
    ],
    ids=["no older payload", "no refresh", "no refresh on overlap", "no stale read"],
)
def test_a_safeguard_that_is_missing_is_missed(
    module: object,
    safeguard: str,
    instead: Callable[..., object],
    weather: Weather | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, safeguard, instead)
    assert first_wrong(weather=weather) is not None


def test_a_target_without_its_fences_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fences = count(1)

    async def unfenced(self: Catalog, changes: Sequence[Change]) -> list[ChangeOutcome]:
        return await handle(self, [structs.replace(change, fence=next(fences)) for change in changes])

    handle = Catalog._handle
    monkeypatch.setattr(Catalog, "_handle", unfenced)
    assert first_wrong(weather=replace(PAUSES, fenced=True)) is not None
