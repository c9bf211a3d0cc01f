"""All engines pass the conformance suite."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.postgres import emptied, on_postgres, server, take_schema
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import FakeClock
from tidegate.testing.engine_suite import ENGINE_CASES, LEASE_SECONDS, EngineUnderTest


@asynccontextmanager
async def in_memory(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
    async with MemoryEngine(clock, lease_seconds=LEASE_SECONDS, max_backlog=max_backlog) as engine:
        yield EngineUnderTest(engine)


@pytest.mark.parametrize("name", ENGINE_CASES)
def test_the_engine_in_memory_conforms(name: str) -> None:
    asyncio.run(ENGINE_CASES[name](in_memory))


@pytest.mark.parametrize("name", ENGINE_CASES)
def test_the_engine_on_sqlite_conforms(name: str, path: Path) -> None:
    async def damage(seq: int) -> None:
        connection = apsw.Connection(str(path))
        connection.execute("UPDATE event_bodies SET headers = x'7b00' WHERE seq = ?", (seq,))
        connection.close()

    @asynccontextmanager
    async def on_sqlite(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
        opened = SqliteEngine.open(
            path, clock=clock, lease_seconds=LEASE_SECONDS, max_backlog=max_backlog, poll_seconds=3600
        )
        async with opened as engine:
            yield EngineUnderTest(engine, damage)

    asyncio.run(ENGINE_CASES[name](on_sqlite))


@pytest.mark.parametrize("name", ENGINE_CASES)
def test_the_engine_on_postgresql_conforms(name: str) -> None:
    asyncio.run(ENGINE_CASES[name](_on_postgresql))


@asynccontextmanager
async def _on_postgresql(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
    async with emptied(take_schema()) as schema:

        async def damage(seq: int) -> None:
            async with await psycopg.AsyncConnection.connect(server().url(), autocommit=True) as connection:
                text = SQL("UPDATE {}.events SET headers = '\\x7b00' WHERE seq = %s").format(
                    Identifier(schema)
                )
                await connection.execute(text, (seq,))

        opened = on_postgres(
            clock, schema, lease_seconds=LEASE_SECONDS, max_backlog=max_backlog, poll_seconds=3600
        )
        async with opened as engine:
            yield EngineUnderTest(engine, damage)
