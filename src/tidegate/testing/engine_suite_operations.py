"""Cases of the engine suite: looking, and mending what is dead."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from datetime import timedelta

from msgspec.structs import replace

from tidegate.core.inspection import Backlog, EventFilter, Page, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.runs import Dead, Released, Retry, Routing
from tidegate.testing.engine_suite_session import ALL, Cases, Session, keyed, ref, single, upsert

cases = Cases()

EVERYTHING = RunFilter()


# --- looking ------------------------------------------------------------------------------------------


@cases.add
async def the_backlog_counts_what_is_unfinished_or_dead(it: Session) -> None:
    assert await it.engine.backlog() == Backlog()
    await it.enqueue()
    it.clock.advance(3)
    await it.engine.route(await it.claim_event(), Routing((keyed("1"), single())))
    await it.engine.claim_runs(1)
    await it.routed(keyed("1"))
    await it.enqueue()
    assert await it.engine.backlog() == Backlog(1, 1, 1, 1, 0, 3.0)
    it.clock.advance(4)
    assert (await it.engine.backlog()).oldest_seconds == 7
    await it.settle(await it.claim(), Dead("boom"))
    backlog = await it.engine.backlog()
    assert (backlog.dead_runs, backlog.unfinished) == (1, 3)


@cases.add
async def the_oldest_unfinished_event_counts_wherever_it_stands(it: Session) -> None:
    claim = await it.claim_of(single())
    it.clock.advance(5)
    await it.enqueue()
    it.clock.advance(5)
    assert (await it.engine.backlog()).oldest_seconds == 10
    await it.complete(claim)
    assert (await it.engine.backlog()).oldest_seconds == 5
    event = await it.claim_event()
    assert (await it.engine.backlog()).oldest_seconds == 5
    await it.engine.route(event, Routing(reason="nobody"))
    assert (await it.engine.backlog()).oldest_seconds == 0


@cases.add
async def events_are_found_by_what_they_are(it: Session) -> None:
    start = it.clock.now()
    first = await it.enqueue("d-1", "/one")
    it.clock.advance(1)
    second = await it.enqueue("d-2", "/two")
    await it.engine.route((await it.engine.claim_events(1))[0], Routing((keyed("K"), single("Q"))))
    found = {
        EventFilter(): [second, first],
        EventFilter(ids=(it.ids[second], "unknown")): [second],
        EventFilter(path="/one"): [first],
        EventFilter(state=EventState.QUEUED): [second],
        EventFilter(state=EventState.ROUTED): [first],
        EventFilter(state=EventState.APPLIED): [],
        EventFilter(delivery_id="d-2"): [second],
        EventFilter(processor="P"): [first],
        EventFilter(kind="issue", resource_key="K"): [first],
        EventFilter(processor="Q", resource_key="K"): [],
        EventFilter(since=start + timedelta(seconds=1)): [second],
        EventFilter(until=start + timedelta(seconds=1)): [first],
        EventFilter(text='"number": 2'): [second],
        EventFilter(text="d-1"): [first],
        EventFilter(text="D-1"): [],
        EventFilter(path="/one", delivery_id="d-2"): [],
    }
    for where, seqs in found.items():
        assert [record.seq for record in await it.engine.find_events(where, ALL)] == seqs, where


@cases.add
async def an_event_record_tells_what_it_is(it: Session) -> None:
    sent = it.event("d-1", "/one", replay_of="another")
    await it.engine.enqueue(sent)
    [record] = await it.engine.find_events(EventFilter(), ALL)
    assert (record.id, record.path, record.delivery_id, record.replay_of) == (
        sent.id,
        "/one",
        "d-1",
        "another",
    )
    assert (record.seq, record.state, record.reason) == (1, EventState.QUEUED, "")
    assert (record.received_at, record.finished_at) == (sent.received_at, None)
    assert record.size_bytes == len(sent.body)
    detail = await it.engine.event(sent.id)
    assert (detail.record, detail.headers, detail.body) == (record, sent.headers, sent.body)
    assert (detail.trace_id, detail.runs, detail.carried) == (sent.trace_id, (), frozenset())


@cases.add
async def listings_go_on_where_a_page_ends(it: Session) -> None:
    seqs = [await it.routed(single()) for _ in range(5)]
    page = await it.engine.find_events(EventFilter(), Page(limit=2))
    assert [record.seq for record in page] == seqs[:2:-1]
    rest = await it.engine.find_events(EventFilter(), Page(limit=10, before=page[-1].seq))
    assert [record.seq for record in rest] == seqs[2::-1]
    runs = await it.engine.find_runs(EVERYTHING, Page(limit=3))
    rest_of_runs = await it.engine.find_runs(EVERYTHING, Page(limit=3, before=runs[-1].id))
    assert [run.event_seq for run in (*runs, *rest_of_runs)] == seqs[::-1]
    assert await it.engine.find_events(EventFilter(), Page(limit=0)) == []


@cases.add
async def an_event_is_named_by_the_beginning_of_its_id(it: Session) -> None:
    seq = await it.enqueue()
    event_id = it.ids[seq]
    assert (await it.engine.event(event_id[:8])).record.id == event_id
    assert "whole" in await it.not_found(it.engine.event(event_id[:7]))
    assert "unknown!" in await it.not_found(it.engine.event("unknown!"))
    assert "%%%%%%%%" in await it.not_found(it.engine.event("%%%%%%%%"))
    twin = it.event()
    await it.engine.enqueue(replace(twin, id=event_id[:-1] + "f"))
    assert "several" in await it.not_found(it.engine.event(event_id[:8]))
    assert (await it.engine.event(event_id)).record.id == event_id


@cases.add
async def runs_are_found_by_what_they_are(it: Session) -> None:
    start = it.clock.now()
    [one] = await it.die("1")
    it.clock.advance(1)
    claim = await it.claim_of(single("Q", "other"))
    two = claim.run_id
    await it.settle(claim, Retry(5, "100% broken"))
    it.clock.advance(1)
    claimed = (await it.claim_of(keyed("2"))).run_id
    await it.routed(keyed("2"), path="/else")
    held = claimed + 1
    found = {
        EVERYTHING: [held, claimed, two, one],
        RunFilter(ids=(one, two, 99)): [two, one],
        RunFilter(state=RunState.DEAD): [one],
        RunFilter(state=RunState.READY): [two],
        RunFilter(state=RunState.CLAIMED): [claimed],
        RunFilter(state=RunState.HELD): [held],
        RunFilter(state=RunState.APPLIED): [],
        RunFilter(path="/else"): [held],
        RunFilter(processor="Q"): [two],
        RunFilter(kind="issue", processor="P"): [held, claimed, one],
        RunFilter(error="100%"): [two],
        RunFilter(error="boom"): [one],
        RunFilter(since=start + timedelta(seconds=2)): [held, claimed],
        RunFilter(until=start + timedelta(seconds=2)): [two, one],
        RunFilter(state=RunState.DEAD, error="100%"): [],
    }
    for where, ids in found.items():
        assert [run.id for run in await it.engine.find_runs(where, ALL)] == ids, where


@cases.add
async def a_run_shows_what_it_stands_for(it: Session) -> None:
    seqs = [await it.routed(keyed("1")) for _ in range(120)]
    claim = await it.claim()
    detail = await it.engine.run(claim.run_id)
    assert detail.record.event_count == 120
    assert [event.seq for event in detail.events] == seqs[:19:-1]
    assert [attempt.outcome for attempt in detail.attempts] == ["running"]
    await it.settle(claim, Released(0, "drain"))
    again = await it.claim()
    it.lease_ends()
    await it.complete(await it.claim(), upsert("a"))
    detail = await it.engine.run(again.run_id)
    assert [attempt.outcome for attempt in detail.attempts] == ["released", "expired", "completed"]
    assert [attempt.number for attempt in detail.attempts] == [1, 2, 3]
    assert detail.attempts[1].finished_at is None
    assert [write.ref for write in detail.writes] == [ref("a")]
    assert "4711" in await it.not_found(it.engine.run(4711))


@cases.add
async def an_entitys_writes_are_shown_newest_first(it: Session) -> None:
    runs: list[int] = []
    for title in ("first", "second", "third"):
        claim = await it.claim_of(keyed("1"))
        await it.complete(claim, upsert("a", title), upsert("b"))
        runs.append(claim.run_id)
    shown = await it.engine.writes(ref("a"), Page(limit=2))
    assert [write.run_id for write in shown] == runs[:0:-1]
    rest = await it.engine.writes(ref("a"), Page(limit=2, before=shown[-1].seq))
    assert [write.run_id for write in rest] == runs[:1]
    assert await it.engine.writes(ref("unknown"), ALL) == []


# --- mending ------------------------------------------------------------------------------------------


@cases.add
async def a_redriven_run_starts_anew(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.settle(claim, Retry(0, "first"))
    it.clock.advance(1)
    await it.claim()
    it.lease_ends()
    await it.settle(await it.claim(), Dead("boom"))
    it.clock.advance(1)
    assert await it.engine.redrive(EVERYTHING, 10) == 1
    run = await it.run_of(claim)
    assert (run.state, run.failures, run.expirations) == (RunState.READY, 0, 0)
    assert (run.due_at, run.finished_at) == (it.clock.now(), None)
    record = await it.record(claim.event.seq)
    assert (record.state, record.reason, record.finished_at) == (EventState.ROUTED, "", None)
    again = await it.claim()
    assert (again.run_id, again.failures, again.expirations) == (claim.run_id, 0, 0)
    await it.complete(again)
    assert await it.states(claim.event.seq) == [EventState.APPLIED]
    assert await it.engine.redrive(EVERYTHING, 10) == 0


@cases.add
async def only_the_runs_asked_for_are_redriven_oldest_first(it: Session) -> None:
    one, two, three = await it.die("1", "2", "3")
    assert await it.engine.redrive(EVERYTHING, 0) == 0
    assert await it.engine.redrive(RunFilter(error="boom 2"), 10) == 1
    assert await it.engine.redrive(RunFilter(state=RunState.READY), 10) == 0
    assert await it.engine.redrive(EVERYTHING, 1) == 1
    assert [run.id for run in await it.runs(RunState.READY)] == [one, two]
    assert [run.id for run in await it.runs(RunState.DEAD)] == [three]


@cases.add
async def a_run_is_redriven_into_its_lanes_pending_run(it: Session) -> None:
    [old] = await it.die("1")
    newer = await it.routed(keyed("1"))
    assert await it.engine.redrive(EVERYTHING, 10) == 1
    first, pending = await it.runs()
    assert (first.id, first.state, first.superseded_by) == (old, RunState.SUPERSEDED, pending.id)
    claim = await it.claim()
    assert (claim.run_id, claim.event.seq, claim.event_count) == (pending.id, newer, 2)
    await it.complete(claim)
    assert await it.states(first.event_seq, newer) == [EventState.COALESCED, EventState.APPLIED]


@cases.add
async def dead_runs_of_one_lane_are_redriven_into_one(it: Session) -> None:
    one, two = await it.die("1", "1")
    assert await it.engine.redrive(EVERYTHING, 10) == 2
    claim = await it.claim()
    assert (claim.run_id, claim.event_count) == (one, 2)
    assert (await it.engine.run(two)).record.superseded_by == one


@cases.add
async def a_run_is_redriven_behind_a_claim_of_its_lane(it: Session) -> None:
    [old] = await it.die("1")
    claim = await it.claim_of(keyed("1"))
    assert await it.engine.redrive(EVERYTHING, 10) == 1
    assert await it.engine.claim_runs(10) == []
    assert (await it.engine.run(old)).record.state is RunState.HELD
    await it.routed(keyed("1"))
    await it.complete(claim)
    again = await it.claim()
    assert (again.run_id, again.event_count) == (old, 2)


@cases.add
async def a_discarded_run_stays_visible(it: Session) -> None:
    one, two = await it.die("1", "2")
    it.clock.advance(1)
    assert await it.engine.discard(RunFilter(ids=(one,)), 10) == 1
    run = (await it.engine.run(one)).record
    assert (run.state, run.detail, run.finished_at) == (RunState.DISCARDED, "boom 1", it.clock.now())
    record = await it.record(run.event_seq)
    assert (record.state, record.reason, record.finished_at) == (
        EventState.DISCARDED,
        "boom 1",
        it.clock.now(),
    )
    assert (await it.engine.backlog()).dead_runs == 1
    assert await it.engine.redrive(RunFilter(ids=(one,)), 10) == 0
    assert await it.engine.discard(EVERYTHING, 10) == 1
    assert [run.id for run in await it.runs(RunState.DISCARDED)] == [one, two]
