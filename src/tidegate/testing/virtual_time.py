"""An event loop on virtual time: what sleeps is woken in order, and nobody waits for it.

An hour of time-outs, leases and back-off passes in a moment, and always in the same order.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

START = datetime(2030, 1, 1, tzinfo=UTC)


class NothingLeftError(Exception):
    """All that still runs waits for something that will never come."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Give it to `asyncio.Runner(loop_factory=VirtualTimeLoop)`. It knows no sockets and no threads."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._elapsed = 0.0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._elapsed

    def select(self, timeout: float | None) -> list[object]:
        """What the loop calls when nothing is ready: go on to the next timer."""
        if timeout is None:
            raise NothingLeftError("everything waits, and no timer is set")
        self._elapsed += max(timeout, 0.0)
        return []

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., ResultT], *args: Any
    ) -> "asyncio.Future[ResultT]":
        """What is handed to a thread is done at once."""
        done: asyncio.Future[ResultT] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            done.set_exception(error)
        return done

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken from a wait."""


class VirtualClock:
    """Implements the `Clock` port on the time of the loop that it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return START + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """The loop's own time."""
        return self._loop.time()
