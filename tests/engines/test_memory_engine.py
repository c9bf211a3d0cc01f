"""What the in-memory engine adds to the contract: outages and crashes on demand."""

import asyncio
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.ports import Accepted
from tidegate.core.runs import Completed, Routing, RunRequest
from tidegate.engines.memory import MemoryEngine
from tidegate.testing.clock import FakeClock

EVENT = IncomingEvent(
    id="00000000-0000-7000-8000-000000000001",
    path="/webhook",
    headers=EventHeaders({"X-Test": "yes"}),
    body=b"{}",
    received_at=datetime(2030, 1, 1, tzinfo=UTC),
    trace_id="0" * 32,
)


def test_a_crash_loses_nothing_and_claims_run_out() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        killed = MemoryEngine(clock, lease_seconds=10)
        assert await killed.enqueue(EVENT) == Accepted(1)
        [claim] = await killed.claim_events(10)
        await killed.route(claim, Routing((RunRequest("P", "issue", "issue", "7", "lane"),)))
        [lost] = await killed.claim_runs(10)
        survivor = killed.crash()
        with pytest.raises(EngineUnavailableError, match="killed"):
            await killed.settle(lost, Completed())
        assert await survivor.claim_runs(10) == []
        clock.advance(10)
        [again] = await survivor.claim_runs(10)
        assert again == replace(lost, token=again.token, expirations=1)
        assert await survivor.settle(again, Completed())
        assert not await survivor.settle(lost, Completed())
        assert (await survivor.backlog()).unfinished == 0

    asyncio.run(scenario())


def test_an_outage_stops_every_verb_and_changes_nothing() -> None:
    async def scenario() -> None:
        engine = MemoryEngine(FakeClock())
        engine.outage = "the disk is full"
        with pytest.raises(EngineUnavailableError, match="the disk is full"):
            await engine.enqueue(EVENT)
        engine.outage = None
        assert (await engine.backlog()).queued_events == 0
        await engine.close()
        with pytest.raises(EngineUnavailableError, match="closed"):
            await engine.backlog()

    asyncio.run(scenario())


def test_a_closed_engine_lets_its_waiters_go() -> None:
    async def scenario() -> None:
        engine = MemoryEngine(FakeClock())
        waiting = asyncio.create_task(engine.wait(3600))
        await asyncio.sleep(0)
        await engine.close()
        await waiting

    asyncio.run(scenario())
