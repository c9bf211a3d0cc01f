"""Searching for people who wait: in steps over what is stored, newest first, until the page is full or time is over."""

from collections.abc import Callable

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import (
    BlueprintCount,
    EntitiesFound,
    EntityFilter,
    EntityRecord,
    EventFilter,
    EventRecord,
    EventsFound,
    Page,
)
from tidegate.engines.conditions import Conditions
from tidegate.engines.filters import event_conditions
from tidegate.engines.instants import span_us, to_us
from tidegate.engines.lookups import COUNTED_ENTITIES
from tidegate.engines.postgres.inspecting import runs_of_event
from tidegate.engines.postgres.reader import EVENTS, Look
from tidegate.engines.records import EVENT_RECORD, WRITE_RECORD, event_record, write_record

# ruff: noqa: S608 - the texts are this module's own, values are bound

Monotonic = Callable[[], float]

FIRST_STEP = 512
"""Events of the first step. A step that was quick is followed by one twice as long."""

ENTITY_STEP = 2_000
RARE = 1_000
"""A resource with no more events than this is looked for by its name, others by walking through events."""

CLOCK_SKEW_SECONDS = 600.0
"""How far the order of commits may be from the order of times of receipt."""

_NEWEST = "SELECT max(seq) FROM events"
_RECEIVED = "SELECT received_us FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
_EVENTS_OF_RESOURCE = (
    "SELECT coalesce(sum(event_count), 0)"
    f" FROM (SELECT event_count FROM runs WHERE resource_key = ? LIMIT {RARE + 1})"
)
_BLUEPRINTS = f"""
WITH RECURSIVE found(name) AS (
    SELECT (SELECT min(blueprint) FROM entities)
    UNION ALL
    SELECT (SELECT min(blueprint) FROM entities WHERE blueprint > found.name) FROM found WHERE found.name IS NOT NULL
)
SELECT name, (
    SELECT count(*) FROM (SELECT 1 FROM entities WHERE blueprint = name LIMIT {COUNTED_ENTITIES + 1})
) FROM found WHERE name IS NOT NULL
"""
_ENTITIES = (
    "SELECT id, blueprint, identifier FROM entities"
    " WHERE (blueprint, identifier) > (?, ?) ORDER BY blueprint, identifier LIMIT ?"
)
_ENTITIES_OF = (
    "SELECT id, blueprint, identifier FROM entities"
    " WHERE blueprint = ? AND identifier > ? ORDER BY identifier LIMIT ?"
)
_LAST_WRITE = f"""
SELECT {WRITE_RECORD} FROM writes JOIN entities ON entities.id = writes.entity_id
WHERE writes.entity_id = ? ORDER BY writes.seq DESC LIMIT 1
"""
_OWNED = "SELECT 1 FROM owners WHERE entity_id = ? LIMIT 1"


async def search_events(
    look: Look, where: EventFilter, page: Page, seconds: float, monotonic: Monotonic
) -> EventsFound:
    """Events that match, newest first, as far as the time reaches."""
    ends_at = monotonic() + seconds
    low, high = await _bounds(look, where, page)
    query, values = await _step_query(look, where)
    found: list[EventRecord] = []
    top, step, began = high, FIRST_STEP, monotonic()
    while top > low:
        bottom = max(top - step, low)
        wanted = max(page.limit, 0) - len(found)
        found += [event_record(row) for row in await look.rows(query, (top, bottom, *values, wanted))]
        if len(found) >= page.limit:
            last = found[-1].seq if found else top
            return await _found(look, found, last, low, high)
        top, now = bottom, monotonic()
        if now >= ends_at:
            break
        step, began = (step * 2 if now - began < seconds / 16 else step), now
    return await _found(look, found, top, low, high, cut_short=top > low)


async def _found(
    look: Look,
    records: list[EventRecord],
    reached: int,
    low: int,
    high: int,
    *,
    cut_short: bool = False,
) -> EventsFound:
    return EventsFound(
        records=tuple(records),
        resume=reached if reached > low else None,
        examined=high - reached,
        cut_short=cut_short,
        runs={record.seq: await runs_of_event(look, record.seq) for record in records},
    )


