"""The embedded engine: one SQLite file, in WAL mode, every commit on disk before it is answered."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tidegate.core.entities import EntityRef
from tidegate.core.errors import ConfigurationError
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
from tidegate.engines.inspecting import (
    event_detail,
    find_events,
    find_runs,
    headers_of_run,
    run_detail,
    writes_of,
)
from tidegate.engines.instants import optional_time, to_us
from tidegate.engines.searching import Search, answer, blueprints, search_entities, search_events
from tidegate.engines.sqlite.checkpoints import Checkpointer
from tidegate.engines.sqlite.database import SqliteError
from tidegate.engines.sqlite.doorbell import Doorbell
from tidegate.engines.sqlite.events import (
    EventsLent,
    claim_events,
    enqueue,
    give_back_events,
    route,
)
from tidegate.engines.sqlite.inspecting import TEXTS, backlog
from tidegate.engines.sqlite.lineage import stage
from tidegate.engines.sqlite.mending import discard, prune, redrive
from tidegate.engines.sqlite.reader import Reader
from tidegate.engines.sqlite.refreshes import refresh
from tidegate.engines.sqlite.runs import RunsLent, claim_runs, give_back_runs, renew
from tidegate.engines.sqlite.samples import keep_sample, samples_since
from tidegate.engines.sqlite.schema import open_writer
from tidegate.engines.sqlite.searching import EVENT_TABLES
from tidegate.engines.sqlite.settling import settle
from tidegate.engines.sqlite.writer import Writer
from tidegate.engines.stored import encode_headers
from tidegate.engines.wakeups import Wakeups, Work

POLL_SECONDS = 0.5
"""How soon a waiter looks again by itself if other processes that share the file cannot ring it."""

ResultT = TypeVar("ResultT")


class SqliteEngine:
    """Implements `Engine` and `EngineOperations`. Belongs to one event loop; made by `SqliteEngine.open`.

    Several processes may open the same file.
    """

    def __init__(
        self, writer: Writer, reader: Reader, doorbell: Doorbell, poll_seconds: float | None
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._wakeups = writer.wakeups
        self._clock = writer.clock
        self._doorbell = doorbell
        self._poll_seconds = poll_seconds
        self._last_served = ""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        lease_seconds: float = 30.0,
        max_backlog: int = 1_000_000,
        poll_seconds: float | None = None,
    ) -> "AsyncGenerator[SqliteEngine]":
        """Open a file until the block ends; it and its folder are created if they are missing.

        Raises ConfigurationError if it cannot be used: not writable, not an engine's, or from a newer version.
        """
        database = await asyncio.to_thread(open_writer, path)
        wakeups = Wakeups(clock)
        doorbell = Doorbell(path)
        writer = Writer(database, str(path), clock, wakeups, doorbell.ring, lease_seconds, max_backlog)
        try:
            reader, checkpointer = Reader(path), Checkpointer(path)
        except SqliteError as error:
            database.close()
            raise ConfigurationError(f"the engine's file {path} cannot be read: {error}") from None
        database.watch_log(checkpointer.grown)
        checkpointer.start()
        writer.start()
        engine = cls(writer, reader, doorbell, poll_seconds)
        try:
            yield engine
        finally:
            await engine.close()
            await asyncio.to_thread(checkpointer.close)

    async def close(self) -> None:
        """Commit what was asked for before; nothing can be asked any more."""
        self._wakeups.close()
        await self._writer.close()
        await self._reader.close()
        self._doorbell.close()

    def wake(self) -> None:
        """Let every `wait` look again, as after a step of a fake clock."""
        self._wakeups.wake()

    @property
    def lease_seconds(self) -> float:
        """How long a claim lasts."""
        return self._writer.lease_seconds

    # --- Engine ----------------------------------------------------------------------------------------

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        headers = encode_headers(event.headers)
        return await self._writer.commit(lambda tx: enqueue(tx, event, headers), quick=True)

    async def claim_events(self, limit: int) -> list[EventClaim]:
        if limit <= 0:
            return []
        lent = await self._writer.commit(
            lambda tx: claim_events(tx, limit), self._events_lost, quick=True, durable=False
        )
        if lent.exhausted:
            self._wakeups.expect(Work.EVENTS, optional_time(lent.next_due_us))
        return lent.claims

    def route(self, claim: EventClaim, routing: Routing) -> asyncio.Future[bool]:
        return self._writer.commit(lambda tx: route(tx, claim, routing), quick=True, durable=False)

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        if limit <= 0:
            return []
        lent = await self._writer.commit(
            lambda tx: claim_runs(tx, limit, excluding, self._last_served),
            self._runs_lost,
            quick=True,
            durable=False,
        )
        self._last_served = lent.last_served
        if lent.exhausted:
            self._wakeups.expect(Work.RUNS, optional_time(lent.next_due_us))
        return lent.claims

    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        return await self._writer.commit(lambda tx: renew(tx, claims), quick=True, durable=False)

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        return await self._writer.commit(lambda tx: stage(tx, claim, upserts, candidates), quick=True)

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        return await self._writer.commit(lambda tx: settle(tx, claim, settlement), quick=True, durable=False)

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        await self._writer.commit(lambda tx: refresh(tx, claim, writes))

    async def headers(self, run_id: int, limit: int) -> list[EventHeaders]:
        return await self._ask(headers_of_run(TEXTS, run_id, limit))

    async def wait(self, timeout_seconds: float, *, events: bool = True, runs: bool = True) -> None:
        wants = {Work.EVENTS: events, Work.RUNS: runs}
        heard = self._doorbell.listen(self._wakeups.added)
        poll_seconds = self._poll_seconds or (timeout_seconds if heard else POLL_SECONDS)
        timeout_seconds = min(timeout_seconds, poll_seconds)
        await self._wakeups.wait(frozenset(work for work in Work if wants[work]), timeout_seconds)

    # A caller that was cancelled while its claims were committed does not know them: without these, their
    # leases would have to run out.

    def _events_lost(self, lent: EventsLent) -> None:
        if lent.claims:
            self._writer.commit(lambda tx: give_back_events(tx, lent.claims)).add_done_callback(_forget)

    def _runs_lost(self, lent: RunsLent) -> None:
        if lent.claims:
            self._writer.commit(lambda tx: give_back_runs(tx, lent.claims)).add_done_callback(_forget)

    # --- EngineOperations ------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        now_us = to_us(self._clock.now())
        return await self._reader.look(lambda database: backlog(database, now_us))

    async def find_events(self, where: EventFilter, page: Page) -> list[EventRecord]:
        return await self._ask(find_events(TEXTS, where, page))

    async def search_events(self, where: EventFilter, page: Page, seconds: float) -> EventsFound:
        search = search_events(EVENT_TABLES, where, page, seconds, self._clock.monotonic)
        return await self._ask(search)

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
        search = search_entities(where, after, limit, seconds, self._clock.monotonic)
        return await self._ask(search)

    async def _ask(self, search: Search[ResultT]) -> ResultT:
        return await self._reader.look(lambda database: answer(search, database.rows))

    async def redrive(self, where: RunFilter, limit: int) -> int:
        return await self._writer.commit(lambda tx: redrive(tx, where, limit))

    async def discard(self, where: RunFilter, limit: int) -> int:
        return await self._writer.commit(lambda tx: discard(tx, where, limit))

    async def prune(self, finished_before: datetime, limit: int) -> int:
        return await self._writer.commit(lambda tx: prune(tx, finished_before, limit))

    async def keep_sample(self, sample: Sample) -> None:
        await self._writer.commit(lambda tx: keep_sample(tx, sample))

    async def samples(self, since: datetime) -> list[Sample]:
        return await self._reader.look(lambda database: samples_since(database, since))


def _forget(future: asyncio.Future[None]) -> None:
    """Nobody waits for this: a failure means that leases run out instead."""
    if not future.cancelled():
        future.exception()
