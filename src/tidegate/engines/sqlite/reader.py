"""Looking takes place on connections and threads of its own: a long query holds up neither writer nor loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from tidegate.core.errors import EngineUnavailableError
from tidegate.engines.sqlite.database import Database, SqliteError, is_outage
from tidegate.engines.sqlite.schema import open_reader

CONNECTIONS = 2
"""One long query leaves room for the counts that readiness and metrics ask for."""

ResultT = TypeVar("ResultT")


class Reader:
    """A few read-only connections to one file."""

    def __init__(self, path: Path) -> None:
        """Raises SqliteError."""
        self._path = path
        self._databases = [open_reader(path) for _ in range(CONNECTIONS)]
        self._idle: SimpleQueue[Database] = SimpleQueue()
        for database in self._databases:
            self._idle.put(database)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="tidegate-engine-reader")
        self._closed = False

    async def look(self, query: Callable[[Database], ResultT]) -> ResultT:
        """The query's result, all of it from one state of the file.

        Raises what the query raises, and EngineUnavailableError.
        """
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, query)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailableError(f"the engine {self._path} is closed")

    def _look(self, query: Callable[[Database], ResultT]) -> ResultT:
        self._check_open()
        database = self._idle.get()
        try:
            database.run("BEGIN")
            return query(database)
        except Exception as error:
            if not is_outage(error):
                raise
            raise EngineUnavailableError(f"the engine {self._path} cannot be read now: {error}") from error
        finally:
            with suppress(SqliteError):
                database.run("ROLLBACK")
            self._idle.put(database)

    async def close(self) -> None:
        """Stop what is being looked for."""
        if self._closed:
            return
        self._closed = True
        for database in self._databases:
            database.interrupt()
        await asyncio.to_thread(self._threads.shutdown)
        for database in self._databases:
            database.close()
