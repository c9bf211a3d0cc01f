"""What the catalog adds on PostgreSQL: writers take turns, outages undo whole transactions, lookups use indexes."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import psycopg
import pytest

from scripts.postgres_server import running
from tests.postgres import emptied, server, take_schema
from tests.targets.catalogs import KIND, in_server
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import TargetUnavailableError
from tidegate.core.ports import Applied, Change, Delete, Overtaken, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget, PostgresPlace
from tidegate.targets.catalog.documents import entity_document
from tidegate.targets.catalog.postgres import database as postgres_database
from tidegate.testing.target_suite_session import BLUEPRINTS, find, service

FENCES = 60
SEED = 5
NAMES = [f"s{number}" for number in range(6)]


class FixedClock:
    def now(self) -> datetime:
        return datetime(2024, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@asynccontextmanager
async def writers(number: int, place: PostgresPlace, **options: Any) -> AsyncIterator[list[CatalogTarget]]:
    """Targets of one integration with connections of their own; all open the tables at once."""
    async with AsyncExitStack() as stack:
        opening = (
            CatalogTarget.on_postgres(
                place,
                integration_identifier="main",
                options=TargetOptions(**options),
                clock=FixedClock(),
            )
            for _ in range(number)
        )
        targets = await asyncio.gather(*opening)
        for target in targets:
            stack.push_async_callback(target.close)
        await asyncio.gather(*(target.prepare(BLUEPRINTS, {}) for target in targets))
        yield targets


def with_writers(
    number: int, scenario: Callable[[list[CatalogTarget]], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def run() -> None:
        async with (
            emptied(take_schema(KIND)) as schema,
            writers(number, in_server(schema), **options) as targets,
        ):
            await scenario(targets)

    asyncio.run(run())


async def stars(target: CatalogTarget, name: str) -> int | None:
    found = await target.readers.read(lambda database: entity_document(database, EntityRef("service", name)))
    if found is None:
        return None
    return decoded(found)["properties"]["stars"]


def decoded(found: dict[str, Any]) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(found))


def test_the_newest_fence_wins_over_all_writers() -> None:
    """Three writers apply the same history in three orders, in batches that cross each other."""
    history: list[Change] = []
    final: dict[str, int | None] = {}
    rng = random.Random(SEED)
    for fence in range(1, FENCES + 1):
        for name in rng.sample(NAMES, 3):
            if rng.random() < 0.2:
                history.append(Delete(EntityRef("service", name), fence))
                final[name] = None
            else:
                uses = rng.sample(NAMES, 2)
                change = service(name, properties={"stars": fence}, relations={"uses": uses})
                history.append(Upsert(change, fence))
                final[name] = fence

    async def apply_shuffled(target: CatalogTarget, order: random.Random) -> set[type]:
        shuffled = order.sample(history, len(history))
        batches = [shuffled[start : start + 7] for start in range(0, len(shuffled), 7)]
        outcomes = await asyncio.gather(*(target.apply(batch) for batch in batches))
        return {type(outcome) for batch in outcomes for outcome in batch}

    async def scenario(targets: list[CatalogTarget]) -> None:
        orders = [random.Random(SEED + number) for number in range(len(targets))]
        answered = await asyncio.gather(*map(apply_shuffled, targets, orders))
        assert set.union(*answered) == {Applied, Overtaken}
        # A relation may have made an entity anew after its delete: nobody has said anything of it since.
        for name, expected in final.items():
            if expected is not None:
                assert await stars(targets[0], name) == expected

    with_writers(3, scenario, create_missing_related_entities=True)


def test_a_writer_waits_for_its_turn_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_database, "WAIT_SECONDS", 1)

    async def run() -> None:
        async with emptied(take_schema(KIND)) as schema, writers(1, in_server(schema)) as (target,):
            with psycopg.connect(server().url()) as hog:
                hog.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
                with pytest.raises(TargetUnavailableError, match="lock timeout"):
                    await target.apply([Upsert(service("a"), 1)])
            assert await target.apply([Upsert(service("a"), 1)]) == [Applied()]

    asyncio.run(run())


def test_a_writer_that_stands_still_loses_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_database, "WAIT_SECONDS", 1)

    async def scenario(targets: list[CatalogTarget]) -> None:
        still, other = targets
        stopped, go_on = threading.Event(), threading.Event()

        def stand_still() -> None:
            stopped.set()
            go_on.wait(30)

        stuck = asyncio.create_task(still._writer.submit(stand_still))
        await asyncio.to_thread(stopped.wait, 30)
        for _ in range(5):
            try:
                assert await other.apply([Upsert(service("a"), 1)]) == [Applied()]
                break
            except TargetUnavailableError:
                continue
        else:
            pytest.fail("the turn never came")
        go_on.set()
        with pytest.raises(TargetUnavailableError):
            await stuck
        assert await still.apply([Upsert(service("a"), 2)]) == [Applied()]

    with_writers(2, scenario)


def test_a_restart_undoes_whole_batches_and_passes() -> None:
    async def run() -> None:
        with running(durable=True) as own:
            async with writers(1, PostgresPlace(own.url())) as (target,):
                applied: set[str] = set()
                failures = 0
                failed = asyncio.Event()
                done = asyncio.Event()

                async def write(number: int) -> None:
                    nonlocal failures
                    for turn in count():
                        if done.is_set():
                            return
                        names = [f"{number}-{turn}-{part}" for part in range(5)]
                        try:
                            await target.apply([Upsert(service(name), 1) for name in names])
                            applied.update(names)
                        except TargetUnavailableError:
                            failures += 1
                            failed.set()

                async def restart() -> None:
                    await target.apply([Upsert(service("before"), 1)])
                    own.lose()
                    await failed.wait()
                    await asyncio.to_thread(own.start)
                    await target.apply([Upsert(service("after"), 1)])
                    done.set()

                await asyncio.gather(restart(), *(write(number) for number in range(3)))
                assert failures > 0
                refs = {EntityRef("service", name) for name in applied}
                assert await target.owned(refs) == refs
                rows = await target.readers.read(
                    lambda database: database.rows(
                        "SELECT count(*) FROM entities WHERE identifier NOT IN ('before', 'after')"
                        " GROUP BY regexp_replace(identifier, '-[0-9]+$', '')"
                    )
                )
                assert {number for (number,) in rows} <= {5}

    asyncio.run(run())


def test_the_character_that_postgres_cannot_keep_becomes_its_picture() -> None:
    async def scenario(targets: list[CatalogTarget]) -> None:
        (target,) = targets
        entity = service("a", title="nu\0l", properties={"external_id": "x\0y"})
        assert await target.apply([Upsert(entity, 1)]) == [Applied()]
        found = await target.readers.read(
            lambda database: entity_document(database, EntityRef("service", "a"))
        )
        assert found is not None
        assert found["title"] == "nu\u2400l"
        assert decoded(found)["properties"] == {"external_id": "x\0y"}
        again = service(find("=", "external_id", "x\0y"), properties={"stars": 1})
        assert await target.apply([Upsert(again, 2)]) == [Applied()]

    with_writers(1, scenario)


def test_what_is_looked_up_has_an_index() -> None:
    async def scenario(targets: list[CatalogTarget]) -> None:
        (target,) = targets
        entities = [service(f"s{n}", properties={"external_id": f"x{n}"}) for n in range(2_000)]
        for start in range(0, len(entities), 100):
            await target.apply([Upsert(entity, 1) for entity in entities[start : start + 100]])
        by_id = Entity(find("=", "external_id", "x77"), "service", title="found")
        assert await target.apply([Upsert(by_id, 2)]) == [Applied()]
        plan = await target.readers.read(
            lambda database: database.rows(
                "EXPLAIN SELECT identifier FROM entities WHERE blueprint = 'service' AND"
                " jsonb_hash_extended((valued -> 'external_id'), 0) = jsonb_hash_extended('\"x77\"'::jsonb, 0)"
            )
        )
        assert "lookup_" in "\n".join(line for (line,) in plan)

    with_writers(1, scenario)
