"""Two releases on one database, as in a rolling upgrade: the older one goes on with its own verbs on tables that the
newer one has migrated. The older one's SQL is frozen in the folder `previous`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.engines.test_postgres_engine import work_off
from tests.postgres import emptied, on_postgres, server, take_schema
from tidegate.app.clock import SystemClock
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import IncomingEvent
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.lifecycle import EventState
from tidegate.core.ports import Accepted, Duplicate
from tidegate.core.runs import Routing, RunRequest, lane_of
from tidegate.engines.postgres import PostgresEngine, PostgresOptions
from tidegate.engines.postgres.calls import PARAMETER_TYPES, Verbs
from tidegate.engines.postgres.horizon import FULL_LOOK_SECONDS, Horizon, Lows
from tidegate.postgres import Release, Row, prepare
from tidegate.testing.clock import FakeClock
from tidegate.testing.engine_suite import ENGINE_CASES, LEASE_SECONDS, EngineUnderTest

MakeEvent = Callable[..., IncomingEvent]

FOLDER = Path(__file__).parent / "previous"
EVENTS = 60
PATIENCE_SECONDS = 30.0


VERBS = tuple(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.sql")))
MIGRATIONS = ("0336751056bc32a1", "082e91b198873eac", "fc8425095f7b61d2")
"""Digests of the migrations that it knew."""


def previous(schema: str) -> Release:
    known = Release.of("tidegate.engines.postgres", schema).migrations[: len(MIGRATIONS)]
    return Release(schema, known, VERBS)


def digest_of(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


PARAMETERS = {
    verb: set(re.findall(r"(\w+) (?:bigint|text|integer|boolean|bytea)", parameters))
    for verb, parameters in re.findall(r"CREATE FUNCTION (\w+)\(([^)]*)\)", "".join(VERBS))
}


@dataclass(frozen=True, slots=True)
class PreviousVerbs(Verbs):
    """Calls the older release's functions, with the parameters that they had."""

    async def call(self, verb: str, **values: Any) -> list[Row]:
        given = {**self._common(verb), **values}
        has = PARAMETERS[verb]
        arguments = ", ".join(
            f"{name} => %({name})s::{PARAMETER_TYPES.get(name, 'text[]')}" for name in given if name in has
        )
        rows = await self.connections.rows(
            f'SELECT * FROM "{self.release.verbs_schema}".{verb}({arguments})', given
        )
        return [(done, None) for (done,) in rows] if verb == "prune" else rows


class NoHorizon(Horizon):
    """The older release looks at everything."""

    async def look(self, verbs: Verbs) -> Lows:
        return Lows()


async def install(release: Release) -> None:
    """As a program of the release does when it starts."""
    async with await psycopg.AsyncConnection.connect(server().url(), autocommit=True) as connection:
        await prepare(connection, release, "the server")


def turned_back(engine: PostgresEngine, schema: str) -> PostgresEngine:
    """The engine, with the older release's verbs."""
    now = engine._verbs
    engine._verbs = PreviousVerbs(
        now.connections, previous(schema), now.lease_seconds, now.max_backlog, now.clock, now.poll_seconds
    )
    engine._horizon = NoHorizon(engine._clock.monotonic)
    return engine


def request(key: str, processor: str = "P") -> RunRequest:
    return RunRequest(processor, "issue", "issue", key, lane_of(processor, "issue", key))


# --- the rule -------------------------------------------------------------------------------------------


def test_what_was_released_does_not_change() -> None:
    """A migration that tables have seen is never seen again."""
    assert tuple(map(digest_of, previous("any").migrations)) == MIGRATIONS


MENDED_SINCE = frozenset(
    {
        "a_newer_event_has_all_retries_before_it",
        "a_retry_takes_in_what_waits_behind_it",
        "what_arrives_while_an_attempt_fails_has_all_retries_before_it",
        "what_an_earlier_run_of_the_lane_wrote_late_stays_in_lineage",
        "what_was_written_late_stays_in_lineage_whatever_a_newer_claim_planned",
    }
)
"""What the older release did wrong, and does until it is replaced."""


@pytest.mark.parametrize("name", [name for name in ENGINE_CASES if name not in MENDED_SINCE][::2])
def test_the_previous_verbs_conform_on_the_present_tables(name: str) -> None:
    """Half of the suite, for the sake of time."""
    asyncio.run(ENGINE_CASES[name](_of_the_previous_release))


