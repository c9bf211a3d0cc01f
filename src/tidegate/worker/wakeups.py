"""When a loop looks for work again: the engine has some, a place is free, or the time is over."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

POLL_SECONDS = 5.0

ENGINE_PAUSE_SECONDS = 0.2
"""How long to wait before an engine that could not commit is asked again."""


@dataclass(eq=False, slots=True)
class Wakeup:
    """One loop's alarm: `listen`, look for work, and `wait` if there was none. Nothing in between is missed.

    `engine_wait` makes the call of the engine's `wait` for the sort of work that the loop looks for.
    """

    engine_wait: Callable[[], Coroutine[Any, Any, None]]
    _rung: asyncio.Event = field(default_factory=asyncio.Event)
    _hearing: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake the loop: a place is free, or it should end."""
        self._rung.set()

    async def listen(self) -> None:
        """From here on, whatever may mean work is remembered. Raises what the engine's `wait` raised."""
        self._rung.clear()
        if self._hearing is not None and self._hearing.done():
            self._hearing.result()
            self._hearing = None
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear(), name="tidegate-wakeup")
            await asyncio.sleep(0)  # it begins to wait before the caller looks

    async def wait(self, timeout_seconds: float = POLL_SECONDS) -> None:
        """Until something happened since `listen`, at most `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Stop listening."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait((self._hearing,))
            self._hearing = None

    async def _hear(self) -> None:
        try:
            await self.engine_wait()
        finally:
            self._rung.set()