async def _bounds(look: Look, where: EventFilter, page: Page) -> tuple[int, int]:
    """The numbers between which events may match: the least, and the one after the highest."""
    row = await look.row(_NEWEST)
    low, high = 1, row[0] + 1 if row and row[0] else 1
    skew_us = span_us(CLOCK_SKEW_SECONDS)
    if where.since is not None:
        low = await _first_since(look, to_us(where.since) - skew_us, low, high)
    if where.until is not None:
        high = await _first_since(look, to_us(where.until) + skew_us, low, high)
    return low, high if page.before is None else min(high, page.before)


async def _first_since(look: Look, since_us: int, low: int, high: int) -> int:
    """About the first event that was received at this time or later."""
    while low < high:
        middle = (low + high) // 2
        row = await look.row(_RECEIVED, (middle,))
        if row is not None and row[0] >= since_us:
            high = middle
        else:
            low = middle + 1
    return low


async def _step_query(look: Look, where: EventFilter) -> tuple[str, list[str | int | float | bytes | None]]:
    conditions = Conditions()
    if where.resource_key is not None:
        row = await look.row(_EVENTS_OF_RESOURCE, (where.resource_key,))
        if row is not None and row[0] <= RARE:
            conditions.add(
                "events.seq IN (SELECT event_seq FROM runs JOIN event_runs ON event_runs.run_id = runs.id"
                " WHERE runs.resource_key = ?)",
                where.resource_key,
            )
    asked = event_conditions(where, "events.body")
    conditions.add(asked.where, *asked.values)
    query = (
        f"SELECT {EVENT_RECORD} FROM {EVENTS} WHERE events.seq < ? AND events.seq >= ?"
        f" AND {conditions.where} ORDER BY events.seq DESC LIMIT ?"
    )
    return query, conditions.values


async def blueprints(look: Look) -> list[BlueprintCount]:
    """Blueprints by name, their entities counted up to a limit."""
    return [
        BlueprintCount(name, min(count, COUNTED_ENTITIES), count > COUNTED_ENTITIES)
        for name, count in await look.rows(_BLUEPRINTS)
    ]


async def search_entities(
    look: Look,
    where: EntityFilter,
    after: EntityRef | None,
    limit: int,
    seconds: float,
    monotonic: Monotonic,
) -> EntitiesFound:
    """Entities that match, as far as the time reaches."""
    ends_at = monotonic() + seconds
    found: list[EntityRecord] = []
    place, examined = after or EntityRef("", ""), 0
    while True:
        rows = await _entities_after(look, where.blueprint, place)
        for entity_id, blueprint, identifier in rows:
            place, examined = EntityRef(blueprint, identifier), examined + 1
            if where.text is None or where.text in identifier:
                found += await _recorded(look, entity_id, place)
            if len(found) >= limit:
                return EntitiesFound(tuple(found), place, examined)
        if len(rows) < ENTITY_STEP:
            return EntitiesFound(tuple(found), None, examined)
        if monotonic() >= ends_at:
            return EntitiesFound(tuple(found), place, examined, cut_short=True)


async def _entities_after(look: Look, blueprint: str | None, after: EntityRef) -> list[tuple[int, str, str]]:
    if blueprint is None:
        return await look.rows(_ENTITIES, (*after, ENTITY_STEP))  # pyright: ignore[reportReturnType]
    identifier = after.identifier if after.blueprint == blueprint else ""
    return await look.rows(_ENTITIES_OF, (blueprint, identifier, ENTITY_STEP))  # pyright: ignore[reportReturnType]


async def _recorded(look: Look, entity_id: int, ref: EntityRef) -> list[EntityRecord]:
    """The entity's record; none if nobody writes it and nothing tells of it."""
    row = await look.row(_LAST_WRITE, (entity_id,))
    if row is not None:
        return [EntityRecord(ref, write_record(row))]
    return [EntityRecord(ref, None)] if await look.row(_OWNED, (entity_id,)) else []
