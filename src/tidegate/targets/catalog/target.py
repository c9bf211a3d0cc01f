"""The embedded catalog as an EntityTarget: Port's semantics, fenced, durable when `apply` returns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Change, ChangeOutcome, Clock, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.blueprints import Blueprint, parse_blueprint
from tidegate.targets.catalog.database import Database, WritingDatabase
from tidegate.targets.catalog.deletes import Deletes
from tidegate.targets.catalog.documents import owned_by
from tidegate.targets.catalog.fences import Fences
from tidegate.targets.catalog.lookups import Lookups, named_entities
from tidegate.targets.catalog.places import PostgresPlace
from tidegate.targets.catalog.readers import Readers
from tidegate.targets.catalog.sqlite.database import Database as SqliteDatabase
from tidegate.targets.catalog.sqlite.files import open_writer
from tidegate.targets.catalog.store import Store
from tidegate.targets.catalog.upserts import Upserts
from tidegate.targets.catalog.writer import GroupCommitWriter

FENCES_KEPT = timedelta(days=7)
"""How long the fence of a deleted entity is kept: no claim that old is still at work."""

_PRUNE_EVERY_MS = 3_600_000


class CatalogTarget:
    """Entities in a file of this machine, or in a database. `open` it, and `close` it when done."""

    batch_limit = 100
    fenced = True

    def __init__(
        self,
        database: WritingDatabase,
        reading: Callable[[], Database],
        integration_identifier: str,
        options: TargetOptions,
        clock: Clock,
    ) -> None:
        self._source = integration_identifier
        self._options = options
        self.clock = clock
        self._store = Store(database)
        self._pruned_ms = 0
        self._writer = GroupCommitWriter(database, self._begin, self._store.forget)
        self.readers = Readers(reading)

    @classmethod
    def open(
        cls, path: Path, *, integration_identifier: str, options: TargetOptions, clock: Clock
    ) -> "CatalogTarget":
        """Open the file, creating it if missing.

        Several processes may have it open at once. Raises ConfigurationError: it cannot be opened, is not a
        catalog, or was written by a newer version.
        """
        database = open_writer(path)
        reading = partial(SqliteDatabase, path, readonly=True)
        return cls(database, reading, integration_identifier, options, clock)

    @classmethod
    async def on_postgres(
        cls, place: PostgresPlace, *, integration_identifier: str, options: TargetOptions, clock: Clock
    ) -> "CatalogTarget":
        """Open the tables in a database, creating them if missing. Raises ConfigurationError, after trying for a
        while: it cannot be reached, refuses, or is in use by a newer version.
        """
        from tidegate.targets.catalog.postgres.opening import open_home  # needs the extra

        connect = await open_home(place)
        return cls(connect(), connect, integration_identifier, options, clock)

    async def prepare(self, blueprints: Sequence[Mapping[str, Json]], default_mapping: Json) -> None:
        """Create the blueprints that are missing, and bring those up to date that this integration created.

        The mapping is not kept: it has no other home than its file here. Raises ConfigurationError if a
        blueprint is wrong; nothing is changed then.
        """
        del default_mapping
        parsed = [parse_blueprint(dict(document)) for document in blueprints]
        await self._writer.submit(lambda: self._put_blueprints(parsed))

    async def apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        """See EntityTarget: what is Applied here is on disk."""
        return await self._writer.submit(lambda: self._apply(changes))

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        """Which of these exist and were last named by this integration."""
        return await self.readers.read(lambda database: owned_by(database, refs, self._source))

    async def close(self) -> None:
        """Finish what is on its way and close the file. Idempotent."""
        await self._writer.close()
        await self.readers.close()

    # --- in the writer's thread ------------------------------------------------------------------------

    def _begin(self) -> None:
        self._store.refresh()
        now_ms = self._now_ms()
        if now_ms - self._pruned_ms >= _PRUNE_EVERY_MS:
            self._store.prune_fences(now_ms - round(FENCES_KEPT.total_seconds() * 1000))
            self._pruned_ms = now_ms

    def _apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        now_ms = self._now_ms()
        if self._store.reads_ahead:
            self._store.read_ahead(named_entities(changes, self._store), self._source)
        fences = Fences(self._store, self._source, now_ms)
        lookups = Lookups(self._store, self.clock.now())
        upserts = Upserts(self._store, fences, lookups, self._options)
        deletes = Deletes(self._store, fences, self._options)
        return [
            upserts.apply(change) if isinstance(change, Upsert) else deletes.apply(change)
            for change in changes
        ]

    def _put_blueprints(self, blueprints: Sequence[Blueprint]) -> None:
        for blueprint in blueprints:
            known = self._store.blueprint(blueprint.identifier)
            ours = known is None or self._store.blueprint_source(blueprint.identifier) == self._source
            if ours and (known is None or known.document != blueprint.document):
                self._store.put_blueprint(blueprint, self._source, self._now_ms())

    def _now_ms(self) -> int:
        return round(self.clock.now().timestamp() * 1000)
