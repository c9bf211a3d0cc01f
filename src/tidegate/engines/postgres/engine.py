"""The server engine: PostgreSQL, shared by any number of processes on any number of machines."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tidegate.core.entities import EntityRef
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
from tidegate.core.ports import Accepted, Clock, EnqueueOutcome
from tidegate.core.runs import EntityWrite, EventClaim, Released, Routing, RunClaim, Settlement
from tidegate.core.samples import Sample
from tidegate.engines.inspecting import (
    event_detail,
    find_events,
    find_runs,
    headers_of_run,
    run_detail,
    writes_of,
)
from tidegate.engines.instants import to_us
from tidegate.engines.postgres.batches import Batches
from tidegate.engines.postgres.bell import Bell
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.events import EventsLent, claim_events, enqueue, give_back_events, route
from tidegate.engines.postgres.horizon import LOOK_SECONDS, Horizon
from tidegate.engines.postgres.inspecting import TEXTS, backlog
from tidegate.engines.postgres.lineage import StageCall, stage
from tidegate.engines.postgres.mending import AT_ONCE, Prunes, dead_runs, mend
from tidegate.engines.postgres.reader import Reader
from tidegate.engines.postgres.runs import RunsLent, claim_runs, renew
from tidegate.engines.postgres.samples import keep_sample, samples_since
from tidegate.engines.postgres.searching import EVENT_TABLES
from tidegate.engines.postgres.settling import SettleCall, Settled, refresh, settle
from tidegate.engines.searching import Search, answer_later, blueprints, search_entities, search_events
from tidegate.engines.wakeups import Wakeups, Work
from tidegate.postgres import Connections, Release, ServerAddress, open_database

ResultT = TypeVar("ResultT")
Call = Callable[[], Awaitable[Any]]

LOOKING = 2
"""Connections for looking, besides those for the verbs and the one that listens."""

LEAST_WAIT_SECONDS = 0.01
"""When something is due that another worker is just looking at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """How the engine uses the database.

    `schema` keeps installations apart that share a database. `pooler` says that a pooler hands out server connections
    by transaction: then nothing is prepared, and who waits looks by himself, unless `listen_url` is a way past it.
    `database_time` is False in tests alone, whose clock decides instead.
    """

    schema: str = "tidegate"
    connections: int = 6
    pooler: bool = False
    listen_url: str = ""
    lease_seconds: float = 30.0
    max_backlog: int = 1_000_000
    poll_seconds: float = 1.0
    patience_seconds: float = 5.0
    look_seconds: float = LOOK_SECONDS
    database_time: bool = True