@asynccontextmanager
async def _of_the_previous_release(clock: FakeClock, max_backlog: int) -> AsyncGenerator[EngineUnderTest]:
    async with emptied(take_schema()) as schema:
        opened = on_postgres(
            clock, schema, lease_seconds=LEASE_SECONDS, max_backlog=max_backlog, poll_seconds=3600
        )
        async with opened as engine:
            await install(previous(schema))
            yield EngineUnderTest(turned_back(engine, schema))


# --- side by side ---------------------------------------------------------------------------------------


@asynccontextmanager
async def both(**options: Any) -> AsyncIterator[tuple[PostgresEngine, PostgresEngine]]:
    """A program of the previous release, and one of this, by the database's time."""
    clock = SystemClock()
    async with (
        emptied(take_schema()) as schema,
        on_postgres(clock, schema, database_time=True, **options) as new,
        on_postgres(clock, schema, database_time=True, **options) as old,
    ):
        await install(previous(schema))
        yield turned_back(old, schema), new


def test_both_work_on_one_queue_and_no_lane_is_claimed_twice(make_event: MakeEvent) -> None:
    async def check() -> None:
        async with both() as engines:
            sent = [make_event(delivery_id=f"d-{number // 2}") for number in range(2 * EVENTS)]
            outcomes = await work_off(list(engines), sent)
            assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == EVENTS
            assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == EVENTS
            events = await engines[1].find_events(EventFilter(), Page(limit=1000))
            assert {event.state for event in events} <= {EventState.APPLIED, EventState.COALESCED}
            assert len(events) == EVENTS
            for engine in engines:
                await engine.prune(SystemClock().now(), EVENTS)
            assert await engines[1].find_events(EventFilter(), Page(limit=1000)) == []

    asyncio.run(check())


def test_tables_are_migrated_while_the_previous_release_works(make_event: MakeEvent) -> None:
    async def check() -> None:
        schema = "rolling"
        await install(previous(schema))
        async with await psycopg.AsyncConnection.connect(server().url()) as reader:
            # Somebody looks at the tables for long: a migration gives up, and nobody waits behind it for longer.
            await reader.execute(SQL("SELECT count(*) FROM {}.counters").format(Identifier(schema)))
            with pytest.raises(ConfigurationError, match="cannot be upgraded now"):
                async with on_postgres(SystemClock(), schema, patience_seconds=0.0):
                    raise AssertionError("it was opened")
            await reader.rollback()
        release = Release.of("tidegate.engines.postgres", schema)
        options = PostgresOptions(schema=schema)
        async with PostgresEngine.open(server().url(), clock=SystemClock(), options=options) as engine:
            assert isinstance(await engine.enqueue(make_event()), Accepted)
            assert len(await turned_back(engine, schema).claim_events(10)) == 1
            assert len(release.migrations) > len(previous(schema).migrations)

    asyncio.run(check())


def test_a_processor_that_the_previous_release_is_the_first_to_run_is_found(make_event: MakeEvent) -> None:
    async def check() -> None:
        clock = FakeClock()
        async with emptied(take_schema()) as schema, on_postgres(clock, schema) as new:
            await install(previous(schema))
            assert await new.claim_runs(10) == []
            async with on_postgres(clock, schema) as engine:
                old = turned_back(engine, schema)
                await old.enqueue(make_event())
                [claim] = await old.claim_events(1)
                assert await old.route(claim, Routing((request("k", "Newcomer"),)))
            clock.advance(FULL_LOOK_SECONDS)
            assert [run.processor for run in await new.claim_runs(10)] == ["Newcomer"]

    asyncio.run(check())


def test_an_event_that_the_previous_release_gives_back_is_found(make_event: MakeEvent) -> None:
    async def check() -> None:
        clock = FakeClock()
        async with emptied(take_schema()) as schema, on_postgres(clock, schema, look_seconds=0.0) as new:
            await install(previous(schema))
            async with on_postgres(clock, schema, lease_seconds=10 * FULL_LOOK_SECONDS) as engine:
                old = turned_back(engine, schema)
                for _ in range(3):
                    await old.enqueue(make_event())
                lent = await old._claim_events([2])
                await new.claim_events(10)
                await new.claim_events(10)
                old._events_lost(lent[0])
                await old._others.close()
            clock.advance(FULL_LOOK_SECONDS)
            assert [claim.event.seq for claim in await new.claim_events(10)][:2] == [1, 2]

    asyncio.run(check())
