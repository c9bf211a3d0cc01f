"""Previews of mappings: what the command line and the console need to say what a mapping would do."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Clock, EngineOperations
from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, MapperLimits, read_mapping_text
from tidegate.pipeline.dry_runs import DryRuns
from tidegate.pipeline.previewing import Previews
from tidegate.targets.catalog import CatalogTarget
from tidegate.targets.catalog.documents import entity_document


def open_dry_runs(
    engine: EngineOperations, limits: MapperLimits, catalog: CatalogTarget | None, clock: Clock
) -> DryRuns:
    """Dry runs and, in them, previews. Without a catalog, the engine's journal alone tells what there is."""

    @asynccontextmanager
    async def open_mapper(configs: Sequence[ResourceConfig]) -> AsyncGenerator[JqMapper]:
        mapper = JqMapper(configs, limits)
        try:
            yield mapper
        finally:
            await mapper.close()

    async def in_catalog(ref: EntityRef) -> dict[str, Json] | None:
        if catalog is None:
            return None
        found = await catalog.readers.read(lambda database: entity_document(database, ref))
        return msgspec.json.decode(msgspec.json.encode(found))  # parts of it are kept as text

    return DryRuns(Previews(engine, read_mapping_text, open_mapper, in_catalog), clock)
