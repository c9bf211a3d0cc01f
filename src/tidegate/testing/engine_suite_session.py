"""What the cases of the engine suite share: an engine on a clock that stands still, with shorthands."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import NotFoundError
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.inspection import EventFilter, EventRecord, Page, RunFilter, RunRecord
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.plans import Staged
from tidegate.core.ports import Accepted, Engine, EngineOperations
from tidegate.core.runs import (
    Completed,
    Dead,
    EntityWrite,
    EventClaim,
    Routing,
    RunClaim,
    RunRequest,
    Settlement,
    WriteAction,
    lane_of,
)
from tidegate.testing.clock import FakeClock

LEASE_SECONDS = 10.0
ALL = Page(limit=1000)


class FullEngine(Engine, EngineOperations, Protocol):
    """Both of an engine's ports; `wake` lets waiters look again after a step of the clock."""

    def wake(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineUnderTest:
    """An empty engine with leases of LEASE_SECONDS.

    `damage` makes the stored headers of an event (by its seq) unreadable; None if nothing can be damaged.
    """

    engine: FullEngine
    damage: Callable[[int], Awaitable[None]] | None = None


EngineFactory: TypeAlias = Callable[[FakeClock, int], AbstractAsyncContextManager[EngineUnderTest]]
"""Opens an empty engine with this clock and this `max_backlog`."""


def keyed(key: str, processor: str = "P", config: str = "issue") -> RunRequest:
    """A run on the lane of a resource."""
    return RunRequest(processor, config, "issue", key, lane_of(processor, config, key))


def single(processor: str = "P", config: str = "issue") -> RunRequest:
    """A run without a resource key."""
    return RunRequest(processor, config, "issue", None, None)


def ref(name: str) -> EntityRef:
    """An entity's name."""
    return EntityRef("service", name)


def upsert(name: str, title: str = "") -> EntityWrite:
    """A write; writes with different titles differ."""
    return EntityWrite(ref(name), WriteAction.UPSERT, entity=Entity(name, "service", title=title))


def delete(name: str) -> EntityWrite:
    """A delete."""
    return EntityWrite(ref(name), WriteAction.DELETE, "it is gone")


@dataclass(slots=True)
class Session:
    """An engine with shorthands. Each event has an id and a body of its own."""

    under_test: EngineUnderTest
    clock: FakeClock
    _made: int = 0
    ids: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def engine(self) -> FullEngine:
        return self.under_test.engine

    def event(
        self, delivery_id: str | None = None, path: str = "/webhook", replay_of: str | None = None
    ) -> IncomingEvent:
        """A fresh delivery."""
        self._made += 1
        return IncomingEvent(
            id=f"{self._made:08x}-0000-7000-8000-000000000000",
            path=path,
            headers=EventHeaders({"Content-Type": "application/json", "X-Number": str(self._made)}),
            body=b'{"number": %d}' % self._made,
            received_at=self.clock.now(),
            trace_id=f"{self._made:032x}",
            delivery_id=delivery_id,
            replay_of=replay_of,
        )

    async def enqueue(self, delivery_id: str | None = None, path: str = "/webhook") -> int:
        """Store an event; answers its seq."""
        event = self.event(delivery_id, path)
        outcome = await self.engine.enqueue(event)
        assert isinstance(outcome, Accepted), outcome
        self.ids[outcome.seq] = event.id
        return outcome.seq

    async def claim_event(self) -> EventClaim:
        """The only event that can be claimed."""
        [claim] = await self.engine.claim_events(10)
        return claim

    async def routed(self, *requests: RunRequest, path: str = "/webhook") -> int:
        """Store an event and route it to these runs; answers its seq."""
        seq = await self.enqueue(path=path)
        assert await self.engine.route(await self.claim_event(), Routing(requests))
        return seq

    async def claim(self) -> RunClaim:
        """The only run that can be claimed."""
        [claim] = await self.engine.claim_runs(10)
        return claim

    async def claim_of(self, *requests: RunRequest) -> RunClaim:
        """Store an event, route it to one run (or join one), and claim that."""
        await self.routed(*requests)
        return await self.claim()

    async def stage(
        self, claim: RunClaim, upserts: Iterable[str] = (), candidates: Iterable[str] = ()
    ) -> Staged:
        """`Engine.stage` by the entities' names."""
        return await self.engine.stage(claim, set(map(ref, upserts)), set(map(ref, candidates)))

    async def settle(self, claim: RunClaim, settlement: Settlement) -> None:
        """End a live claim."""
        assert await self.engine.settle(claim, settlement)

    async def complete(self, claim: RunClaim, *writes: EntityWrite, dropped: Iterable[str] = ()) -> None:
        """End a live claim as done."""
        await self.settle(claim, Completed(writes, tuple(map(ref, dropped))))

    async def write(self, request: RunRequest, *names: str) -> int:
        """Let a new event's run write entities; answers the event's seq."""
        claim = await self.claim_of(request)
        await self.stage(claim, names)
        await self.complete(claim, *map(upsert, names))
        return claim.event.seq

    async def die(self, *keys: str) -> list[int]:
        """Let a run of each of these resources die; answers the runs' ids."""
        ids: list[int] = []
        for key in keys:
            claim = await self.claim_of(keyed(key))
            await self.settle(claim, Dead(f"boom {key}"))
            ids.append(claim.run_id)
        return ids

    async def not_found(self, verb: Awaitable[object]) -> str:
        """The message of the NotFoundError that is due."""
        try:
            await verb
        except NotFoundError as error:
            return str(error)
        raise AssertionError("it was found")

    async def record(self, seq: int) -> EventRecord:
        """An event as listings show it."""
        [record] = await self.engine.find_events(EventFilter(ids=(self.ids[seq],)), ALL)
        return record

    async def states(self, *seqs: int) -> list[EventState]:
        """The states of events."""
        return [(await self.record(seq)).state for seq in seqs]

    async def runs(self, state: RunState | None = None) -> list[RunRecord]:
        """Runs, oldest first."""
        return (await self.engine.find_runs(RunFilter(state=state), ALL))[::-1]

    async def run_states(self) -> list[RunState]:
        """The states of all runs, oldest first."""
        return [run.state for run in await self.runs()]

    async def run_of(self, claim: RunClaim) -> RunRecord:
        """The record of a claim's run."""
        return (await self.engine.run(claim.run_id)).record

    def lease_ends(self) -> None:
        """Every lease that was given until now is over."""
        self.clock.advance(LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence of the contract. Call it with a factory; it fails by AssertionError."""

    name: str
    check: Callable[[Session], Awaitable[None]]
    max_backlog: int

    async def __call__(self, factory: EngineFactory) -> None:
        clock = FakeClock()
        async with factory(clock, self.max_backlog) as under_test:
            await self.check(Session(under_test, clock))


@dataclass(frozen=True, slots=True)
class Cases:
    """Collects the cases of a module: `@cases.add`."""

    found: list[Case] = field(default_factory=list[Case])

    def add(self, check: Callable[[Session], Awaitable[None]]) -> Callable[[Session], Awaitable[None]]:
        """Take up a case."""
        self.found.append(Case(_name(check), check, 1_000_000))
        return check

    def with_backlog(
        self, limit: int
    ) -> Callable[[Callable[[Session], Awaitable[None]]], Callable[[Session], Awaitable[None]]]:
        """Take up a case whose engine holds no more than this."""

        def add(check: Callable[[Session], Awaitable[None]]) -> Callable[[Session], Awaitable[None]]:
            self.found.append(Case(_name(check), check, limit))
            return check

        return add


def _name(check: Callable[[Session], Awaitable[None]]) -> str:
    return getattr(check, "__name__", repr(check))
