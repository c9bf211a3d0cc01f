"""The in-memory engine: the whole contract in plain data structures, for tests and as the reference model.

Every verb happens at once and is then as durable as this object: `crash` is what a killed process leaves.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from tidegate.core.entities import EntityRef
from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.inspection import (
    Backlog,
    BlueprintCount,
    EntitiesFound,
    EntityFilter,
    EventDetail,
    EventFilter,
    EventRecord,
    EventsFound,
    Page,
    RunDetail,
    RunFilter,
    RunRecord,
    WriteRecord,
)
from tidegate.core.plans import Staged
from tidegate.core.ports import Clock, EnqueueOutcome
from tidegate.core.runs import EntityWrite, EventClaim, Routing, RunClaim, Settlement
from tidegate.core.samples import Sample
from tidegate.engines.memory.claiming import claim_runs, next_run_due, renew
from tidegate.engines.memory.inspecting import (
    backlog,
    event_detail,
    find_events,
    find_runs,
    headers_of_run,
    run_detail,
    writes_of,
)
from tidegate.engines.memory.lineage import stage
from tidegate.engines.memory.mending import discard, prune, redrive
from tidegate.engines.memory.refreshes import refresh
from tidegate.engines.memory.routing import claim_events, enqueue, next_event_due, route
from tidegate.engines.memory.rows import Store
from tidegate.engines.memory.samples import keep_sample, samples_since
from tidegate.engines.memory.searching import blueprints, search_entities, search_events
from tidegate.engines.memory.settling import settle
from tidegate.engines.wakeups import Wakeups, Work


class MemoryEngine:
    """Implements `Engine` and `EngineOperations`. Belongs to one event loop.

    `outage`, when set, makes every verb raise EngineUnavailableError with that text, as a full disk would.
    """

    def __init__(self, clock: Clock, *, lease_seconds: float = 30.0, max_backlog: int = 1_000_000) -> None:
        self.outage: str | None = None
        self._lease_seconds = lease_seconds
        self._store = Store(clock, timedelta(seconds=lease_seconds), max_backlog)
        self._wakeups = Wakeups(clock)
        self._last_served = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing can be asked any more."""
        self.outage = "the engine is closed"
        self._wakeups.close()

    def crash(self) -> "MemoryEngine":
        """The process is killed: this engine answers nothing more. The one returned was opened on what it had
        committed; claims that were given out stay so until their leases run out.
        """
        self.outage = "the process was killed"
        self._wakeups.close()
        survivor = MemoryEngine(self._store.clock, lease_seconds=self._lease_seconds)
        survivor._store = self._store
        return survivor

    def wake(self) -> None:
        """Let every `wait` look again, as after a step of a fake clock."""
        self._wakeups.wake()

    @property
    def lease_seconds(self) -> float:
        """How long a claim lasts."""
        return self._lease_seconds

    async def _committed(self, *added: Work) -> None:
        """Between a commit and its answer others may run, and the caller may be cancelled."""
        self._wakeups.added(*added)
        await asyncio.sleep(0)

    def _check(self) -> None:
        if self.outage is not None:
            raise EngineUnavailableError(self.outage)

    # --- Engine ----------------------------------------------------------------------------------------

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        self._check()
        outcome = enqueue(self._store, event)
        await self._committed(Work.EVENTS)
        return outcome

    async def claim_events(self, limit: int) -> list[EventClaim]:
        self._check()
        claims = claim_events(self._store, limit)
        if len(claims) < limit:
            self._wakeups.expect(Work.EVENTS, next_event_due(self._store))
        await self._committed()
        return claims

    async def route(self, claim: EventClaim, routing: Routing) -> bool:
        self._check()
        done = route(self._store, claim, routing)
        await self._committed(Work.RUNS)
        return done

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        self._check()
        claims = claim_runs(self._store, limit, excluding, self._last_served)
        if claims:
            self._last_served = claims[-1].processor
        if len(claims) < limit:
            self._wakeups.expect(Work.RUNS, next_run_due(self._store))
        await self._committed()
        return claims

    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        self._check()
        renewed = renew(self._store, claims)
        await self._committed()
        return renewed

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        self._check()
        staged = stage(self._store, claim, upserts, candidates)
        await self._committed()
        return staged

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        self._check()
        done = settle(self._store, claim, settlement)
        await self._committed(Work.RUNS)
        return done

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        self._check()
        refresh(self._store, claim, writes)
        await self._committed(Work.RUNS)

    async def headers(self, run_id: int, limit: int) -> list[EventHeaders]:
        self._check()
        return headers_of_run(self._store, run_id, limit)

    async def wait(self, timeout_seconds: float, *, events: bool = True, runs: bool = True) -> None:
        wants = {Work.EVENTS: events, Work.RUNS: runs}
        await self._wakeups.wait(frozenset(work for work in Work if wants[work]), timeout_seconds)

    # --- EngineOperations ------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        self._check()
        return backlog(self._store)

    async def find_events(self, where: EventFilter, page: Page) -> list[EventRecord]:
        self._check()
        return find_events(self._store, where, page)

    async def search_events(self, where: EventFilter, page: Page, seconds: float) -> EventsFound:
        self._check()
        return search_events(self._store, where, page)

    async def event(self, event_id: str) -> EventDetail:
        self._check()
        return event_detail(self._store, event_id)

    async def find_runs(self, where: RunFilter, page: Page) -> list[RunRecord]:
        self._check()
        return find_runs(self._store, where, page)

    async def run(self, run_id: int) -> RunDetail:
        self._check()
        return run_detail(self._store, run_id)

    async def writes(self, ref: EntityRef, page: Page) -> list[WriteRecord]:
        self._check()
        return writes_of(self._store, ref, page)

    async def blueprints(self) -> list[BlueprintCount]:
        self._check()
        return blueprints(self._store)

    async def search_entities(
        self, where: EntityFilter, after: EntityRef | None, limit: int, seconds: float
    ) -> EntitiesFound:
        self._check()
        return search_entities(self._store, where, after, limit)

    async def redrive(self, where: RunFilter, limit: int) -> int:
        self._check()
        count = redrive(self._store, where, limit)
        await self._committed(Work.RUNS)
        return count

    async def discard(self, where: RunFilter, limit: int) -> int:
        self._check()
        count = discard(self._store, where, limit)
        await self._committed()
        return count

    async def prune(self, finished_before: datetime, limit: int) -> int:
        self._check()
        count = prune(self._store, finished_before, limit)
        await self._committed()
        return count

    async def keep_sample(self, sample: Sample) -> None:
        self._check()
        keep_sample(self._store, sample)
        await self._committed()

    async def samples(self, since: datetime) -> list[Sample]:
        self._check()
        return samples_since(self._store, since)
