"""Reads overviews from an engine: all that is needed is its URL, whichever processes and machines do the work."""

import asyncio
from datetime import timedelta

from tidegate.core.history import SPAN, History
from tidegate.core.overviews import Overview
from tidegate.core.ports import Clock, EngineOperations

FRESH_SECONDS = 0.9
"""However many pages are open, the engine is asked about once a second."""

TOGETHER = 100
"""How many samples are added up at once."""

OVERLAP = timedelta(seconds=15)
"""Samples are read again for so long: one may be committed after another that was kept later."""


class OverviewReader:
    """Reads an hour of samples at first, and then only what is new."""

    def __init__(self, engine: EngineOperations, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._history = History()
        self._turn = asyncio.Lock()
        self._last: tuple[float, Overview] | None = None

    async def read(self) -> Overview:
        """The overview, no older than FRESH_SECONDS. Raises EngineUnavailableError."""
        async with self._turn:
            asked_at = self._clock.monotonic()
            if self._last is None or asked_at - self._last[0] >= FRESH_SECONDS:
                self._last = (asked_at, await self._overview())
            return self._last[1]

    async def _overview(self) -> Overview:
        newest = self._history.newest_at
        since = self._clock.now() - SPAN if newest is None else newest - OVERLAP
        samples = await self._engine.samples(since)
        for start in range(0, len(samples), TOGETHER):
            self._history.add(samples[start : start + TOGETHER])
            await asyncio.sleep(0)  # the first time it is an hour of them: others get their turn
        backlog = await self._engine.backlog()
        # The engine's clock may be ahead of this machine's.
        now = max(self._clock.now(), self._history.newest_at or self._clock.now())
        return self._history.overview(backlog, now)
