"""What only the server engine has to show: several machines at once, a server that goes away, odd text."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from scripts.postgres_server import running
from tests.postgres import emptied, on_postgres, server, take_schema
from tidegate.app.clock import SystemClock
from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError, EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.inspection import EventFilter, Page, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.ports import Accepted, Duplicate, EnqueueOutcome
from tidegate.core.runs import (
    Completed,
    EntityWrite,
    Retry,
    Routing,
    RunClaim,
    RunRequest,
    WriteAction,
    lane_of,
)
from tidegate.engines.postgres import PostgresEngine, PostgresOptions
from tidegate.testing.clock import FakeClock

PATIENCE_SECONDS = 30.0
MACHINES = 3
EVENTS = 150

MakeEvent = Callable[..., IncomingEvent]


def request(key: str | None, processor: str = "P") -> RunRequest:
    return RunRequest(processor, "issue", "issue", key, lane_of(processor, "issue", key))


@asynccontextmanager
async def machines(count: int, **options: object) -> AsyncIterator[list[PostgresEngine]]:
    """Engines of so many machines on one schema, by the database's time."""
    async with AsyncExitStack() as stack:
        schema = await stack.enter_async_context(emptied(take_schema()))
        yield [
            await stack.enter_async_context(on_postgres(SystemClock(), schema, database_time=True, **options))
            for _ in range(count)
        ]


# --- several machines -----------------------------------------------------------------------------------


class Crowd:
    """Routers and workers of several machines; tells if a lane ever has two live claims."""

    def __init__(self, engines: list[PostgresEngine]) -> None:
        self.engines = engines
        self.rng = random.Random(11)
        self.on_lane: dict[str, int] = {}

    async def route(self, engine: PostgresEngine) -> None:
        while True:
            for claim in await engine.claim_events(5):
                key = str(claim.event.seq % 7)
                wanted = (request(key), request(key, "Q"), request(None, "R"))
                assert await engine.route(claim, Routing(wanted))
            await engine.wait(0.05, runs=False)

    async def work(self, engine: PostgresEngine) -> None:
        while True:
            claims = await engine.claim_runs(4)
            await asyncio.gather(*(self.process(engine, claim) for claim in claims))
            if not claims:
                await engine.wait(0.05, events=False)

    async def process(self, engine: PostgresEngine, claim: RunClaim) -> None:
        if claim.lane is not None:
            assert self.on_lane.setdefault(claim.lane, claim.run_id) == claim.run_id
        entity = Entity(f"e{claim.event.seq % 5}", "service", title=str(claim.run_id))
        await engine.stage(claim, {entity.ref}, ())
        write = EntityWrite(entity.ref, WriteAction.UPSERT, entity=entity)
        if claim.lane is not None:
            del self.on_lane[claim.lane]  # before: as soon as it is settled, another may have it
        again = claim.failures == 0 and self.rng.random() < 0.2
        assert await engine.settle(claim, Retry(0.0, "once more", (write,)) if again else Completed((write,)))


