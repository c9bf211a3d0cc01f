"""The catalog passes, in each of its databases, the conformance suite of targets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.targets.catalogs import KINDS, catalogs
from tidegate.core.entities import EntityRef
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget
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
