"""One PostgreSQL server for each process that runs tests, started when a test asks for it first."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from scripts.pgbouncer import PgBouncer, pooled
from scripts.postgres_server import PostgresServer, running
from tidegate.core.ports import Clock
from tidegate.engines.postgres import PostgresEngine, PostgresOptions

_stack = ExitStack()
_numbers = count(1)
_empty: defaultdict[str, list[str]] = defaultdict(list)


@cache
def server() -> PostgresServer:
    """The server of this process."""
    return _stack.enter_context(running())


@cache
def pooler() -> PgBouncer:
    """A pooler before it, that hands out connections by transaction."""
    return _stack.enter_context(pooled(server()))


def stop_server() -> None:
    """At the end of the session."""
    _stack.close()


def take_schema(kind: str = "t") -> str:
    """A schema with nothing in it, for tables of one kind. Whoever gives it back spares the next test the making of
    its tables.
    """
    return _empty[kind].pop() if _empty[kind] else f"{kind}{next(_numbers)}"


def give_back_schema(schema: str) -> None:
    """Empty it."""
    with psycopg.connect(server().url(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT relname, relkind = 'S' FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
            " AND relkind IN ('r', 'S') AND relname NOT IN ('schema_versions', 'verb_schemas')",
            (schema,),
        ).fetchall()
        if not rows:
            return  # nobody has made tables there
        tables = [Identifier(schema, name) for name, is_sequence in rows if not is_sequence]
        connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(SQL(", ").join(tables)))
        for name, is_sequence in rows:
            if is_sequence and name != "tokens":  # they never go back
                connection.execute(SQL("ALTER SEQUENCE {} RESTART").format(Identifier(schema, name)))
    _empty[schema.rstrip("0123456789")].append(schema)


@asynccontextmanager
async def on_postgres(
    clock: Clock, schema: str, url: str | None = None, **options: Any
) -> AsyncIterator[PostgresEngine]:
    """An engine on this process's server, by the test's clock."""
    chosen = replace(PostgresOptions(schema=schema, database_time=False), **options)
    async with PostgresEngine.open(url or server().url(), clock=clock, options=chosen) as engine:
        yield engine


@asynccontextmanager
async def emptied(schema: str) -> AsyncIterator[str]:
    """The schema, emptied afterwards."""
    try:
        yield schema
    finally:
        await asyncio.to_thread(give_back_schema, schema)
