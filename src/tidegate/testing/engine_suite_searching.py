"""Cases of the engine suite: searching within a time, and what entities there are."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from datetime import timedelta

from tidegate.core.entities import EntityRef
from tidegate.core.inspection import BlueprintCount, EntityFilter, EventFilter, Page
from tidegate.core.lifecycle import EventState
from tidegate.core.runs import Routing
from tidegate.testing.engine_suite_session import ALL, Cases, Session, delete, keyed, ref, single, upsert

cases = Cases()

LONG = 60.0
"""Seconds: no search ends early."""


async def _searched(it: Session, where: EventFilter, seconds: float, limit: int = 2) -> list[int]:
    """All that a search finds, part by part."""
    seqs: list[int] = []
    before: int | None = None
    while True:
        found = await it.engine.search_events(where, Page(limit, before), seconds)
        assert len(found.records) <= limit
        assert found.examined > 0
        seqs += [record.seq for record in found.records]
        if found.resume is None:
            assert not found.cut_short
            return seqs
        assert before is None or found.resume < before
        before = found.resume


@cases.add
async def a_search_finds_what_a_listing_finds(it: Session) -> None:
    start = it.clock.now()
    for number in range(7):
        seq = await it.enqueue(f"d-{number}", "/one" if number % 2 else "/two")
        claim = await it.claim_event()
        await it.engine.route(claim, Routing((keyed(str(number % 3)), single("Q"))) if seq % 3 else Routing())
        it.clock.advance(1)
    for where in (
        EventFilter(),
        EventFilter(path="/one"),
        EventFilter(state=EventState.ROUTED),
        EventFilter(state=EventState.IGNORED),
        EventFilter(delivery_id="d-3"),
        EventFilter(processor="Q"),
        EventFilter(kind="issue", resource_key="1"),
        EventFilter(processor="Q", resource_key="1"),
        EventFilter(resource_key="unknown"),
        EventFilter(text='"number": 2'),
        EventFilter(text="nowhere"),
        EventFilter(since=start + timedelta(seconds=2), until=start + timedelta(seconds=5)),
        EventFilter(until=start),
    ):
        listed = [record.seq for record in await it.engine.find_events(where, ALL)]
        for seconds in (LONG, 0.0):
            assert await _searched(it, where, seconds) == listed, (where, seconds)


@cases.add
async def a_search_shows_the_runs_of_what_it_finds(it: Session) -> None:
    first = await it.routed(keyed("1"), single("Q"))
    second = await it.enqueue()
    found = await it.engine.search_events(EventFilter(), ALL, LONG)
    shown = {seq: [(run.processor, run.resource_key) for run in runs] for seq, runs in found.runs.items()}
    assert shown == {first: [("P", "1"), ("Q", None)], second: []}


@cases.add
async def a_search_of_nothing_ends_at_once(it: Session) -> None:
    found = await it.engine.search_events(EventFilter(), Page(), LONG)
    assert (found.records, found.resume, found.cut_short) == ((), None, False)


@cases.add
async def a_search_without_time_goes_on_where_it_stopped(it: Session) -> None:
    first = await it.enqueue("first")
    for _ in range(1200):
        await it.engine.enqueue(it.event())
    assert await _searched(it, EventFilter(text="first"), 0.0) == [first]


@cases.add
async def entities_are_found_by_blueprint_and_identifier(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.complete(claim, upsert("b", "old"), upsert("a"), upsert("c/1"))
    claim = await it.claim_of(keyed("1"))
    await it.complete(claim, upsert("b", "new"), delete("a"))
    found = await it.engine.search_entities(EntityFilter(), None, 10, LONG)
    assert [record.ref for record in found.records] == [ref("a"), ref("b"), ref("c/1")]
    assert [record.last.action for record in found.records if record.last] == ["delete", "upsert", "upsert"]
    last = found.records[1].last
    assert last is not None
    assert (last.run_id, last.document is not None and b'"new"' in last.document) == (claim.run_id, True)
    assert (found.resume, found.cut_short) == (None, False)
    for where, names in (
        (EntityFilter(blueprint="service"), ["a", "b", "c/1"]),
        (EntityFilter(blueprint="other"), []),
        (EntityFilter(text="c/"), ["c/1"]),
        (EntityFilter("service", "b"), ["b"]),
    ):
        some = await it.engine.search_entities(where, None, 10, 0.0)
        assert [record.ref for record in some.records] == [ref(name) for name in names], where


@cases.add
async def entities_are_listed_page_by_page(it: Session) -> None:
    names = [f"e-{number}" for number in range(5)]
    await it.complete(await it.claim_of(keyed("1")), *(upsert(name) for name in names))
    listed: list[EntityRef] = []
    after: EntityRef | None = None
    while True:
        found = await it.engine.search_entities(EntityFilter(), after, 2, LONG)
        listed += [record.ref for record in found.records]
        after = found.resume
        if after is None:
            break
    assert listed == [ref(name) for name in names]


@cases.add
async def blueprints_are_counted(it: Session) -> None:
    assert await it.engine.blueprints() == []
    await it.complete(await it.claim_of(keyed("1")), upsert("a"), upsert("b"))
    assert await it.engine.blueprints() == [BlueprintCount("service", 2)]
