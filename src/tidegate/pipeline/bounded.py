"""A time limit that costs nothing where what is bounded answers at once."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def nobody_minds() -> None:
    """For coroutines whose waiting is no news."""


async def within(
    seconds: float, coroutine: Coroutine[Any, Any, ResultT], waits: Callable[[], None] = nobody_minds
) -> ResultT:
    """The coroutine's result. Raises TimeoutError if it waits for longer.

    It is begun at once; only if it has to wait for something, `waits` is called and a timer is set.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        return end.value
    waits()
    async with asyncio.timeout(seconds):
        return await _resumed(coroutine, awaited)


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, ResultT], awaited: Any) -> Generator[Any, Any, ResultT]:
    """Go on with a coroutine that was begun and waits."""
    while True:
        try:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's to take
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(sent)
        except StopIteration as end:
            return end.value
