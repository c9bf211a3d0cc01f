"""Cases of the engine suite: accepting events, deduplication, the backlog's limit, routing."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

import asyncio

from tidegate.core.events import StoredEvent
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.ports import Accepted, BacklogFull, Duplicate
from tidegate.core.runs import Completed, Dead, Ignored, Rejected, Routing, RunRequest
from tidegate.testing.engine_suite_session import Cases, Session, keyed, single

cases = Cases()


@cases.add
async def an_event_is_read_back_whole(it: Session) -> None:
    sent = it.event("d-1", "/other")
    assert await it.engine.enqueue(sent) == Accepted(1)
    claim = await it.claim_event()
    assert claim.event == StoredEvent(
        seq=1,
        id=sent.id,
        path="/other",
        headers=sent.headers,
        body=sent.body,
        received_at=sent.received_at,
        trace_id=sent.trace_id,
        delivery_id="d-1",
    )
    assert claim.event.headers["content-type"] == "application/json"


@cases.add
async def events_are_numbered_in_order(it: Session) -> None:
    outcomes = await asyncio.gather(*(it.engine.enqueue(it.event()) for _ in range(50)))
    assert outcomes == [Accepted(seq) for seq in range(1, 51)]
    assert [claim.event.seq for claim in await it.engine.claim_events(100)] == list(range(1, 51))


@cases.add
async def the_same_delivery_twice_is_a_duplicate(it: Session) -> None:
    first = it.event("d-1")
    outcomes = [await it.engine.enqueue(event) for event in (first, it.event("d-1"), it.event("d-1"))]
    assert outcomes == [Accepted(1), Duplicate(first.id), Duplicate(first.id)]
    assert (await it.engine.backlog()).queued_events == 1


@cases.add
async def other_paths_other_ids_and_no_ids_are_no_duplicates(it: Session) -> None:
    for event in (it.event("d-1"), it.event("d-1", "/other"), it.event("d-2"), it.event(), it.event()):
        assert isinstance(await it.engine.enqueue(event), Accepted)


@cases.add
async def duplicates_that_come_at_once_are_told_apart(it: Session) -> None:
    outcomes = await asyncio.gather(*(it.engine.enqueue(it.event("d-1")) for _ in range(5)))
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == 4


@cases.add
async def a_finished_event_still_catches_its_duplicates(it: Session) -> None:
    for number, settlement in enumerate((Ignored("gone"), Completed())):
        seq = await it.enqueue(f"d-{number}")
        await it.engine.route(await it.claim_event(), Routing((single(),)))
        await it.settle(await it.claim(), settlement)
        assert await it.engine.enqueue(it.event(f"d-{number}")) == Duplicate(it.ids[seq])


@cases.add
async def a_dead_events_redelivery_passes_and_takes_over(it: Session) -> None:
    first = await it.enqueue("d-1")
    await it.engine.route(await it.claim_event(), Routing((single(),)))
    await it.settle(await it.claim(), Dead("broken"))
    assert await it.states(first) == [EventState.DEAD]
    second = await it.enqueue("d-1")
    assert await it.engine.enqueue(it.event("d-1")) == Duplicate(it.ids[second])


@cases.add
async def a_rejected_events_redelivery_passes(it: Session) -> None:
    first = await it.enqueue("d-1")
    await it.engine.route(await it.claim_event(), Routing((single(),)))
    await it.settle(await it.claim(), Rejected("forged, under an id that a real delivery will have"))
    assert await it.states(first) == [EventState.REJECTED]
    assert isinstance(await it.engine.enqueue(it.event("d-1")), Accepted)


@cases.add
async def a_discarded_events_redelivery_passes(it: Session) -> None:
    first = await it.enqueue("d-1")
    await it.engine.route(await it.claim_event(), Routing(reason="it kills routers", dead=True))
    assert await it.states(first) == [EventState.DEAD]
    assert isinstance(await it.engine.enqueue(it.event("d-1")), Accepted)


@cases.add
async def a_replay_is_never_a_duplicate(it: Session) -> None:
    first = it.event("d-1")
    await it.engine.enqueue(first)
    replays = [it.event("d-1", replay_of=first.id) for _ in range(2)]
    assert [await it.engine.enqueue(replay) for replay in replays] == [Accepted(2), Accepted(3)]
    assert [claim.event.replay_of for claim in await it.engine.claim_events(9)] == [None, first.id, first.id]


@cases.add
async def a_replay_catches_redeliveries_of_what_it_repeats(it: Session) -> None:
    first = it.event("d-1")
    await it.engine.enqueue(first)
    await it.engine.route(await it.claim_event(), Routing(reason="it kills routers", dead=True))
    replay = it.event("d-1", replay_of=first.id)
    await it.engine.enqueue(replay)
    assert await it.engine.enqueue(it.event("d-1")) == Duplicate(replay.id)


@cases.with_backlog(3)
async def a_full_backlog_takes_nothing_until_there_is_room(it: Session) -> None:
    await it.routed(keyed("1"), single())
    await it.enqueue("d-1")
    assert (await it.engine.backlog()).unfinished == 3
    assert await it.engine.enqueue(it.event()) == BacklogFull(3)
    assert isinstance(await it.engine.enqueue(it.event("d-1")), Duplicate)
    for claim in await it.engine.claim_runs(1):
        await it.complete(claim)
    assert await it.engine.enqueue(it.event()) == Accepted(3)


@cases.add
async def events_are_lent_oldest_first_and_once(it: Session) -> None:
    seqs = [await it.enqueue() for _ in range(5)]
    assert await it.engine.claim_events(0) == []
    first = await it.engine.claim_events(2)
    second = await it.engine.claim_events(9)
    assert [claim.event.seq for claim in (*first, *second)] == seqs
    assert await it.engine.claim_events(9) == []
    tokens = [claim.token for claim in (*first, *second)]
    assert tokens == sorted(set(tokens))
    assert all(claim.expirations == 0 for claim in first)


@cases.add
async def an_event_is_lent_again_when_its_lease_is_over(it: Session) -> None:
    old, new = await it.enqueue(), 0
    first = await it.claim_event()
    it.clock.advance(it.engine.lease_seconds - 0.001)
    new = await it.enqueue()
    assert [claim.event.seq for claim in await it.engine.claim_events(1)] == [new]
    it.clock.advance(0.001)
    again = await it.claim_event()
    assert (again.event, again.expirations) == (first.event, 1)
    assert again.event.seq == old
    assert again.token > first.token


@cases.add
async def an_older_event_whose_lease_is_over_goes_before_newer_ones(it: Session) -> None:
    old = await it.enqueue()
    await it.claim_event()
    new = await it.enqueue()
    it.lease_ends()
    assert [claim.event.seq for claim in await it.engine.claim_events(2)] == [old, new]


@cases.add
async def a_stale_routing_changes_nothing(it: Session) -> None:
    seq = await it.enqueue()
    stale = await it.claim_event()
    it.lease_ends()
    fresh = await it.claim_event()
    assert not await it.engine.route(stale, Routing((single(),)))
    assert await it.runs() == []
    assert await it.engine.route(fresh, Routing((single(),)))
    assert not await it.engine.route(fresh, Routing((single(),)))
    assert len(await it.runs()) == 1
    assert await it.states(seq) == [EventState.ROUTED]


@cases.add
async def a_lease_that_ran_out_unnoticed_does_no_harm_to_a_routing(it: Session) -> None:
    await it.enqueue()
    claim = await it.claim_event()
    it.lease_ends()
    assert await it.engine.route(claim, Routing((single(),)))


@cases.add
async def an_event_without_runs_is_ignored_or_dead_for_a_reason(it: Session) -> None:
    ignored, dead = await it.enqueue(), await it.enqueue()
    first, second = await it.engine.claim_events(2)
    it.clock.advance(2)
    assert await it.engine.route(first, Routing(reason="nobody wants it"))
    assert await it.engine.route(second, Routing(reason="it kills routers", dead=True))
    records = [await it.record(ignored), await it.record(dead)]
    assert [record.state for record in records] == [EventState.IGNORED, EventState.DEAD]
    assert [record.reason for record in records] == ["nobody wants it", "it kills routers"]
    assert [record.finished_at for record in records] == [it.clock.now()] * 2


@cases.add
async def a_run_keeps_what_its_request_says(it: Session) -> None:
    request = RunRequest("Q", "issue#2", "issue", "KEY", "lane", 5.0, "should_process_event raised")
    seq = await it.routed(request, path="/other")
    [run] = await it.runs()
    assert (run.processor, run.config, run.kind) == ("Q", "issue#2", "issue")
    assert (run.resource_key, run.path, run.detail) == ("KEY", "/other", "should_process_event raised")
    assert (run.state, run.event_seq, run.event_id) == (RunState.READY, seq, it.ids[seq])
    assert run.due_at is not None
    assert (run.due_at - it.clock.now()).total_seconds() == 5
    assert await it.engine.claim_runs(10) == []
    it.clock.advance(5)
    claim = await it.claim()
    assert (claim.lane, claim.event.seq, claim.event.path) == ("lane", seq, "/other")


@cases.add
async def an_event_that_cannot_be_read_is_dead_and_the_rest_goes_on(it: Session) -> None:
    if it.under_test.damage is None:
        return
    seqs = [await it.enqueue() for _ in range(3)]
    await it.under_test.damage(seqs[1])
    claims = await it.engine.claim_events(10)
    assert [claim.event.seq for claim in claims] == [seqs[0], seqs[2]]
    record = await it.record(seqs[1])
    assert record.state is EventState.DEAD
    assert "cannot be read" in record.reason
    assert (await it.engine.backlog()).queued_events == 2
    assert (await it.engine.event(it.ids[seqs[1]])).record == record
