"""A time limit that costs nothing where what is bounded answers at once."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


async def within(seconds: float, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The coroutine's result. Raises TimeoutError if it waits for longer.

    It is begun at once; only if it has to wait for something, a timer is set.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        return end.value
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
