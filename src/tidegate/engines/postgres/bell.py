"""Tells other processes that there is something new, and hears of it from them.

NOTIFY takes a lock that one transaction in the whole server can hold until it is committed: it stays out of the verbs'
transactions, and rings once for all that was committed in a short while. A ring may get lost; who waits looks again
by himself after a while.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

from psycopg import OperationalError
from psycopg.sql import SQL, Identifier

from tidegate.engines.wakeups import Wakeups, Work
from tidegate.postgres import Connections, ServerAddress, failure_of
from tidegate.postgres.connections import Connection, connect

RING_SECONDS = 0.005
"""What is committed within this time is told at once."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_RING = "SELECT pg_notify(%(channel)s::text, %(message)s::text)"


@dataclass(eq=False, slots=True)
class Bell:
    """Rings and listens on one channel. `listen_at` is None behind a pooler that hands out connections by
    transaction, if no way past it is known: there, nobody would hear it.
    """

    connections: Connections
    channel: str
    wakeups: Wakeups
    listen_at: ServerAddress | None
    _name: str = field(default_factory=lambda: uuid4().hex[:12])
    _news: set[Work] = field(default_factory=set[Work])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _ringing: bool = False

    def start(self) -> None:
        """Begin to listen."""
        if self.listen_at is not None:
            self._keep(self._listen(self.listen_at))

    async def close(self) -> None:
        """Stop listening; what was not told yet is not told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def ring(self, *works: Work) -> None:
        """There is something new: for this process at once, for the others in a moment."""
        self.wakeups.added(*works)
        self._news.update(works)
        if self.listen_at is not None and works and not self._ringing:
            self._ringing = True
            self._keep(self._tell())

    def _keep(self, duty: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(duty)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        await asyncio.sleep(RING_SECONDS)
        self._ringing = False
        message = " ".join((self._name, *sorted(work.value for work in self._news)))
        self._news.clear()
        try:
            await self.connections.rows(_RING, {"channel": self.channel, "message": message})
        except Exception as error:
            if failure_of(error) is None:
                raise

    async def _listen(self, address: ServerAddress) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            with suppress(OperationalError, OSError):
                connection = await connect(address)
                async with connection:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(self.channel)))
                    pause = _FIRST_PAUSE_SECONDS
                    self.wakeups.wake()  # what was said while nobody listened
                    await self._hear(connection)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _hear(self, connection: Connection) -> None:
        async for said in connection.notifies():
            name, *works = said.payload.split()
            if name != self._name:
                self.wakeups.added(*(work for work in Work if work.value in works))
