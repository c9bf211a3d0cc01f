"""Processes that are killed or stand still between any two steps, each with a worker of its own.

A killed process answers nothing and does nothing more; what it had sent goes on. One that stands still goes on
later, where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from msgspec import structs

from tests.simulation.catalog import Catalog
from tests.simulation.invariants import Claims
from tidegate.core.entities import EntityRef
from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import IncomingEvent, Json
from tidegate.core.plans import Staged
from tidegate.core.ports import Change, ChangeOutcome, EnqueueOutcome
from tidegate.core.runs import EntityWrite, EventClaim, Routing, RunClaim, Settlement, Trail
from tidegate.testing.engine_suite import FullEngine
from tidegate.worker.dispatcher import Dispatcher

ResultT = TypeVar("ResultT")

LONGEST_COMMIT_SECONDS = 0.02


@dataclass(eq=False)
class Process:
    """Passes through `gate` before each of its steps."""

    number: int
    rng: Random
    tell: Callable[[str], None]
    full_disks: float = 0.0
    killed: bool = False
    draining: bool = False
    over: bool = False
    _runs: asyncio.Event = field(default_factory=asyncio.Event)
    duties: list[asyncio.Task[None]] = field(default_factory=list)
    dispatcher: Dispatcher | None = None
    requests: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._runs.set()

    def note(self, text: str) -> None:
        self.tell(f"process {self.number}: {text}")

    async def gate(self) -> None:
        """Go on, later, or never."""
        while self.killed or not self._runs.is_set():
            if self.over:
                raise asyncio.CancelledError
            if self.killed:
                await asyncio.get_running_loop().create_future()
            await self._runs.wait()

    async def step(self, verb: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """A call of the engine: it takes its time, before and after it is done, or cannot be committed."""
        await self._pass_time()
        if self.rng.random() < self.full_disks:
            raise EngineUnavailableError("the disk is full")
        result = await verb()
        await self._pass_time()
        return result

    async def _pass_time(self) -> None:
        await self.gate()
        if self.rng.random() < 0.5:
            await asyncio.sleep(self.rng.random() * LONGEST_COMMIT_SECONDS)
        await self.gate()

    def kill(self, *, requests_too: bool) -> None:
        """`requests_too`: what it had sent and is not applied yet, never will be."""
        self.killed = True
        if requests_too:
            for request in self.requests:
                request.cancel()

    def stop(self) -> None:
        self._runs.clear()

    def go_on(self) -> None:
        self._runs.set()

    async def bury(self) -> None:
        """Take its remains out of the loop."""
        self.over = True
        tasks = [task for task in asyncio.all_tasks() if task in self.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tasks(self) -> set[asyncio.Task[Any]]:
        inside: set[asyncio.Task[Any]] = set(self.duties)
        if self.dispatcher is not None:
            inside |= (
                self.dispatcher._routings.tasks
                | set(self.dispatcher._runs)
                | self.dispatcher.applier._requests
            )
        return inside


def told(settlement: Settlement) -> str:
    """A settlement in a line."""
    return str(structs.replace(settlement, trail=Trail()))


@dataclass(frozen=True)
class ProcessEngine:
    """The engine as one process reaches it."""

    engine: FullEngine
    process: Process
    claims: Claims

    @property
    def lease_seconds(self) -> float:
        return self.engine.lease_seconds

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        return await self.process.step(lambda: self.engine.enqueue(event))

    async def claim_events(self, limit: int) -> list[EventClaim]:
        return await self.process.step(lambda: self.engine.claim_events(limit))

    async def route(self, claim: EventClaim, routing: Routing) -> bool:
        return await self.process.step(lambda: self.engine.route(claim, routing))

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        async def claim() -> list[RunClaim]:
            claims = await self.engine.claim_runs(limit, excluding)
            for claim in claims:
                self.process.note(
                    f"lent run {claim.run_id} ({claim.processor} {claim.config} {claim.resource_key}) with token"
                    f" {claim.token} for event {claim.event.seq} of {claim.event_count}"
                )
            self.claims.given(claims)
            return claims

        return await self.process.step(claim)

    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        async def renew() -> frozenset[int]:
            renewed = await self.engine.renew(claims)
            self.claims.renewed(claims, renewed)
            return renewed

        return await self.process.step(renew)

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        staged = await self.process.step(lambda: self.engine.stage(claim, upserts, candidates))
        self.process.note(f"run {claim.run_id} upserts {sorted(upserts)}: {staged}")
        return staged

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        async def settle() -> bool:
            settled = await self.engine.settle(claim, settlement)
            self.process.note(
                f"run {claim.run_id} {'ended' if settled else 'ended late'}: {told(settlement)}"
            )
            if settled:
                self.claims.ended(claim)
            return settled

        return await self.process.step(settle)

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        await self.process.step(lambda: self.engine.refresh(claim, writes))

    async def wait(self, timeout_seconds: float, *, events: bool = True, runs: bool = True) -> None:
        await self.process.gate()
        await self.engine.wait(timeout_seconds, events=events, runs=runs)
        await self.process.gate()


@dataclass(frozen=True)
class ProcessTarget:
    """The target as one process reaches it."""

    catalog: Catalog
    process: Process

    @property
    def batch_limit(self) -> int:
        return self.catalog.kept.batch_limit

    @property
    def fenced(self) -> bool:
        return self.catalog.weather.fenced

    async def prepare(self, blueprints: Sequence[Mapping[str, Json]], default_mapping: Json) -> None:
        """There is nothing to prepare."""

    async def apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        await self.process.gate()
        await asyncio.sleep(self.process.rng.random() * self.catalog.weather.send_seconds)
        await self.process.gate()  # it may have stood still since it looked at its lease
        request = self.catalog.take(changes)
        self.process.requests.add(request)
        request.add_done_callback(self.process.requests.discard)
        outcomes = await asyncio.shield(request)
        await self.process.gate()
        return outcomes

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        await self.process.gate()
        return await self.catalog.kept.owned(refs)

    async def close(self) -> None:
        """There is nothing to close."""
