"""The engines that schedules run on: the model in memory, and SQLite without threads, so that it keeps virtual time."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tidegate.core.ports import Clock
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.sqlite.doorbell import Doorbell
from tidegate.engines.sqlite.engine import SqliteEngine
from tidegate.engines.sqlite.reader import Reader
from tidegate.engines.sqlite.schema import open_writer
from tidegate.engines.sqlite.transaction import Transaction
from tidegate.engines.sqlite.writer import Writer
from tidegate.engines.wakeups import Wakeups, Work
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

    def _transaction(self, *, durable: bool) -> Transaction:
        return super()._transaction(durable=False)  # no schedule pulls the plug


class SilentDoorbell(Doorbell):
    """Hears nothing."""

    def listen(self, heard: Callable[[Work], None]) -> bool:
        """There is no other process."""
        return False


ENGINES: dict[str, OpenEngine] = {"memory": in_memory, "sqlite": on_sqlite}
