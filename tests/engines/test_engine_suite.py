"""The conformance suite finds engines that break the contract."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from tidegate.core.entities import EntityRef
from tidegate.core.events import IncomingEvent
from tidegate.core.plans import Staged
from tidegate.core.ports import EnqueueOutcome
from tidegate.core.runs import Completed, RunClaim, Settlement
from tidegate.engines.memory import MemoryEngine
from tidegate.testing.clock import FakeClock
from tidegate.testing.engine_suite import ENGINE_CASES, LEASE_SECONDS, EngineUnderTest


class ForgetsDeliveries(MemoryEngine):
    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        return await super().enqueue(replace(event, delivery_id=None))


class BelievesStaleClaims(MemoryEngine):
    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        token = (await self.run(claim.run_id)).attempts[-1].token
        return await super().settle(replace(claim, token=token), settlement)


class ForgetsLineage(MemoryEngine):
    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        return await super().stage(claim, (), candidates)


class NeverRenews(MemoryEngine):
    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        return frozenset(claim.run_id for claim in claims)


class ForgetsWrites(MemoryEngine):
    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        if isinstance(settlement, Completed):
            settlement = replace(settlement, writes=())
        return await super().settle(claim, settlement)


@pytest.mark.parametrize(
    "broken", [ForgetsDeliveries, BelievesStaleClaims, ForgetsLineage, NeverRenews, ForgetsWrites]
)
def test_a_broken_engine_fails(broken: type[MemoryEngine]) -> None:
    @asynccontextmanager
    async def factory(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
        async with broken(clock, lease_seconds=LEASE_SECONDS, max_backlog=max_backlog) as engine:
            yield EngineUnderTest(engine)

    failed: list[str] = []
    for name, case in ENGINE_CASES.items():
        try:
            asyncio.run(case(factory))
        except (AssertionError, ValueError):
            failed.append(name)
    assert 0 < len(failed) < len(ENGINE_CASES)
