"""The embedded catalog as an EntityTarget: Port's semantics on SQLite, fenced, durable when `apply` returns."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Change, ChangeOutcome, Clock, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.blueprints import Blueprint, parse_blueprint
from tidegate.targets.catalog.deletes import Deletes
from tidegate.targets.catalog.fences import Fences
from tidegate.targets.catalog.files import open_writer
from tidegate.targets.catalog.lookups import Lookups
from tidegate.targets.catalog.readers import Readers
from tidegate.targets.catalog.rows import pairs_json
from tidegate.targets.catalog.sqlite import Database
from tidegate.targets.catalog.store import Store
from tidegate.targets.catalog.upserts import Upserts
from tidegate.targets.catalog.writer import GroupCommitWriter

FENCES_KEPT = timedelta(days=7)
"""How long the fence of a deleted entity is kept: no claim that old is still at work."""

_PRUNE_EVERY_MS = 3_600_000

_OWNED = (
    "SELECT e.blueprint, e.identifier FROM json_each(?1) AS wanted JOIN entities AS e"
    " ON e.blueprint = wanted.value ->> 0 AND e.identifier = wanted.value ->> 1 WHERE e.source = ?2"
)


class CatalogTarget:
    """Entities in an SQLite file of this machine. `open` it, and `close` it when done."""

    batch_limit = 100
    fenced = True

    def __init__(
        self,
        database: Database,
        path: Path,
        integration_identifier: str,
        options: TargetOptions,
        clock: Clock,
    ) -> None:
        self._source = integration_identifier
        self._options = options
        self.clock = clock
        self._store = Store(database)
        self._pruned_ms = 0
        self._writer = GroupCommitWriter(database, path, self._begin)
        self.readers = Readers(path)

    @classmethod
    def open(
        cls, path: Path, *, integration_identifier: str, options: TargetOptions, clock: Clock
    ) -> "CatalogTarget":
        """Open the file, creating it if missing.

        Several processes may have it open at once. Raises ConfigurationError: it cannot be opened, is not a
        catalog, or was written by a newer version.
        """
        return cls(open_writer(path), path, integration_identifier, options, clock)

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
        wanted = pairs_json(refs)
        rows = await self.readers.read(lambda database: database.rows(_OWNED, (wanted, self._source)))
        return frozenset(EntityRef(*row) for row in rows)

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
