"""Readers: a few read-only connections in threads, which the writer never waits for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from tidegate.core.errors import TargetUnavailableError
from tidegate.targets.catalog.database import Database

READERS = 2

_T = TypeVar("_T")


class Readers:
    """Runs queries on connections of their own; each sees what was committed when it began."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._executor = ThreadPoolExecutor(READERS, thread_name_prefix="tidegate-catalog-reader")
        self._idle: SimpleQueue[Database] = SimpleQueue()
        self._closed = False
        for _ in range(READERS):
            self._idle.put(connect())

    async def read(self, query: Callable[[Database], _T]) -> _T:
        """Run a query. Raises TargetUnavailableError if it cannot be read now."""
        if self._closed:
            raise TargetUnavailableError("the catalog is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, query)

    def _run(self, query: Callable[[Database], _T]) -> _T:
        database = self._idle.get()
        try:
            with database.reading():
                return query(database)
        finally:
            self._idle.put(database)

    async def close(self) -> None:
        """Finish running queries and close the connections. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        while not self._idle.empty():
            self._idle.get().close()
