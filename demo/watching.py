"""Watches the catalog as a reader does: by asking its API again and again, noting when each state was first seen."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import aiohttp

from demo.truth import Snapshot, catalog_snapshot

POLL_SECONDS = 0.005


class CatalogWatch:
    """The states that the catalog went through, each with when it was first seen (Unix seconds)."""

    def __init__(self, session: aiohttp.ClientSession, admin_url: str) -> None:
        self._session = session
        self._admin_url = admin_url
        self._states: deque[tuple[float, Snapshot]] = deque([(time.time(), {})], maxlen=1000)
        self._news = asyncio.Condition()

    @property
    def current(self) -> Snapshot:
        return self._states[-1][1]

    async def keep(self) -> None:
        """Watch until cancelled. The catalog must be up."""
        while True:
            snapshot = await catalog_snapshot(self._session, self._admin_url)
            if snapshot != self.current:
                self._states.append((time.time(), snapshot))
                async with self._news:
                    self._news.notify_all()
            await asyncio.sleep(POLL_SECONDS)

    async def first_equal(self, expected: Snapshot, since: float, timeout_seconds: float) -> float | None:
        """When, at or after `since`, the catalog was first seen to be as expected; None if it was not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds), self._news:
                while True:
                    seen = self._seen(expected, since)
                    if seen is not None:
                        return seen
                    await self._news.wait()
        return None

    def _seen(self, expected: Snapshot, since: float) -> float | None:
        states = list(self._states)
        for position, (first_seen, snapshot) in enumerate(states):
            ended = states[position + 1][0] if position + 1 < len(states) else float("inf")
            if ended > since and snapshot == expected:
                return max(first_seen, since)
        return None

    async def another_state(self, known: Snapshot, timeout_seconds: float | None = None) -> None:
        """Wait until the catalog is not as `known` any more, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds), self._news:
                while self.current == known:
                    await self._news.wait()


@asynccontextmanager
async def watching(session: aiohttp.ClientSession, admin_url: str) -> AsyncGenerator[CatalogWatch]:
    """Watch while the block runs."""
    watch = CatalogWatch(session, admin_url)
    task = asyncio.create_task(watch.keep())
    try:
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, aiohttp.ClientError):
            await task
