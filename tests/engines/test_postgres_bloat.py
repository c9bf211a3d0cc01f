"""A snapshot that somebody holds open keeps dead rows from being swept away. Claims do not step over them, and nothing
that is due is overlooked for that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bench.engine import Load
from tests.postgres import emptied, on_postgres, server, take_schema
from tidegate.app.clock import SystemClock
from tidegate.core.events import IncomingEvent
from tidegate.core.runs import Routing, RunRequest, lane_of
from tidegate.engines.postgres import PostgresEngine
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.events import enqueue
from tidegate.engines.postgres.horizon import FULL_LOOK_SECONDS, OLD_SECONDS
from tidegate.testing.clock import FakeClock

MakeEvent = Callable[..., IncomingEvent]

EVENTS = 3_000
MOST_GROWTH = 1.5
SIZE = """
SELECT sum(pg_relation_size(oid)) FILTER (WHERE relkind = 'r')::bigint, sum(pg_relation_size(oid))::bigint FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'i') AND relname ~ '^(events|event_|runs|attempts|writes)'
"""


@asynccontextmanager
async def held_snapshot() -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(server().url()) as holder:
        await holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await holder.execute("SELECT 1")
        yield
        await holder.rollback()


async def pages_read(engine: PostgresEngine, schema: str) -> int:
    """What claims of events and of runs, and counting the backlog, look at: pages, each time that one is looked at."""
    verbs = engine._verbs.release.verbs_schema
    lows = engine._horizon.lows
    values = {"seq": lows.seq, "lease": lows.lease_us, "names": [*lows.dues], "dues": [*lows.dues.values()]}
    calls = (
        "claim_events(NULL, 1000000, 10, 1000000, %(seq)s, %(lease)s)",
        "claim_runs(NULL, 1000000, 10, 1000000, '{}', '', %(names)s, %(dues)s)",
        "tally(0, 0, 0, 0, 0)",
        "count_backlog()",
    )
    total = 0
    async with await psycopg.AsyncConnection.connect(server().url()) as connection:
        await connection.execute(f'SET search_path = "{verbs}", "{schema}"; SET enable_seqscan = off')
        for call in calls:
            query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM {call}"
            await connection.execute(f"SELECT * FROM {call}", values)  # catalogs are read at the first call
            [([plan],)] = await (await connection.execute(query, values)).fetchall()
            total += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        await connection.rollback()
    return total


async def go_through(engine: PostgresEngine, load: Load, events: int) -> None:
    await load.enqueue(events)
    await load.route(events)
    await load.process(events)


@pytest.mark.slow
def test_claims_cost_the_same_while_a_snapshot_is_held_and_space_comes_back() -> None:
    async def swept(schema: str) -> tuple[int, int]:
        """What tables, and tables with indexes, take when all that is dead has been swept away."""
        async with await psycopg.AsyncConnection.connect(server().url(), autocommit=True) as connection:
            await connection.execute("VACUUM")
            [sizes] = await (await connection.execute(SIZE, (schema,))).fetchall()
            return sizes

    async def check() -> None:
        async with (
            emptied(take_schema()) as schema,
            on_postgres(SystemClock(), schema, database_time=True, look_seconds=0.0) as engine,
        ):
            load = Load(engine, 64, 16)
            await go_through(engine, load, 200)
            async with held_snapshot():
                await go_through(engine, load, 300)
                before = await pages_read(engine, schema)
                await go_through(engine, load, EVENTS)
                await engine.claim_runs(1)  # looks where the queues begin now
                await engine.claim_runs(1)
                assert await pages_read(engine, schema) <= before * MOST_GROWTH
            rows, most = await swept(schema)
            assert await engine.prune(SystemClock().now(), 10 * EVENTS) == EVENTS + 500
            left, _ = await swept(schema)
            assert left < rows / 10
            await go_through(engine, load, EVENTS)
            assert (await swept(schema))[1] <= most

    asyncio.run(check())


# --- nothing is overlooked ------------------------------------------------------------------------------


@asynccontextmanager
async def engine_and_connection(
    clock: FakeClock,
) -> AsyncIterator[tuple[PostgresEngine, psycopg.AsyncConnection]]:
    """An engine that looks before each claim, and a connection besides that sees its tables."""
    async with (
        emptied(take_schema()) as schema,
        on_postgres(clock, schema, look_seconds=0.0) as engine,
        await psycopg.AsyncConnection.connect(server().url()) as other,
    ):
        await other.execute(SQL("SET search_path = {}").format(Identifier(schema)))
        await other.commit()
        yield engine, other


class _OneConnection:
    """Calls verbs on a connection whose transaction stays open."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self.connection = connection

    async def rows(self, query: str, values: object) -> list[tuple[object, ...]]:
        cursor = self.connection.cursor(binary=True)
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def claim_all(engine: PostgresEngine) -> list[int]:
    return [claim.event.seq for claim in await engine.claim_events(100)]


