"""The engines that schedules run on: the model in memory, and those on SQL, which do in the event loop, at once, what they
would wait for otherwise, so that they keep virtual time.
"""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.postgres import give_back_schema, server, take_schema
from tidegate.core.ports import Clock
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.postgres import PostgresEngine, PostgresOptions
from tidegate.engines.postgres.reader import Reader as PostgresReader
from tidegate.engines.sqlite.doorbell import Doorbell
from tidegate.engines.sqlite.engine import SqliteEngine
from tidegate.engines.sqlite.orders import Order
from tidegate.engines.sqlite.reader import Reader
from tidegate.engines.sqlite.schema import open_writer
from tidegate.engines.sqlite.writer import Writer
from tidegate.engines.wakeups import Wakeups, Work
from tidegate.postgres import Connections, Release, ServerAddress, prepare
from tidegate.testing.engine_suite import FullEngine

LEASE_SECONDS = 8.0
MAX_BACKLOG = 100_000

OpenEngine = Callable[[Clock], AbstractAsyncContextManager[FullEngine]]


@asynccontextmanager
async def in_memory(clock: Clock) -> AsyncGenerator[FullEngine]:
    """The reference model."""
    async with MemoryEngine(clock, lease_seconds=LEASE_SECONDS) as engine:
        yield engine


@asynccontextmanager
async def on_sqlite(clock: Clock) -> AsyncGenerator[FullEngine]:
    """The embedded engine on a file of its own, which nobody else opens."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-simulation-"))
    try:
        path = folder / "engine.db"
        database = open_writer(path)
        database.run("UPDATE counters SET token = 0")  # it begins where the machine's time stands
        writer = InlineWriter(
            database, str(path), clock, Wakeups(clock), _ring_nobody, LEASE_SECONDS, MAX_BACKLOG
        )
        engine = SqliteEngine(writer, Reader(path), SilentDoorbell(path), None)
        yield engine
        await engine.close()
    finally:
        shutil.rmtree(folder)


def _ring_nobody(_: set[Work]) -> None:
    """There is no other process."""


class InlineWriter(Writer):
    """Does in the event loop, at once, what the thread would do."""

    def _hand(self, job: Callable[[], None]) -> None:
        job()

    def _secure(self, orders: list[Order[Any]]) -> None:
        """No schedule pulls the plug."""
        self._post(self._secured, orders)


class SilentDoorbell(Doorbell):
    """Hears nothing."""

    def listen(self, heard: Callable[[Work], None]) -> bool:
        """There is no other process."""
        return False


@asynccontextmanager
async def on_postgres(clock: Clock) -> AsyncGenerator[FullEngine]:
    """The server engine on a schema of its own of a real server."""
    schema = take_schema()
    url = server().url()
    try:
        release = Release.of("tidegate.engines.postgres", schema)
        address = ServerAddress.parse(url)
        options = PostgresOptions(
            schema=schema,
            pooler=True,  # nobody listens
            lease_seconds=LEASE_SECONDS,
            max_backlog=MAX_BACKLOG,
            database_time=False,
            look_seconds=0.05,
        )
        with psycopg.connect(url, autocommit=True) as connection:
            inline = InlineConnections(address, 1, connection=connection)
            async with inline.use() as facade:
                await prepare(facade, release, address.shown)
            connection.execute("SELECT setval(%s, 1)", (f"{schema}.tokens",))
            engine = PostgresEngine(address, release, clock, options)
            engine._verbs = replace(engine._verbs, connections=inline)
            engine._reader = PostgresReader(inline, release, address.shown)
            yield engine
            await engine.close()
    finally:
        give_back_schema(schema)


@dataclass(eq=False, slots=True)
class InlineConnections(Connections):
    """Waits for the server without going on with anything else."""

    connection: Any = None

    async def rows(
        self, query: str, values: Mapping[str, Any] | None = None, *, seconds: float = 0.0
    ) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(query, values, prepare=True, binary=True)
        return cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def use(self, seconds: float = 0.0) -> AsyncGenerator[Any]:
        yield InlineConnection(self.connection)


class InlineConnection:
    """As much of an asynchronous connection as looking and preparing need."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.info = connection.info
        self.closed = False

    def cursor(self, *, binary: bool = False) -> "InlineCursor":
        return InlineCursor(self._connection.cursor(binary=binary))

    async def execute(self, query: Any, values: Any = None) -> "InlineCursor":
        return await self.cursor().execute(query, values)

    async def rollback(self) -> None:
        self._connection.rollback()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        with self._connection.transaction():
            yield


class InlineCursor:
    """A cursor whose answers are there."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    async def execute(self, query: Any, values: Any = None) -> "InlineCursor":
        self._cursor.execute(query, values)
        return self

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()


ENGINES: dict[str, OpenEngine] = {"memory": in_memory, "sqlite": on_sqlite, "postgres": on_postgres}
