"""When a loop looks for work again: the engine has some, a place is free, or the time is over."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

POLL_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Wakeup:
    """One loop's alarm. Call `listen` before looking for work, and a wait if there was none."""

    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """Wake the loop: a place is free, or it should end."""
        self._rung.set()

    def listen(self) -> None:
        """From here on, rings are remembered."""
        self._rung.clear()

    async def wait_for_room(self, timeout_seconds: float = POLL_SECONDS) -> None:
        """Until a ring since `listen`; for a loop that could take no work if there were some."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            pass

    async def wait_for_work(self, engine_wait: Coroutine[Any, Any, None]) -> None:
        """Until the engine's `wait` returns, or a ring since `listen`. Raises what the engine raises."""
        work, ring = asyncio.create_task(engine_wait), asyncio.create_task(self._rung.wait())
        try:
            await asyncio.wait((work, ring), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            ring.cancel()
            await asyncio.gather(work, ring, return_exceptions=True)