def test_what_is_committed_late_is_claimed_at_once(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with engine_and_connection(clock := FakeClock()) as (engine, other):
            verbs = engine._verbs
            slow = Verbs(_OneConnection(other), verbs.release, 10.0, 1_000_000, clock)
            await enqueue(slow, [make_event()])
            later = [make_event() for _ in range(5)]
            for event in later:
                await engine.enqueue(event)
                assert len(await claim_all(engine)) == 1
            assert engine._horizon.lows.seq <= 1
            await other.commit()
            assert await claim_all(engine) == [1]
            await claim_all(engine)
            assert engine._horizon.lows.seq > 1

    asyncio.run(check())


def test_what_is_committed_in_another_order_is_claimed_at_once(make_event: MakeEvent) -> None:
    """The look takes place while no transaction has ended that is newer than those that run."""

    async def check() -> None:
        async with (
            engine_and_connection(clock := FakeClock()) as (engine, first),
            await psycopg.AsyncConnection.connect(server().url()) as second,
        ):
            verbs = engine._verbs
            for other in (first, second):
                slow = Verbs(_OneConnection(other), verbs.release, 10.0, 1_000_000, clock)
                await enqueue(slow, [make_event()])
            assert await claim_all(engine) == []
            await second.commit()
            assert await claim_all(engine) == [2]
            assert await claim_all(engine) == []
            await first.commit()
            assert await claim_all(engine) == [1]

    asyncio.run(check())


def test_a_transaction_that_never_ends_does_not_keep_the_beginning_back(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with engine_and_connection(clock := FakeClock()) as (engine, other):
            await other.execute("SELECT pg_current_xact_id()")
            for _ in range(4):
                await engine.enqueue(make_event())
                await claim_all(engine)
            assert engine._horizon.lows.seq <= 1
            for _ in range(2):
                clock.advance(OLD_SECONDS)
                await claim_all(engine)
            assert engine._horizon.lows.seq > 1

    asyncio.run(check())


def test_what_is_left_behind_nevertheless_is_found_later(make_event: MakeEvent) -> None:
    """As when a program of an older release gives events and runs back, or makes a processor's first run."""

    async def check() -> None:
        async with engine_and_connection(clock := FakeClock()) as (engine, other):
            for number in range(3):
                await engine.enqueue(make_event())
                for claim in await engine.claim_events(10):
                    run = RunRequest("P", "c", "k", f"k{number}", lane_of("P", "c", f"k{number}"))
                    assert await engine.route(claim, Routing((run,)))
                assert len(await engine.claim_runs(10)) == 1
                clock.advance(1)
            await engine.enqueue(make_event())
            assert await claim_all(engine) == [4]
            await other.execute("UPDATE event_states SET due_us = 0 WHERE seq = 4")
            await other.execute("UPDATE runs SET state = 'ready', due_us = 1 WHERE id = 2")
            await other.execute("UPDATE runs SET state = 'ready', due_us = 1, processor = 'New' WHERE id = 3")
            await engine.enqueue(make_event())
            await other.commit()
            clock.advance(FULL_LOOK_SECONDS)
            assert await claim_all(engine) == [4, 5]
            assert {run.run_id for run in await engine.claim_runs(10)} == {1, 2, 3}

    asyncio.run(check())


def test_events_that_are_given_back_are_claimed_at_once_and_not_counted_as_expired(
    make_event: MakeEvent,
) -> None:
    async def check() -> None:
        async with engine_and_connection(FakeClock()) as (engine, _):
            for _ in range(3):
                await engine.enqueue(make_event())
            lent = await engine._claim_events([10])
            await engine.claim_events(1)
            engine._events_lost(lent[0])
            await engine.backlog()
            async with asyncio.timeout(10):
                while not (again := await engine.claim_events(10)):
                    await engine.wait(0.05)
            assert [(claim.event.seq, claim.expirations) for claim in again] == [(1, 0), (2, 0), (3, 0)]

    asyncio.run(check())