async def work_off(engines: list[PostgresEngine], sent: list[IncomingEvent]) -> list[EnqueueOutcome]:
    """Enqueue at all machines at once, and route and process at all until nothing is left; what became of each."""
    crowd = Crowd(engines)
    async with asyncio.timeout(2 * PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        duties = [group.create_task(duty(engine)) for engine in engines for duty in (crowd.route, crowd.work)]
        outcomes = await asyncio.gather(
            *(engines[number % len(engines)].enqueue(event) for number, event in enumerate(sent))
        )
        while (await engines[-1].backlog()).unfinished:
            await engines[-1].wait(0.1)
        for duty in duties:
            duty.cancel()
    left = await engines[0].backlog()
    assert (left.ready_runs, left.held_runs, left.claimed_runs, left.dead_runs) == (0, 0, 0, 0)
    return outcomes


def test_machines_share_the_work_and_no_lane_is_claimed_twice(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(MACHINES) as engines:
            sent = [make_event(delivery_id=f"d-{number // 2}") for number in range(2 * EVENTS)]
            outcomes = await work_off(engines, sent)
            assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == EVENTS
            assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == EVENTS
            events = await engines[1].find_events(EventFilter(), Page(limit=1000))
            assert {event.state for event in events} <= {EventState.APPLIED, EventState.COALESCED}
            assert len(events) == EVENTS
            runs = await engines[1].find_runs(RunFilter(), Page(limit=5000))
            assert {run.state for run in runs} <= {RunState.APPLIED, RunState.SUPERSEDED}

    asyncio.run(check())


def test_processes_may_create_the_tables_at_once() -> None:
    async def check() -> None:
        options = PostgresOptions(schema="together")
        async with AsyncExitStack() as stack:
            opened = [
                PostgresEngine.open(server().url(), clock=SystemClock(), options=options) for _ in range(4)
            ]
            engines = await asyncio.gather(*(stack.enter_async_context(each) for each in opened))
            assert [(await engine.backlog()).unfinished for engine in engines] == [0] * 4

    asyncio.run(check())


async def awaken(one: PostgresEngine, other: PostgresEngine, make_event: MakeEvent) -> None:
    """Enqueue at one machine until another that waits hears of it."""
    await other.claim_events(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            waiting = asyncio.create_task(other.wait(3600, runs=False))
            await asyncio.sleep(0)
            await one.enqueue(make_event())  # a ring may get lost while nobody listens yet
            done, _ = await asyncio.wait({waiting}, timeout=1)
            if done:
                return
            waiting.cancel()


def test_what_one_machine_stores_wakes_another(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(2, poll_seconds=3600) as (one, other):
            await awaken(one, other, make_event)
            assert await other.claim_events(10)

    asyncio.run(check())


def test_behind_a_pooler_nothing_is_prepared_and_nobody_listens(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(1, pooler=True) as (engine,):
            await engine.enqueue(make_event())
            [claim] = await engine.claim_events(1)
            assert await engine.route(claim, Routing((request("k"),)))
            assert len(await engine.claim_runs(1)) == 1
            with psycopg.connect(server().url()) as connection:
                query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                assert connection.execute(query).fetchall() == [(0,)]

    asyncio.run(check())


# --- a server that goes away ----------------------------------------------------------------------------


def test_the_engine_comes_back_with_its_server(make_event: MakeEvent) -> None:
    async def check() -> None:
        with running() as own:
            async with PostgresEngine.open(own.url(), clock=SystemClock()) as engine:
                assert await engine.enqueue(make_event()) == Accepted(1)
                own.stop()
                with pytest.raises(EngineUnavailableError):
                    await engine.enqueue(make_event())
                with pytest.raises(EngineUnavailableError):
                    await engine.backlog()
                own.start()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not await accepts(engine, make_event()):
                        await engine.wait(0.05)
                assert (await engine.claim_events(10))[0].event.seq == 1

    asyncio.run(check())


async def accepts(engine: PostgresEngine, event: IncomingEvent) -> bool:
    try:
        return isinstance(await engine.enqueue(event), Accepted)
    except EngineUnavailableError:
        return False


def test_an_answer_that_got_lost_stores_nothing_twice(make_event: MakeEvent) -> None:
    """A sender's event that was committed while its answer was not heard is asked for again, with its own id."""

    async def check() -> None:
        async with machines(2) as (one, other):
            event = make_event(delivery_id="d-1")
            assert await one.enqueue(event) == await other.enqueue(event)
            assert (await one.backlog()).queued_events == 1

    asyncio.run(check())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/db", "cannot be reached"),
        ("postgresql://me:hun ter2@127.0.0.1:1/db?nonsense=1", "cannot be read"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, said: str) -> None:
    async def check() -> None:
        options = PostgresOptions(patience_seconds=0)
        async with PostgresEngine.open(url, clock=SystemClock(), options=options):
            raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match=said) as refusal:
        asyncio.run(check())
    assert "ter2" not in str(refusal.value)


def test_a_missing_database_is_told() -> None:
    async def check() -> None:
        options = PostgresOptions(patience_seconds=0)
        async with PostgresEngine.open(server().url("absent"), clock=SystemClock(), options=options):
            raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match="absent"):
        asyncio.run(check())


def test_a_server_whose_transactions_do_not_see_what_they_waited_for_is_refused() -> None:
    async def check() -> None:
        url = f"{server().url()}?options=-c%20default_transaction_isolation%3Dserializable"
        async with PostgresEngine.open(url, clock=SystemClock()):
            raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match="read committed"):
        asyncio.run(check())


def test_a_newer_version_that_cannot_be_shared_is_refused() -> None:
    async def check() -> None:
        async with emptied(take_schema()) as schema:
            async with on_postgres(FakeClock(), schema):
                pass
            with psycopg.connect(server().url(), autocommit=True) as connection:
                versions = SQL("{}.schema_versions").format(Identifier(schema))
                connection.execute(SQL("INSERT INTO {} (version, least) VALUES (99, 99)").format(versions))
                try:
                    async with on_postgres(FakeClock(), schema):
                        raise AssertionError("it was opened")
                finally:
                    connection.execute(SQL("DELETE FROM {} WHERE version = 99").format(versions))

    with pytest.raises(ConfigurationError, match="newer Tidegate"):
        asyncio.run(check())


# --- odd text -------------------------------------------------------------------------------------------


def test_text_with_nul_is_kept_as_far_as_it_can_be(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(1) as (engine,):
            await engine.enqueue(make_event(b'{"a": "\\u0000"}', "d\0"))
            [event] = await engine.claim_events(1)
            assert event.event.body == b'{"a": "\\u0000"}'
            assert await engine.route(event, Routing((request("k\0"),)))
            [claim] = await engine.claim_runs(1)
            assert claim.resource_key == "k\u2400"
            entity = Entity("e\0", "service")
            await engine.stage(claim, {entity.ref}, ())
            write = EntityWrite(entity.ref, WriteAction.UPSERT, "why\0", entity)
            assert await engine.settle(claim, Completed((write,)))

    asyncio.run(check())