class PostgresEngine:
    """Implements `Engine` and `EngineOperations`. Belongs to one event loop; made by `PostgresEngine.open`."""

    def __init__(
        self, address: ServerAddress, release: Release, clock: Clock, options: PostgresOptions
    ) -> None:
        prepares = not options.pooler
        self._connections = Connections(address, options.connections, prepares)
        self._looking = Connections(address, LOOKING, prepares)
        self._reader = Reader(self._looking, release, address.shown)
        self._wakeups = Wakeups(clock)
        self._clock = clock
        self._options = options
        listen_at = None if options.pooler else address
        if options.listen_url:
            listen_at = ServerAddress.parse(options.listen_url)
        self._bell = Bell(self._connections, f"tidegate_{release.schema}", self._wakeups, listen_at)
        self._verbs = Verbs(
            self._connections,
            release,
            options.lease_seconds,
            options.max_backlog,
            None if options.database_time else clock,
            options.poll_seconds,
        )
        self._horizon = Horizon(clock.monotonic, options.look_seconds)
        self._prunes = Prunes()
        self._last_served = ""
        where = address.shown
        self._enqueues = Batches(self._enqueue, where)
        self._routings = Batches(self._route, where)
        self._stagings = Batches(self._stage, where)
        self._settlements = Batches(self._settle, where)
        self._event_claims = Batches(self._claim_events, where, most=1, at_once=1, lost=self._events_lost)
        self._run_claims = Batches(self._claim_runs, where, most=1, at_once=1, lost=self._runs_lost)
        self._others = Batches(_each, where, most=1)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, clock: Clock, options: PostgresOptions | None = None
    ) -> "AsyncGenerator[PostgresEngine]":
        """Open a database until the block ends; its tables and functions are created or upgraded.

        Raises ConfigurationError if it cannot be used: not reached, not allowed, or taken over by a newer version.
        """
        options = options or PostgresOptions()
        address = ServerAddress.parse(url)
        release = Release.of("tidegate.engines.postgres", options.schema)
        await open_database(address, release, options.patience_seconds)
        engine = cls(address, release, clock, options)
        engine._bell.start()
        try:
            yield engine
        finally:
            await engine.close()

    async def close(self) -> None:
        """Commit what was asked for before; nothing can be asked any more."""
        self._wakeups.close()
        for batches in (
            self._enqueues,
            self._routings,
            self._stagings,
            self._settlements,
            self._event_claims,
            self._run_claims,
            self._others,
        ):
            await batches.close()
        await self._bell.close()
        await self._connections.close()
        await self._looking.close()

    def wake(self) -> None:
        """Let every `wait` look again, as after a step of a fake clock."""
        self._wakeups.wake()

    @property
    def lease_seconds(self) -> float:
        """How long a claim lasts."""
        return self._options.lease_seconds

    # --- Engine ----------------------------------------------------------------------------------------

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        return await self._enqueues.commit(event)

    async def _enqueue(self, events: Sequence[IncomingEvent]) -> Sequence[EnqueueOutcome]:
        outcomes = await enqueue(self._verbs, events)
        if any(isinstance(outcome, Accepted) for outcome in outcomes):
            self._bell.ring(Work.EVENTS)
        return outcomes

    async def claim_events(self, limit: int) -> list[EventClaim]:
        if limit <= 0:
            return []
        lent = await self._event_claims.commit(limit)
        if lent.exhausted:
            self._expect(Work.EVENTS, lent.wait_us)
        return lent.claims

    async def _claim_events(self, limits: Sequence[int]) -> Sequence[EventsLent]:
        return [
            await claim_events(self._verbs, await self._horizon.look(self._verbs), limit) for limit in limits
        ]

    def route(self, claim: EventClaim, routing: Routing) -> asyncio.Future[bool]:
        return self._routings.order((claim, routing))

    async def _route(self, calls: Sequence[tuple[EventClaim, Routing]]) -> Sequence[bool]:
        done = await route(self._verbs, calls)
        if any(routing.runs for _, routing in calls):
            self._bell.ring(Work.RUNS)
        return done

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        if limit <= 0:
            return []
        lent = await self._run_claims.commit((limit, frozenset(excluding)))
        if lent.exhausted:
            self._expect(Work.RUNS, lent.wait_us)
        return lent.claims

    async def _claim_runs(self, calls: Sequence[tuple[int, frozenset[str]]]) -> Sequence[RunsLent]:
        lent: list[RunsLent] = []
        for limit, excluding in calls:
            lows = await self._horizon.look(self._verbs)
            lent.append(await claim_runs(self._verbs, lows, limit, excluding, self._last_served))
            self._last_served = lent[-1].last_served
        return lent

    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        return await self._one(lambda: renew(self._verbs, claims))

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        return await self._stagings.commit(StageCall(claim, upserts, candidates))

    async def _stage(self, calls: Sequence[StageCall]) -> Sequence[Staged | Exception]:
        return await stage(self._verbs, calls)

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        return (await self._settlements.commit(SettleCall(claim, settlement))).done

    async def _settle(self, calls: Sequence[SettleCall]) -> Sequence[Settled]:
        settled = await settle(self._verbs, calls)
        if any(one.woke for one in settled):
            self._bell.ring(Work.RUNS)
        return settled

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        if await self._one(lambda: refresh(self._verbs, claim, writes)):
            self._bell.ring(Work.RUNS)

    async def headers(self, run_id: int, limit: int) -> list[EventHeaders]:
        return await self._ask(headers_of_run(TEXTS, run_id, limit))

    async def wait(self, timeout_seconds: float, *, events: bool = True, runs: bool = True) -> None:
        wants = {Work.EVENTS: events, Work.RUNS: runs}
        timeout_seconds = min(timeout_seconds, self._options.poll_seconds)
        await self._wakeups.wait(frozenset(work for work in Work if wants[work]), timeout_seconds)

    def _expect(self, work: Work, wait_us: int | None) -> None:
        due: datetime | None = None
        if wait_us is not None:
            least = LEAST_WAIT_SECONDS * 1_000_000
            due = self._clock.now() + timedelta(microseconds=max(wait_us, least))
        self._wakeups.expect(work, due)

    # A caller that was cancelled while its claims were committed does not know them: without these, their
    # leases would have to run out.

    def _events_lost(self, lent: EventsLent) -> None:
        async def give_back() -> None:
            await give_back_events(self._verbs, lent.claims)
            self._bell.ring(Work.EVENTS)

        if lent.claims:
            self._others.order(give_back).add_done_callback(_forget)

    def _runs_lost(self, lent: RunsLent) -> None:
        released = Released(0.0, "the worker went away before it had begun")
        for claim in lent.claims:
            self._settlements.order(SettleCall(claim, released)).add_done_callback(_forget)

    async def _one(self, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """A call that travels alone; that its caller is cancelled does not end it half-way."""
        return await self._others.commit(call)

    # --- EngineOperations ------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        given_us = None if self._options.database_time else to_us(self._clock.now())
        async with self._reader.look() as look:
            return await backlog(look, given_us)

    async def find_events(self, where: EventFilter, page: Page) -> list[EventRecord]:
        return await self._ask(find_events(TEXTS, where, page))

    async def search_events(self, where: EventFilter, page: Page, seconds: float) -> EventsFound:
        return await self._ask(search_events(EVENT_TABLES, where, page, seconds, self._clock.monotonic))

    async def event(self, event_id: str) -> EventDetail:
        return await self._ask(event_detail(TEXTS, event_id))

    async def find_runs(self, where: RunFilter, page: Page) -> list[RunRecord]:
        return await self._ask(find_runs(where, page))

    async def run(self, run_id: int) -> RunDetail:
        return await self._ask(run_detail(TEXTS, run_id))

    async def writes(self, ref: EntityRef, page: Page) -> list[WriteRecord]:
        return await self._ask(writes_of(TEXTS, ref, page))

    async def blueprints(self) -> list[BlueprintCount]:
        return await self._ask(blueprints())

    async def search_entities(
        self, where: EntityFilter, after: EntityRef | None, limit: int, seconds: float
    ) -> EntitiesFound:
        return await self._ask(search_entities(where, after, limit, seconds, self._clock.monotonic))

    async def _ask(self, search: Search[ResultT]) -> ResultT:
        async with self._reader.look() as look:
            return await answer_later(search, look.rows)

    async def redrive(self, where: RunFilter, limit: int) -> int:
        return await self._mend("redrive", where, limit)

    async def discard(self, where: RunFilter, limit: int) -> int:
        return await self._mend("discard", where, limit)

    async def _mend(self, verb: str, where: RunFilter, limit: int) -> int:
        """Many runs are mended in several transactions: each needs a lock for each lane."""
        async with self._reader.look() as look:
            ids = await dead_runs(look, where, limit)
        count = 0
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            count += await self._one(lambda some=some: mend(self._verbs, verb, some))
            self._bell.ring(Work.RUNS)
        return count

    async def keep_sample(self, sample: Sample) -> None:
        await self._one(lambda: keep_sample(self._verbs, sample))

    async def samples(self, since: datetime) -> list[Sample]:
        async with self._reader.look() as look:
            return await samples_since(look, since)

    async def prune(self, finished_before: datetime, limit: int) -> int:
        return await self._one(lambda: self._prunes.prune(self._verbs, finished_before, limit))


async def _each(calls: Sequence[Call]) -> Sequence[Any]:
    return [await call() for call in calls]


def _forget(future: Any) -> None:
    """Nobody waits for this: a failure means that leases run out instead."""
    if not future.cancelled():
        future.exception()
