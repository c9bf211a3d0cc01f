"""Searching for people who wait: in steps over what is stored, newest first, until the page is full or time is over.

A search is a generator: it yields what to ask, and is sent the rows. So every engine on SQL searches in the same steps,
whichever way it talks to its database.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

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
    RunRecord,
)
from tidegate.engines.conditions import Conditions, Value
from tidegate.engines.filters import event_conditions
from tidegate.engines.instants import span_us, to_us
from tidegate.engines.lookups import COUNTED_ENTITIES
from tidegate.engines.records import (
    EVENT_RECORD,
    EVENT_RUNS,
    WRITE_RECORD,
    Row,
    event_record,
    run_record,
    write_record,
)

# ruff: noqa: S608 - the texts are this module's own, values are bound

ResultT = TypeVar("ResultT")
Monotonic = Callable[[], float]


class Question(NamedTuple):
    """What to ask the database. Values stand as ? in the text."""

    sql: str
    values: Sequence[Value] = ()


Search: TypeAlias = Generator[Question, list[Row], ResultT]


@dataclass(frozen=True, slots=True)
class EventTables:
    """How an engine names what is searched: the tables of events without and with their bodies, the column of the body,
    and the query for the highest number that was given.
    """

    events: str
    with_bodies: str
    body: str
    newest: str


def answer(search: Search[ResultT], ask: Callable[[str, Sequence[Value]], list[Row]]) -> ResultT:
    """Carry the questions of a search to a database, to its end."""
    try:
        question = next(search)
        while True:
            question = search.send(ask(*question))
    except StopIteration as end:
        return end.value


async def answer_later(
    search: Search[ResultT], ask: Callable[[str, Sequence[Value]], Awaitable[list[Row]]]
) -> ResultT:
    """As `answer`, for a database that is waited for."""
    try:
        question = next(search)
        while True:
            question = search.send(await ask(*question))
    except StopIteration as end:
        return end.value


FIRST_STEP = 512
"""Events of the first step. A step that was quick is followed by one twice as long."""

ENTITY_STEP = 2_000
RARE = 1_000
"""A resource with no more events than this is looked for by its name, others by walking through events."""

CLOCK_SKEW_SECONDS = 600.0
"""How far the order of commits may be from the order of times of receipt."""

_RECEIVED = "SELECT received_us FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
_EVENTS_OF_RESOURCE = (
    "SELECT coalesce(sum(event_count), 0)"
    f" FROM (SELECT event_count FROM runs WHERE resource_key = ? LIMIT {RARE + 1}) AS counted"
)
_BLUEPRINTS = f"""
WITH RECURSIVE found(name) AS (
    SELECT (SELECT min(blueprint) FROM entities)
    UNION ALL
    SELECT (SELECT min(blueprint) FROM entities WHERE blueprint > found.name) FROM found WHERE found.name IS NOT NULL
)
SELECT name, (
    SELECT count(*) FROM (SELECT 1 FROM entities WHERE blueprint = name LIMIT {COUNTED_ENTITIES + 1}) AS counted
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


def search_events(
    tables: EventTables, where: EventFilter, page: Page, seconds: float, monotonic: Monotonic
) -> Search[EventsFound]:
    """Events that match, newest first, as far as the time reaches."""
    ends_at = monotonic() + seconds
    low, high = yield from _bounds(tables, where, page)
    query, values = yield from _step_query(tables, where)
    found: list[EventRecord] = []
    top, step, began = high, FIRST_STEP, monotonic()
    while top > low:
        bottom = max(top - step, low)
        wanted = max(page.limit, 0) - len(found)
        rows = yield Question(query, (top, bottom, *values, wanted))
        found += [event_record(row) for row in rows]
        if len(found) >= page.limit:
            last = found[-1].seq if found else top
            return (yield from _found(found, last, low, high))
        top, now = bottom, monotonic()
        if now >= ends_at:
            break
        step, began = (step * 2 if now - began < seconds / 16 else step), now
    return (yield from _found(found, top, low, high, cut_short=top > low))


def _found(
    records: list[EventRecord],
    reached: int,
    low: int,
    high: int,
    *,
    cut_short: bool = False,
) -> Search[EventsFound]:
    runs: dict[int, tuple[RunRecord, ...]] = {}
    for record in records:
        rows = yield Question(EVENT_RUNS, (record.seq,))
        runs[record.seq] = tuple(run_record(row) for row in rows)
    return EventsFound(
        records=tuple(records),
        resume=reached if reached > low else None,
        examined=high - reached,
        cut_short=cut_short,
        runs=runs,
    )


def _bounds(tables: EventTables, where: EventFilter, page: Page) -> Search[tuple[int, int]]:
    """The numbers between which events may match: the least, and the one after the highest."""
    [(newest,)] = yield Question(tables.newest)
    low, high = 1, (newest or 0) + 1
    skew_us = span_us(CLOCK_SKEW_SECONDS)
    if where.since is not None:
        low = yield from _first_since(to_us(where.since) - skew_us, low, high)
    if where.until is not None:
        high = yield from _first_since(to_us(where.until) + skew_us, low, high)
    return low, high if page.before is None else min(high, page.before)


def _first_since(since_us: int, low: int, high: int) -> Search[int]:
    """About the first event that was received at this time or later."""
    while low < high:
        middle = (low + high) // 2
        rows = yield Question(_RECEIVED, (middle,))
        if rows and rows[0][0] >= since_us:
            high = middle
        else:
            low = middle + 1
    return low


def _step_query(tables: EventTables, where: EventFilter) -> Search[tuple[str, list[Value]]]:
    conditions = Conditions()
    if where.resource_key is not None:
        [(count,)] = yield Question(_EVENTS_OF_RESOURCE, (where.resource_key,))
        if count <= RARE:
            conditions.add(
                "events.seq IN (SELECT event_seq FROM runs JOIN event_runs ON event_runs.run_id = runs.id"
                " WHERE runs.resource_key = ?)",
                where.resource_key,
            )
    asked = event_conditions(where, tables.body)
    conditions.add(asked.where, *asked.values)
    searched = tables.events if where.text is None else tables.with_bodies
    query = (
        f"SELECT {EVENT_RECORD} FROM {searched} WHERE events.seq < ? AND events.seq >= ?"
        f" AND {conditions.where} ORDER BY events.seq DESC LIMIT ?"
    )
    return query, conditions.values


def blueprints() -> Search[list[BlueprintCount]]:
    """Blueprints by name, their entities counted up to a limit."""
    rows = yield Question(_BLUEPRINTS)
    return [
        BlueprintCount(name, min(count, COUNTED_ENTITIES), count > COUNTED_ENTITIES) for name, count in rows
    ]


def search_entities(
    where: EntityFilter,
    after: EntityRef | None,
    limit: int,
    seconds: float,
    monotonic: Monotonic,
) -> Search[EntitiesFound]:
    """Entities that match, as far as the time reaches."""
    ends_at = monotonic() + seconds
    found: list[EntityRecord] = []
    place, examined = after or EntityRef("", ""), 0
    while True:
        rows = yield from _entities_after(where.blueprint, place)
        for entity_id, blueprint, identifier in rows:
            place, examined = EntityRef(blueprint, identifier), examined + 1
            if where.text is None or where.text in identifier:
                found += yield from _recorded(entity_id, place)
            if len(found) >= limit:
                return EntitiesFound(tuple(found), place, examined)
        if len(rows) < ENTITY_STEP:
            return EntitiesFound(tuple(found), None, examined)
        if monotonic() >= ends_at:
            return EntitiesFound(tuple(found), place, examined, cut_short=True)


def _entities_after(blueprint: str | None, after: EntityRef) -> Search[list[Row]]:
    if blueprint is None:
        return (yield Question(_ENTITIES, (*after, ENTITY_STEP)))
    identifier = after.identifier if after.blueprint == blueprint else ""
    return (yield Question(_ENTITIES_OF, (blueprint, identifier, ENTITY_STEP)))


def _recorded(entity_id: int, ref: EntityRef) -> Search[list[EntityRecord]]:
    """The entity's record; none if nobody writes it and nothing tells of it."""
    rows = yield Question(_LAST_WRITE, (entity_id,))
    if rows:
        return [EntityRecord(ref, write_record(rows[0]))]
    owned = yield Question(_OWNED, (entity_id,))
    return [EntityRecord(ref, None)] if owned else []
