"""Many blocks under one time limit: each is stopped when its own time is over, and no other."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tidegate.pipeline.deadlines import Deadlines
from tidegate.testing.virtual_time import VirtualTimeLoop


def on_virtual_time(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario)


def now() -> float:
    return asyncio.get_running_loop().time()


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def forever() -> None:
    await asyncio.Event().wait()


async def outcome(deadlines: Deadlines, seconds: float) -> tuple[str, float]:
    """What becomes of a block that takes so long, and when."""
    try:
        with deadlines.begin(this_task()):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late", now()
    return "done", now()


def test_each_block_has_its_own_time() -> None:
    async def scenario() -> None:
        deadlines, blocks = Deadlines(10), list[asyncio.Task[tuple[str, float]]]()
        for seconds in (30, 3, 9, 30, 12):
            blocks.append(asyncio.create_task(outcome(deadlines, seconds)))
            await asyncio.sleep(1)
        assert await asyncio.gather(*blocks) == [
            ("late", 10),
            ("done", 4),
            ("done", 11),
            ("late", 13),
            ("late", 14),
        ]
        await asyncio.sleep(100)
        assert await outcome(deadlines, 20) == ("late", 124)  # it begins anew after a rest

    on_virtual_time(scenario())


def test_one_timer_serves_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        deadlines, loop, timers = Deadlines(10), asyncio.get_running_loop(), list[float]()
        call_at = loop.call_at

        def counted(when: float, *rest: Any, **options: Any) -> asyncio.TimerHandle:
            timers.append(when)
            return call_at(when, *rest, **options)

        monkeypatch.setattr(loop, "call_at", counted)
        for _ in range(1000):
            with deadlines.begin(this_task()):
                pass
        assert timers == [10]

    on_virtual_time(scenario())


def test_who_is_cancelled_is_not_late() -> None:
    async def scenario() -> None:
        deadlines, begun = Deadlines(10), asyncio.Event()

        async def block() -> None:
            with deadlines.begin(this_task()):
                begun.set()
                await forever()

        task = asyncio.create_task(block())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(20)

    on_virtual_time(scenario())


def test_a_cancellation_at_the_same_time_is_not_swallowed() -> None:
    async def scenario() -> None:
        deadlines, begun = Deadlines(10), asyncio.Event()

        async def block() -> None:
            with deadlines.begin(this_task()) as deadline:
                begun.set()
                try:
                    await forever()
                finally:
                    assert deadline.expired

        task = asyncio.create_task(block())
        await begun.wait()
        asyncio.get_running_loop().call_at(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    on_virtual_time(scenario())


def test_what_comes_after_a_late_block_may_wait() -> None:
    async def scenario() -> None:
        deadlines = Deadlines(10)
        assert await outcome(deadlines, 20) == ("late", 10)
        assert this_task().cancelling() == 0
        async with asyncio.timeout(5):
            await asyncio.sleep(1)
        assert await outcome(deadlines, 9) == ("done", 20)

    on_virtual_time(scenario())


def test_other_errors_come_out_as_they_are() -> None:
    async def block() -> None:
        with Deadlines(10).begin(this_task()):
            try:
                await forever()
            except asyncio.CancelledError:
                raise KeyError("odd") from None

    async def scenario() -> None:
        with pytest.raises(KeyError, match="odd"):
            await block()

    on_virtual_time(scenario())
