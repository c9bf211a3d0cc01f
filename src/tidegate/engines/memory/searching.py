"""Searching: everything is at hand, so that no search ends early."""

from collections import Counter

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import (
    BlueprintCount,
    EntitiesFound,
    EntityFilter,
    EntityRecord,
    EventFilter,
    EventsFound,
    Page,
    WriteRecord,
)
from tidegate.engines.lookups import COUNTED_ENTITIES
from tidegate.engines.memory.inspecting import find_events, run_record
from tidegate.engines.memory.rows import Store


def search_events(store: Store, where: EventFilter, page: Page) -> EventsFound:
    """Events that match, newest first."""
    records = tuple(find_events(store, where, page))
    older = find_events(store, where, Page(1, records[-1].seq)) if records else []
    return EventsFound(
        records=records,
        resume=records[-1].seq if older else None,
        examined=len(store.events),
        runs={
            record.seq: tuple(run_record(store, run) for run in store.links(record.seq)) for record in records
        },
    )


def blueprints(store: Store) -> list[BlueprintCount]:
    """Blueprints by name, their entities counted up to a limit."""
    counts = Counter(ref.blueprint for ref in _last_writes(store))
    return [
        BlueprintCount(name, min(count, COUNTED_ENTITIES), count > COUNTED_ENTITIES)
        for name, count in sorted(counts.items())
    ]


def search_entities(store: Store, where: EntityFilter, after: EntityRef | None, limit: int) -> EntitiesFound:
    """Entities that match, by blueprint and identifier."""
    found = [
        EntityRecord(ref, last)
        for ref, last in sorted(_last_writes(store).items(), key=lambda known: known[0])
        if where.blueprint in {None, ref.blueprint}
        and (where.text is None or where.text in ref.identifier)
        and (after is None or ref > after)
    ]
    resume = found[limit - 1].ref if len(found) > limit > 0 else None
    return EntitiesFound(tuple(found[:limit]), resume, len(found))


def _last_writes(store: Store) -> dict[EntityRef, WriteRecord | None]:
    """What is known of entities: who writes them, and what the journal tells."""
    known: dict[EntityRef, WriteRecord | None] = {ref: None for ref, owners in store.owners.items() if owners}
    for write in sorted(
        (write for run in store.runs.values() for write in run.writes), key=lambda write: write.seq
    ):
        known[write.ref] = write
    return known
