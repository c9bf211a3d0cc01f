"""The author's code is bounded in time as soon as it waits for something."""

import asyncio

import pytest

from tidegate.pipeline.bounded import within


async def at_once(value: str) -> str:
    return value


async def after(gate: asyncio.Event, value: str) -> str:
    await asyncio.sleep(0)
    await gate.wait()
    return value


def test_what_answers_at_once_needs_no_time() -> None:
    assert asyncio.run(within(0, at_once("x"))) == "x"


def test_what_waits_goes_on_in_the_same_task() -> None:
    async def run() -> None:
        gate, seen = asyncio.Event(), []

        async def code() -> str:
            seen.append(asyncio.current_task())
            value = await after(gate, "x")
            seen.append(asyncio.current_task())
            return value

        asyncio.get_running_loop().call_later(0.01, gate.set)
        assert await within(10, code()) == "x"
        assert seen == [asyncio.current_task()] * 2

    asyncio.run(run())


@pytest.mark.parametrize("waits", [False, True])
def test_who_minds_is_told_before_it_waits(waits: bool) -> None:
    async def run() -> None:
        told: list[str] = []

        async def code() -> None:
            told.append("begun")
            if waits:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            told.append("done")

        await within(10, code(), lambda: told.append("waits"))
        assert told == (["begun", "waits", "done"] if waits else ["begun", "done"])

    asyncio.run(run())


def test_what_waits_for_too_long_is_stopped() -> None:
    async def run() -> None:
        cleaned = []

        async def code() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        with pytest.raises(TimeoutError):
            await within(0.01, code())
        assert cleaned == [True]

    asyncio.run(run())


@pytest.mark.parametrize("waits", [False, True])
def test_errors_come_out_as_they_are(waits: bool) -> None:
    async def run() -> None:
        async def code() -> None:
            if waits:
                await asyncio.sleep(0)
            raise StopAsyncIteration("odd")

        with pytest.raises(StopAsyncIteration, match="odd"):
            await within(10, code())

    asyncio.run(run())


def test_a_cancellation_reaches_the_code() -> None:
    async def run() -> None:
        heard = []

        async def code() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append(True)
                raise

        task = asyncio.create_task(within(10, code()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert heard == [True]

    asyncio.run(run())
