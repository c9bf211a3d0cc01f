"""The catalog in each of its databases, for tests that hold all of them to the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.postgres import emptied, give_back_schema, server, take_schema
from tidegate.core.ports import Clock
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget, PostgresPlace
from tidegate.targets.catalog.database import WritingDatabase
from tidegate.targets.catalog.postgres.opening import open_home
from tidegate.targets.catalog.sqlite.files import open_writer

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])

KIND = "catalog"
"""Of schemas."""


def in_server(schema: str) -> PostgresPlace:
    """A place on this process's server."""
    return PostgresPlace(server().url(), schema)


@asynccontextmanager
async def catalogs(
    kind: str, folder: Path, clock: Clock, options: TargetOptions, *sources: str
) -> AsyncIterator[list[CatalogTarget]]:
    """One empty catalog, opened by each of these integrations."""
    async with AsyncExitStack() as stack:
        schema = ""
        if kind == "postgres":
            schema = await stack.enter_async_context(emptied(take_schema(KIND)))
        opened: list[CatalogTarget] = []
        for source in sources:
            if kind == "postgres":
                target = await CatalogTarget.on_postgres(
                    in_server(schema), integration_identifier=source, options=options, clock=clock
                )
            else:
                path = folder / "catalog.db"
                target = CatalogTarget.open(path, integration_identifier=source, options=options, clock=clock)
            stack.push_async_callback(target.close)
            opened.append(target)
        yield opened


@contextmanager
def database(kind: str, folder: Path) -> Iterator[WritingDatabase]:
    """The writing connection to an empty catalog."""
    with ExitStack() as stack:
        if kind == "sqlite":
            sqlite = open_writer(folder / "catalog.db")
            sqlite.pragma("synchronous", "off")
            stack.callback(sqlite.close)
            yield sqlite
            return
        schema = take_schema(KIND)
        stack.callback(give_back_schema, schema)
        postgres = asyncio.run(open_home(in_server(schema)))()
        stack.callback(postgres.close)
        yield postgres
