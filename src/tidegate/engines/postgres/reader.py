"""Looking takes place on connections of its own, in transactions that change nothing, for a bounded time."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tidegate.core.errors import EngineUnavailableError
from tidegate.engines.conditions import Value
from tidegate.postgres import Connections, Failure, Release, Row, failure_of, said
from tidegate.postgres.connections import Connection, query_text

LOOK_SECONDS = 60.0
"""A longer query ends with an error: while it runs, nothing that dies can be swept away."""

EVENTS = "(events JOIN event_states USING (seq)) AS events"
"""Events with their states, as the columns of the records name them."""


def settings_of(release: Release) -> str:
    """For a transaction that looks: by indexes, whatever the tables were like when they were analyzed."""
    return (
        f'SET LOCAL search_path = "{release.verbs_schema}", "{release.schema}";'
        f" SET LOCAL statement_timeout = {int(LOOK_SECONDS * 1000)};"
        " SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
    )


@dataclass(frozen=True, slots=True)
class Look:
    """One state of the database. Values stand as ? in the text."""

    connection: Connection

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows. Bound the query."""
        cursor = self.connection.cursor(binary=True)
        text = query_text(sql.replace("%", "%%").replace("?", "%s"))
        await cursor.execute(text, values)
        return await cursor.fetchall()

    async def row(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        """The first row, None if there is none."""
        found = await self.rows(sql, values)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Opens looks."""

    connections: Connections
    release: Release
    where: str

    @asynccontextmanager
    async def look(self) -> AsyncGenerator[Look]:
        """All that is asked inside sees one state of the database. Raises EngineUnavailableError."""
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings_of(self.release)}"
        try:
            async with self.connections.use(2 * LOOK_SECONDS) as connection:
                await connection.execute(query_text(begin))
                try:
                    yield Look(connection)
                finally:
                    if not connection.closed:
                        await connection.rollback()
        except Exception as error:
            if failure_of(error) is not Failure.OUTAGE:
                raise
            raise EngineUnavailableError(
                f"the engine {self.where} cannot be read now: {said(error)}"
            ) from error
