"""A few connections to one database, opened when needed, given up when they fail.

Nobody waits long: while the database is away, asking fails at once, and only now and then somebody tries anew.
"""

import asyncio
import os
import select
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, LiteralString, TypeAlias, cast

from psycopg import AsyncConnection, OperationalError
from psycopg import Connection as SyncConnection

from tidegate.postgres.address import ServerAddress
from tidegate.postgres.failures import Failure, failure_of

Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Mapping[str, Any]
Connection: TypeAlias = AsyncConnection[Row]

ANSWER_SECONDS = 6.0
"""A statement that takes longer counts as a server that is gone: no verb takes a hundredth of it."""

_USES_BEFORE_PREPARING = 5
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class Connections:
    """At most `size` connections at once. Belongs to one event loop.

    `prepares` is False behind a pooler that hands out server connections by transaction.
    """

    address: ServerAddress
    size: int
    prepares: bool = True
    _idle: list[Connection] = field(default_factory=list[Connection])
    _room: asyncio.Semaphore = field(init=False)
    _closed: bool = False
    _away: OperationalError | None = None
    _try_again_at: float = 0.0
    _pause_seconds: float = _FIRST_PAUSE_SECONDS
    _random: SystemRandom = field(default_factory=SystemRandom)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.size)

    async def rows(
        self, query: str, values: Values | None = None, *, seconds: float = ANSWER_SECONDS
    ) -> list[Row]:
        """One statement, which is one transaction, and its rows. Raises what psycopg raises."""
        async with self.use(seconds) as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query_text(query), values, prepare=True if self.prepares else None)
            return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def use(self, seconds: float = ANSWER_SECONDS) -> AsyncGenerator[Connection]:
        """A connection in autocommit mode, for so long; closed if it may be broken afterwards."""
        async with self._room:
            connection = await self._take()
            timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
            whole = False
            try:
                yield connection
                whole = True
            except Exception as error:
                whole = failure_of(error) is not Failure.OUTAGE and connection.info.transaction_status == 0
                raise
            finally:
                timer.cancel()
                if whole and not self._closed:
                    self._idle.append(connection)
                else:
                    await _close(connection)

    async def _take(self) -> Connection:
        if self._closed:
            raise OperationalError("it is closed")
        while self._idle:
            connection = self._idle.pop()
            if not has_news(connection):
                return connection
            await _close(connection)
        return await self._connect()

    async def _connect(self) -> Connection:
        now = asyncio.get_running_loop().time()
        if self._away is not None and now < self._try_again_at:
            raise OperationalError(str(self._away))
        try:
            connection = await connect(self.address, prepares=self.prepares)
        except OperationalError as error:
            self._away = error
            self._try_again_at = now + self._pause_seconds * (0.5 + self._random.random() / 2)
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            raise
        self._away, self._pause_seconds = None, _FIRST_PAUSE_SECONDS
        return connection

    async def close(self) -> None:
        """Close what is idle now, and the others when they are done."""
        self._closed = True
        while self._idle:
            await _close(self._idle.pop())


async def connect(address: ServerAddress, *, prepares: bool = True) -> Connection:
    """A connection in autocommit mode. Raises OperationalError."""
    parameters: Any = address.parameters
    threshold = _USES_BEFORE_PREPARING if prepares else None
    return await AsyncConnection.connect(**parameters, autocommit=True, prepare_threshold=threshold)


def query_text(text: str) -> LiteralString:
    """Statements are this program's own texts, assembled from its own parts: values are always bound."""
    return cast("LiteralString", text)


def has_news(connection: AsyncConnection[Row] | SyncConnection[Row]) -> bool:
    """True if the server said something to an idle connection: mostly that it is gone."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


def _cut(connection: Connection) -> None:
    """Break the line, so that who waits for an answer gets an error instead."""
    with suppress(OSError, OperationalError):
        line = socket.socket(fileno=os.dup(connection.pgconn.socket))
        try:
            line.shutdown(socket.SHUT_RDWR)
        finally:
            line.close()


async def _close(connection: Connection) -> None:
    with suppress(Exception):  # it may be broken, and is of no use in any case
        await connection.close()
