"""The catalog passes, in each of its databases, the conformance suite of targets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scripts.pgbouncer import find_pgbouncer
from tests.postgres import emptied, pooler, take_schema
from tests.targets.catalogs import KIND, KINDS, catalogs
from tidegate.core.entities import EntityRef
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget, PostgresPlace
from tidegate.targets.catalog.documents import entity_document
from tidegate.testing.target_suite import TARGET_CASES, TargetUnderTest


class FixedClock:
    def now(self) -> datetime:
        return datetime(2024, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


async def stored(target: CatalogTarget, ref: EntityRef) -> dict[str, Any] | None:
    found = await target.readers.read(lambda database: entity_document(database, ref))
    return msgspec.json.decode(msgspec.json.encode(found))


@KINDS
@pytest.mark.parametrize("name", TARGET_CASES)
def test_catalog_conforms(name: str, kind: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def factory(options: TargetOptions) -> AsyncGenerator[TargetUnderTest]:
        async with catalogs(kind, tmp_path, FixedClock(), options, "main", "other") as (target, other):
            yield TargetUnderTest(target, other, lambda ref: stored(target, ref))

    asyncio.run(TARGET_CASES[name](factory))


@pytest.mark.slow
@pytest.mark.skipif(find_pgbouncer() is None, reason="there is no PgBouncer: `scripts/bootstrap pooler`")
@pytest.mark.parametrize("name", list(TARGET_CASES)[::4])
def test_catalog_conforms_behind_a_pooler(name: str) -> None:
    @asynccontextmanager
    async def factory(options: TargetOptions) -> AsyncGenerator[TargetUnderTest]:
        async with AsyncExitStack() as stack:
            schema = await stack.enter_async_context(emptied(take_schema(KIND)))
            place = PostgresPlace(pooler().url(), schema, pooler=True, patience_seconds=30)
            target, other = [
                await CatalogTarget.on_postgres(
                    place, integration_identifier=source, options=options, clock=FixedClock()
                )
                for source in ("main", "other")
            ]
            stack.push_async_callback(target.close)
            stack.push_async_callback(other.close)
            yield TargetUnderTest(target, other, lambda ref: stored(target, ref))

    asyncio.run(TARGET_CASES[name](factory))
