"""The state applier: what travels when, and what becomes of those who do not wait for it."""

import asyncio
from collections.abc import Sequence

import pytest

from tidegate.core.breaker import CircuitBreaker
from tidegate.core.entities import Entity
from tidegate.core.errors import StaleClaimError, TargetUnavailableError
from tidegate.core.ports import Applied, Change, Upsert
from tidegate.pipeline.applying import StateApplier
from tidegate.testing.clock import FakeClock
from tidegate.testing.harness import Signals
from tidegate.testing.memory_target import MemoryTarget


def upsert(name: str, fence: int) -> Upsert:
    return Upsert(Entity(name, "service", title=str(fence)), fence)


def test_a_probe_that_is_not_sent_lets_the_next_one_through() -> None:
    async def scenario() -> None:
        clock, breaker = FakeClock(), CircuitBreaker(threshold=1)
        applier = StateApplier(MemoryTarget(), clock, Signals(), breaker=breaker)
        breaker.failed(clock.monotonic(), "503")
        with pytest.raises(TargetUnavailableError):
            await applier.apply([upsert("a", 1)])
        clock.advance(breaker.open_seconds)
        with pytest.raises(StaleClaimError):
            await applier.apply([upsert("a", 1)], lambda: False)
        assert await applier.apply([upsert("a", 2)]) == [Applied()]

    asyncio.run(scenario())


def test_changes_of_one_entity_never_travel_at_once() -> None:
    under_way: list[int] = []
    most: list[int] = []

    async def slow(changes: Sequence[Change]) -> None:
        under_way.append(len(changes))
        most.append(len(under_way))
        await asyncio.sleep(0)
        under_way.pop()

    async def scenario() -> None:
        target = MemoryTarget(fenced=False, before_apply=slow)
        applier = StateApplier(target, FakeClock(), Signals())
        await asyncio.gather(*(applier.apply([upsert("a", fence)]) for fence in range(1, 5)))
        assert [change.fence for request in target.requests for change in request] == [1, 2, 3, 4]
        assert max(most) == 1

    asyncio.run(scenario())


def test_who_is_cancelled_waits_for_what_is_on_its_way() -> None:
    sent, answered = asyncio.Event(), asyncio.Event()

    async def slow(_: Sequence[Change]) -> None:
        sent.set()
        await answered.wait()

    async def scenario() -> None:
        target = MemoryTarget(before_apply=slow)
        applier = StateApplier(target, FakeClock(), Signals())
        run = asyncio.create_task(applier.apply([upsert("a", 1)]))
        await sent.wait()
        run.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not run.done()
        answered.set()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(target.entities) == 1

    asyncio.run(scenario())
