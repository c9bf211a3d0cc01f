"""What a mapping would do, by the items that attempts recorded. Nothing is written anywhere."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import msgspec

from tidegate.core.differences import differences
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import ConfigurationError, NotFoundError
from tidegate.core.events import Json
from tidegate.core.inspection import Page, RunDetail
from tidegate.core.plans import Proposal, Staged, make_plan
from tidegate.core.ports import EngineOperations, EntityMapper, Mapped
from tidegate.core.previews import ConfigWarning, EntityFate, EntityPreview, ItemsPreview
from tidegate.core.resources import MappingText, RawItem, ResourceConfig
from tidegate.core.runs import WriteAction

_JOURNAL_DEPTH = 5
"""How far back an entity's last real write is looked for: refusals and kept deletes may lie above it."""


class RecordedItems(msgspec.Struct):
    """What an attempt fetched, as it is kept."""

    updated: list[RawItem] = msgspec.field(default_factory=list[RawItem])
    deleted: list[RawItem] = msgspec.field(default_factory=list[RawItem])

    @property
    def count(self) -> int:
        return len(self.updated) + len(self.deleted)


def recorded_items(run: RunDetail) -> RecordedItems | None:
    """The items that the run's last fetch gave; None if they were not kept."""
    for attempt in reversed(run.attempts):
        if attempt.fetched:
            return msgspec.json.decode(attempt.fetched, type=RecordedItems)
    return None


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where items were recorded, and what their run wrote then."""

    run_id: int | None = None
    event_id: str | None = None
    config: str = ""
    written: Mapping[EntityRef, bytes] = field(default_factory=dict[EntityRef, bytes])
    keyed: bool = False

    @classmethod
    def of(cls, run: RunDetail) -> "_Origin":
        written = {
            write.ref: write.document
            for write in run.writes
            if write.action == WriteAction.UPSERT and write.document is not None
        }
        record = run.record
        return cls(record.id, record.event_id, record.config, written, record.resource_key is not None)

    def previous(self, config: ResourceConfig) -> frozenset[EntityRef]:
        """What the resource wrote before, as lineage knows it; nothing without a resource key."""
        return frozenset(self.written) if self.keyed and config.id == self.config else frozenset()


@dataclass(frozen=True, slots=True)
class Previews:
    """Previews of mappings. `read` takes a mapping's text (it raises ConfigurationError), `open_mapper` gives a
    bounded mapper, `in_catalog` the entity that the catalog holds.
    """

    engine: EngineOperations
    read: Callable[[str], MappingText]
    open_mapper: Callable[[Sequence[ResourceConfig]], AbstractAsyncContextManager[EntityMapper]]
    in_catalog: Callable[[EntityRef], Awaitable[dict[str, Json] | None]] | None = None

    async def of_event(self, text: str, event_id: str) -> list[ItemsPreview]:
        """What the mapping makes of all that was fetched for an event; one for each of its runs that has an
        entry in the mapping. Raises NotFoundError, ConfigurationError.
        """
        mapping, event = self.read(text), await self.engine.event(event_id)
        runs = [await self.engine.run(run.id) for run in event.runs]
        recorded = [run for run in runs if recorded_items(run) is not None]
        if not recorded:
            raise NotFoundError(f"event {event.record.id}: {_NOTHING_KEPT}")
        wanted = [run for run in recorded if mapping.entries_for(run.record.config, run.record.kind)]
        if not wanted:
            raise _no_entry(recorded[0].record.config, mapping.configs)
        return [await self._of_run(mapping, run) for run in wanted]

    async def of_run(self, text: str, run_id: int) -> ItemsPreview:
        """What the mapping makes of what a run fetched. Raises NotFoundError, ConfigurationError."""
        return await self._of_run(self.read(text), await self.engine.run(run_id))

    async def of_items(self, text: str, kind: str, items: Sequence[RawItem]) -> ItemsPreview:
        """What the mapping makes of items that somebody typed in. Raises ConfigurationError."""
        mapping = self.read(text)
        configs = [config for config in mapping.configs if kind in (config.kind, config.id)]
        if not configs:
            raise _no_entry(kind, mapping.configs)
        async with self.open_mapper(configs) as mapper:
            return await self.preview(mapper, configs, RecordedItems(updated=list(items)), None)

    async def _of_run(self, mapping: MappingText, run: RunDetail) -> ItemsPreview:
        items = recorded_items(run)
        if items is None:
            raise NotFoundError(f"run {run.record.id}: {_NOTHING_KEPT}")
        configs = mapping.entries_for(run.record.config, run.record.kind)
        if not configs:
            raise _no_entry(run.record.config, mapping.configs)
        async with self.open_mapper(configs) as mapper:
            return await self.preview(mapper, configs, items, run)

    async def preview(
        self,
        mapper: EntityMapper,
        configs: Sequence[ResourceConfig],
        items: RecordedItems,
        run: RunDetail | None,
    ) -> ItemsPreview:
        """What configs make of items; `run` is where those were recorded."""
        origin = _Origin() if run is None else _Origin.of(run)
        entities: list[EntityPreview] = []
        warnings: list[ConfigWarning] = []
        skipped = 0
        for config in configs:
            updated = await mapper.map(config, items.updated)
            deleted = await mapper.map(config, items.deleted, select=False) if items.deleted else Mapped()
            warnings += [ConfigWarning(config.id, each) for each in (*updated.warnings, *deleted.warnings)]
            skipped += updated.skipped + deleted.skipped
            entities += await self._entities(config, updated, deleted, origin)
        return ItemsPreview(
            kind=configs[0].kind,
            configs=tuple(config.id for config in configs),
            entities=tuple(entities),
            warnings=tuple(warnings),
            skipped=skipped,
            run_id=origin.run_id,
            event_id=origin.event_id,
        )

    async def _entities(
        self, config: ResourceConfig, updated: Mapped, deleted: Mapped, origin: _Origin
    ) -> list[EntityPreview]:
        """As a run would plan it: what its resource wrote before and would not write now is deleted."""
        proposal = Proposal(updated.passed, updated.failed, deleted.passed, incomplete=updated.skipped > 0)
        plan = make_plan(proposal, Staged(previous=origin.previous(config)), newest_seq=0)
        upserts = [self._upsert(entity, config.id, origin) for entity in plan.upserts]
        deletes = [self._delete(write.ref, write.reason, config.id, origin) for write in plan.deletes]
        return await asyncio.gather(*upserts, *deletes)

    async def _upsert(self, entity: Entity, config: str, origin: _Origin) -> EntityPreview:
        after: dict[str, Json] = msgspec.json.decode(entity.to_json())
        before = await self._last_known(entity.ref)
        if before is None:
            return EntityPreview(entity.ref, EntityFate.CREATED, "", after, (), config, origin.run_id)
        own = origin.written.get(entity.ref)
        # Others may have written fields of the entity that this entry never named.
        before = _as_named(before, after) if own is None else msgspec.json.decode(own)
        changes = differences(before, after)
        fate = EntityFate.CHANGED if changes else EntityFate.UNCHANGED
        return EntityPreview(entity.ref, fate, "", after, changes, config, origin.run_id)

    async def _delete(self, ref: EntityRef, reason: str, config: str, origin: _Origin) -> EntityPreview:
        fate = EntityFate.ABSENT if await self._last_known(ref) is None else EntityFate.DELETED
        return EntityPreview(ref, fate, reason, None, (), config, origin.run_id)

    async def _last_known(self, ref: EntityRef) -> dict[str, Json] | None:
        """The entity as it was written last or, if the journal tells nothing, as the catalog has it."""
        for write in await self.engine.writes(ref, Page(limit=_JOURNAL_DEPTH)):
            if write.action == WriteAction.DELETE:
                return None
            if write.action == WriteAction.UPSERT and write.document is not None:
                return msgspec.json.decode(write.document)
        return await self.in_catalog(ref) if self.in_catalog is not None else None


def _as_named(held: dict[str, Json], after: dict[str, Json]) -> dict[str, Json]:
    """An entity, reduced to the fields that another state of it names."""
    reduced: dict[str, Json] = {}
    for name, value in after.items():
        if name not in held:
            continue
        inner = held[name]
        if isinstance(value, dict) and isinstance(inner, dict):
            reduced[name] = {key: inner[key] for key in value if key in inner}  # pyright: ignore[reportUnknownVariableType]
        else:
            reduced[name] = inner
    return reduced


_NOTHING_KEPT = "no fetched items are kept (nothing was fetched yet, or it was too large)"


def _no_entry(name: str, configs: Sequence[ResourceConfig]) -> ConfigurationError:
    known = ", ".join(dict.fromkeys(config.id for config in configs)) or "none"
    return ConfigurationError(f"the mapping has no entry {name}; it has {known}")
