"""The state applier: what travels when, and what becomes of those who do not wait for it."""

import asyncio
from collections.abc import Sequence

import pytest

from tidegate.core.breaker import CircuitBreaker
from tidegate.core.entities import Entity
from tidegate.core.errors import StaleClaimError, TargetUnavailableError
from tidegate.core.ports import Applied, Change, Refused, Upsert
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


def test_a_run_has_its_outcomes_in_order_whichever_requests_carried_its_changes() -> None:
    async def scenario() -> None:
        target = MemoryTarget(
            batch_limit=2, refuse=lambda change: Refused("no") if change.ref.identifier == "c" else None
        )
        applier = StateApplier(target, FakeClock(), Signals())
        first, second = await asyncio.gather(
            applier.apply([upsert(name, 1) for name in "abc"]),
            applier.apply([upsert(name, 1) for name in "cd"]),
        )
        assert first == [Applied(), Applied(), Refused("no")]
        assert second == [Refused("no"), Applied()]
        assert [len(request) for request in target.requests] == [2, 2, 1]

    asyncio.run(scenario())


def test_a_run_hears_of_an_outage_once_all_of_its_requests_have_ended() -> None:
    rest = asyncio.Event()

    async def failing(changes: Sequence[Change]) -> None:
        if changes[0].ref.identifier == "a":
            raise TargetUnavailableError("503")
        await rest.wait()

    async def scenario() -> None:
        target = MemoryTarget(batch_limit=1, before_apply=failing)
        applier = StateApplier(target, FakeClock(), Signals())
        run = asyncio.create_task(applier.apply([upsert("a", 1), upsert("b", 1)]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not run.done()
        rest.set()
        with pytest.raises(TargetUnavailableError, match="503"):
            await run
        assert len(target.entities) == 1

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
