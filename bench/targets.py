"""CPU and time of the targets, per entity: `python bench/targets.py`. Prints a table; takes a few minutes.

The catalogs are measured on the disk that holds the temporary folder, every commit synced.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from scripts.postgres_server import running
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Change, Delete, EntityTarget, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget, PostgresPlace
from tidegate.targets.catalog.documents import Position, Selection, entity_slice
from tidegate.targets.catalog.rule_parsing import parse_query
from tidegate.targets.port import PortTarget
from tidegate.testing.port_stub import PortStub

BATCH = 20
ROUNDS = 5
LARGE = 100_000
"""Entities of the catalog that is searched."""
LOOKUPS = 500
BLUEPRINTS = [
    {"identifier": "team", "schema": {"properties": {}}, "relations": {}},
    {
        "identifier": "service",
        "schema": {
            "properties": {
                "url": {"type": "string", "format": "url"},
                "status": {"type": "string", "enum": ["active", "archived"]},
                "stars": {"type": "number"},
                "created": {"type": "string", "format": "date-time"},
                "private": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "description": {"type": "string"},
            },
            "required": ["url"],
        },
        "relations": {"team": {"target": "team", "many": False, "required": False}},
    },
]

Measured = tuple[float, float]
"""Wall and CPU microseconds an entity."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def service(number: int, round_: int, *, relation: bool) -> Entity:
    return Entity(
        identifier=f"service-{number}",
        blueprint="service",
        title=f"Service {number}",
        properties={
            "url": f"https://example.com/services/{number}",
            "status": "active",
            "stars": round_,
            "created": "2024-05-01T12:00:00Z",
            "private": False,
            "tags": ["a", "b"],
            "description": "x" * 120,
        },
        relations={"team": f"team-{number % 10}"} if relation else {},
    )


def batches(count: int, round_: int, *, relation: bool = False) -> list[list[Change]]:
    changes: list[Change] = [Upsert(service(n, round_, relation=relation), round_) for n in range(count)]
    return [changes[start : start + BATCH] for start in range(0, count, BATCH)]


def deletes(count: int, round_: int) -> list[list[Change]]:
    changes: list[Change] = [Delete(EntityRef("service", f"service-{n}"), round_) for n in range(count)]
    return [changes[start : start + BATCH] for start in range(0, count, BATCH)]


async def one_by_one(target: EntityTarget, work: Sequence[Sequence[Change]]) -> None:
    for batch in work:
        await target.apply(batch)


async def four_at_once(target: EntityTarget, work: Sequence[Sequence[Change]]) -> None:
    free = asyncio.Semaphore(4)

    async def apply(batch: Sequence[Change]) -> None:
        async with free:
            await target.apply(batch)

    await asyncio.gather(*(apply(batch) for batch in work))


Drive = Callable[[EntityTarget, Sequence[Sequence[Change]]], Awaitable[None]]


async def measured(target: EntityTarget, drive: Drive, work: Sequence[Sequence[Change]]) -> Measured:
    entities = sum(map(len, work))
    wall, cpu = time.perf_counter(), time.process_time()
    await drive(target, work)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / entities * 1e6, cpu / entities * 1e6


async def catalog(table: Table, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = CatalogTarget.open(
            Path(folder) / "catalog.db",
            integration_identifier="bench",
            options=TargetOptions(),
            clock=SystemClock(),
        )
        await both_ways(table, "SQLite", target, count)


async def postgres(table: Table, count: int) -> None:
    with running(durable=True) as server:
        target = await CatalogTarget.on_postgres(
            PostgresPlace(server.url()),
            integration_identifier="bench",
            options=TargetOptions(),
            clock=SystemClock(),
        )
        await both_ways(table, "PostgreSQL", target, count)


async def both_ways(table: Table, name: str, target: CatalogTarget, count: int) -> None:
    try:
        await target.prepare(BLUEPRINTS, {})
        for way, drive in (("one at a time", one_by_one), ("four at once", four_at_once)):
            await rows(table, f"catalog on {name}, {way}", target, drive, count)
        await lookups(table, f"catalog on {name}, of {LARGE:,} entities", target)
    finally:
        await target.close()


async def lookups(table: Table, name: str, target: CatalogTarget) -> None:
    """Search identifiers, and the same rule asked of the read API, in a large catalog."""
    await four_at_once(target, batches(LARGE, 1))
    for way, drive, most in (("one at a time", one_by_one, 100), ("four at once", four_at_once, 400)):
        found: list[list[Change]] = [
            [Upsert(Entity(by_url(n), "service", title="x"), 2) for n in range(start, start + BATCH)]
            for start in range(0, most * BATCH, BATCH)
        ]
        await drive(target, found[:10])  # the first makes the index
        wall, cpu = await measured(target, drive, found[10:])
        table.add_row(name, f"found by a search, {way}", f"{wall:.0f}", f"{cpu:.0f}", f"{1e6 / wall:,.0f}")
    started, cpu = time.perf_counter(), time.process_time()
    for number in range(LOOKUPS):
        selection = Selection("service", parse_query(by_url(number), datetime.now(UTC)))
        await target.readers.read(partial(entity_slice, selection=selection, after=Position(), limit=2))
    wall, cpu = (
        (now - before) / LOOKUPS * 1e6
        for now, before in ((time.perf_counter(), started), (time.process_time(), cpu))
    )
    table.add_row(name, "searched in the read API", f"{wall:.0f}", f"{cpu:.0f}", f"{1e6 / wall:,.0f}")


def by_url(number: int) -> dict[str, Json]:
    rule = {"property": "url", "operator": "=", "value": f"https://example.com/services/{number}"}
    return {"combinator": "and", "rules": [rule]}


async def port(table: Table, count: int) -> None:
    async with PortStub() as stub:
        target = PortTarget(
            stub.url,
            stub.client_id,
            stub.client_secret,
            integration_identifier="bench",
            integration_type="bench",
            options=TargetOptions(),
        )
        try:
            await target.prepare(BLUEPRINTS, {})
            await rows(table, "Port (with its stub in the process)", target, four_at_once, count)
        finally:
            await target.close()


async def rows(table: Table, name: str, target: EntityTarget, drive: Drive, count: int) -> None:
    fence = round(time.time() * 1000)
    for work, build in (
        ("new", lambda at: batches(count, at)),
        ("changed", lambda at: batches(count, at)),
        ("changed, with a relation", lambda at: batches(count, at, relation=True)),
        ("deleted", lambda at: deletes(count, at)),
    ):
        results: list[Measured] = []
        for _ in range(1 if work == "new" else ROUNDS):
            fence += 1
            results.append(await measured(target, drive, build(fence)))
        wall, cpu = (median(result[part] for result in results) for part in (0, 1))
        table.add_row(name, work, f"{wall:.0f}", f"{cpu:.0f}", f"{1e6 / wall:,.0f}")


async def main(count: int) -> None:
    table = Table("target", "entities", "µs each", "CPU µs each", "entities/s", title=f"batches of {BATCH}")
    await catalog(table, count)
    await postgres(table, count)
    await port(table, count // 4)
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000))
