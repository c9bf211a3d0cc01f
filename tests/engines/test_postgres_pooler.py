"""The server engine behind a real PgBouncer that hands out connections by transaction."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from scripts.pgbouncer import SERVER_CONNECTIONS, find_pgbouncer, pooled
from tests.engines.test_postgres_engine import accepts, awaken, machines, work_off
from tests.postgres import emptied, on_postgres, pooler, server, take_schema
from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted
from tidegate.testing.clock import FakeClock
from tidegate.testing.engine_suite import ENGINE_CASES, LEASE_SECONDS, EngineUnderTest

MakeEvent = Callable[..., IncomingEvent]

PATIENCE_SECONDS = 30.0
MACHINES = 3
EVENTS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_pgbouncer() is None,
        reason="there is no PgBouncer: `scripts/bootstrap pooler` installs Debian's where it may; PGBOUNCER names another",
    ),
]


@asynccontextmanager
async def _behind_the_pooler(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
    async with emptied(take_schema()) as schema:
        opened = on_postgres(
            clock,
            schema,
            pooler().url(),
            pooler=True,
            lease_seconds=LEASE_SECONDS,
            max_backlog=max_backlog,
            poll_seconds=3600,
        )
        async with opened as engine:
            yield EngineUnderTest(engine)


@pytest.mark.parametrize("name", list(ENGINE_CASES)[::3])
def test_the_engine_behind_a_pooler_conforms(name: str) -> None:
    """A third of the suite: each verb travels the same way."""
    asyncio.run(ENGINE_CASES[name](_behind_the_pooler))


def test_machines_have_more_connections_than_the_server_gives_the_pooler(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(
            MACHINES, url=pooler().url(), pooler=True, connections=SERVER_CONNECTIONS
        ) as engines:
            outcomes = await work_off(engines, [make_event() for _ in range(EVENTS)])
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)

    asyncio.run(check())


def test_a_way_past_the_pooler_wakes_those_who_wait(make_event: MakeEvent) -> None:
    async def check() -> None:
        options = {"pooler": True, "listen_url": server().url(), "poll_seconds": 3600}
        async with machines(2, url=pooler().url(), **options) as (one, other):
            await awaken(one, other, make_event)
            assert await other.claim_events(10)

    asyncio.run(check())


def test_without_one_those_who_wait_look_by_themselves(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with machines(2, url=pooler().url(), pooler=True, poll_seconds=0.1) as (one, other):
            assert await other.claim_events(1) == []
            await one.enqueue(make_event())
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await other.claim_events(1):
                    await other.wait(3600)

    asyncio.run(check())


def test_the_engine_comes_back_with_its_pooler(make_event: MakeEvent) -> None:
    async def check() -> None:
        with pooled(server()) as own:
            async with machines(1, url=own.url(), pooler=True) as (engine,):
                assert isinstance(await engine.enqueue(make_event()), Accepted)
                own.kill()
                with pytest.raises(EngineUnavailableError):
                    await engine.enqueue(make_event())
                own.start()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not await accepts(engine, make_event()):
                        await engine.wait(0.05)

    asyncio.run(check())


def test_who_does_not_tell_of_the_pooler_is_told(make_event: MakeEvent) -> None:
    """Statements that were prepared on one connection of the server meet another one."""

    async def check() -> None:
        async with machines(2, url=pooler().url()) as engines:
            refusals: list[str] = []
            async with asyncio.timeout(PATIENCE_SECONDS):
                # The driver prepares what it has seen a few times, and a quick machine needs few batches.
                while not refusals:
                    sent = [engine.enqueue(make_event()) for _ in range(200) for engine in engines]
                    answers = await asyncio.gather(*sent, return_exceptions=True)
                    assert all(isinstance(answer, EngineUnavailableError | Accepted) for answer in answers)
                    refusals = [str(each) for each in answers if isinstance(each, EngineUnavailableError)]
            assert all("TIDEGATE__ENGINE__POSTGRES_POOLER=true" in refusal for refusal in refusals)

    asyncio.run(check())


def test_a_pooler_by_session_needs_no_setting(make_event: MakeEvent) -> None:
    async def check() -> None:
        with pooled(server(), "session") as own:
            async with machines(1, url=own.url(), connections=2) as (engine,):
                for number in range(10):
                    assert isinstance(await engine.enqueue(make_event()), Accepted)
                    [claim] = await engine.claim_events(1)
                    assert claim.event.seq == number + 1

    asyncio.run(check())
