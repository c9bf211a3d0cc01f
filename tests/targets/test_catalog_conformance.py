"""The embedded catalog passes the conformance suite of targets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegate.core.entities import EntityRef
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget
from tidegate.targets.catalog.rows import COLUMNS, StoredEntity, answered
from tidegate.testing.target_suite import TARGET_CASES, TargetUnderTest


class FixedClock:
    def now(self) -> datetime:
        return datetime(2024, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


async def stored(target: CatalogTarget, ref: EntityRef) -> dict[str, Any] | None:
    query = f"SELECT {COLUMNS} FROM entities WHERE blueprint = ? AND identifier = ?"
    rows = await target.readers.read(lambda database: database.rows(query, ref))
    return msgspec.json.decode(msgspec.json.encode(answered(StoredEntity(*rows[0])))) if rows else None


@pytest.mark.parametrize("name", TARGET_CASES)
def test_catalog_conforms(name: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def factory(options: TargetOptions) -> AsyncGenerator[TargetUnderTest]:
        path = tmp_path / "catalog.db"
        target, other = (
            CatalogTarget.open(path, integration_identifier=name, options=options, clock=FixedClock())
            for name in ("main", "other")
        )
        try:
            yield TargetUnderTest(target, other, lambda ref: stored(target, ref))
        finally:
            await target.close()
            await other.close()

    asyncio.run(TARGET_CASES[name](factory))
