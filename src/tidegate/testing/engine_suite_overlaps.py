"""Cases of the engine suite: two runs that write one entity at the same time owe a refresh."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.runs import (
    Completed,
    Dead,
    EntityWrite,
    Released,
    Retry,
    RunClaim,
    RunRequest,
    WriteAction,
    refresh_lane_of,
)
from tidegate.testing.engine_suite_session import Cases, Session, delete, keyed, ref, single, upsert

cases = Cases()

READY = RunState.READY


async def both(it: Session, *requests: RunRequest) -> list[RunClaim]:
    """Claims of runs that overlap, in the order of their events."""
    return [await it.claim_of(request) for request in requests]


@cases.add
async def overlapping_writes_of_two_lanes_owe_a_refresh_to_the_later_one(it: Session) -> None:
    early, late = await both(it, keyed("1"), keyed("2"))
    await it.complete(late, upsert("a", "new"))
    await it.complete(early, upsert("a", "old"))
    assert await it.states(late.event.seq, early.event.seq) == [EventState.APPLIED, EventState.ROUTED]
    [owed] = await it.runs(READY)
    assert (owed.processor, owed.config, owed.resource_key) == ("P", "issue", "1")
    assert "service/a" in owed.detail
    refresh = await it.claim()
    assert (refresh.event.seq, refresh.lane, refresh.event_count) == (early.event.seq, early.lane, 1)
    await it.complete(refresh, upsert("a", "newest"))
    assert await it.states(early.event.seq) == [EventState.APPLIED]
    assert await it.runs(READY) == []


@cases.add
async def writes_that_do_not_overlap_owe_nothing(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    await it.complete(first, upsert("a", "first"), upsert("b", "same"))
    second, third = await both(it, keyed("2"), keyed("3"))
    await it.complete(second, upsert("a", "second"), upsert("b", "same"), upsert("c", "mine"))
    await it.complete(third, upsert("b", "same"), upsert("d", "mine"))
    assert await it.runs(READY) == []


@cases.add
async def the_same_write_twice_owes_nothing(it: Session) -> None:
    for write in (upsert("a", "same"), delete("b")):
        early, late = await both(it, keyed("1"), keyed("2"))
        await it.complete(late, write)
        await it.complete(early, write)
    assert await it.runs(READY) == []


@cases.add
async def what_was_not_written_owes_nothing(it: Session) -> None:
    early, late = await both(it, keyed("1"), keyed("2"))
    spared = [EntityWrite(ref("a"), action, "no") for action in (WriteAction.KEPT, WriteAction.REFUSED)]
    await it.complete(late, upsert("a", "new"))
    await it.complete(early, *spared)
    assert await it.runs(READY) == []


@cases.add
async def a_run_does_not_overlap_with_its_own_earlier_attempt(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.settle(claim, Retry(0, "half done", (upsert("a", "first"),)))
    await it.complete(await it.claim(), upsert("a", "second"))
    assert await it.runs(READY) == []


@cases.add
async def a_waiting_run_of_the_lane_is_the_refresh(it: Session) -> None:
    early, late = await both(it, keyed("1"), keyed("2"))
    newer = await it.routed(keyed("1"))
    await it.complete(late, upsert("a", "new"))
    await it.complete(early, upsert("a", "old"))
    assert [run.event_seq for run in await it.runs(READY)] == [newer]
    assert await it.states(early.event.seq) == [EventState.APPLIED]


@cases.add
async def without_a_key_refreshes_coalesce_on_the_entity(it: Session) -> None:
    one, two, three = await both(it, single(), single("Q"), single())
    await it.complete(two, upsert("a", "Q"))
    await it.complete(one, upsert("a", "first"))
    await it.complete(three, upsert("a", "third"))
    refresh = await it.claim()
    assert refresh.lane == refresh_lane_of("P", "issue", ref("a"))
    assert (refresh.resource_key, refresh.event.seq) == (None, three.event.seq)
    await it.complete(refresh, upsert("a", "newest"))
    assert await it.runs(READY) == []
    assert await it.states(one.event.seq, two.event.seq, three.event.seq) == [EventState.APPLIED] * 3


@cases.add
async def without_a_key_the_newer_event_is_refreshed(it: Session) -> None:
    early, late = await both(it, single(), single())
    await it.complete(late, upsert("a", "new"))
    await it.complete(early, upsert("a", "old"))
    refresh = await it.claim()
    assert refresh.event.seq == late.event.seq
    assert await it.states(late.event.seq, early.event.seq) == [EventState.ROUTED, EventState.APPLIED]
    await it.complete(refresh, upsert("a", "new"))
    assert await it.states(late.event.seq) == [EventState.APPLIED]


@cases.add
async def a_delete_over_an_upsert_refreshes_the_upsert(it: Session) -> None:
    deleting, writing = await both(it, keyed("1"), keyed("2"))
    await it.complete(writing, upsert("a", "new"))
    await it.complete(deleting, delete("a"))
    refresh = await it.claim()
    assert (refresh.resource_key, refresh.event.seq) == ("2", writing.event.seq)


@cases.add
async def an_upsert_over_a_delete_refreshes_itself(it: Session) -> None:
    writing, deleting = await both(it, keyed("1"), keyed("2"))
    await it.complete(deleting, delete("a"))
    await it.complete(writing, upsert("a", "new"))
    assert (await it.claim()).resource_key == "1"


@cases.add
async def a_dead_runs_writes_overlap_too(it: Session) -> None:
    early, late = await both(it, keyed("1"), keyed("2"))
    await it.complete(late, upsert("a", "new"))
    await it.settle(early, Dead("the target refused b", (upsert("a", "old"),)))
    assert (await it.run_of(early)).state is RunState.DEAD
    await it.complete(await it.claim(), upsert("a", "newest"))
    assert await it.states(early.event.seq) == [EventState.DEAD]


@cases.add
async def a_run_that_is_tried_again_owes_no_refresh_of_its_own(it: Session) -> None:
    early, late = await both(it, keyed("1"), keyed("2"))
    await it.complete(late, upsert("a", "new"))
    await it.settle(early, Retry(0, "half done", (upsert("a", "old"),)))
    assert [run.id for run in await it.runs(READY)] == [early.run_id]


@cases.add
async def several_overlaps_of_one_settlement_owe_one_refresh(it: Session) -> None:
    early, late = await both(it, single(), single("Q"))
    await it.complete(late, upsert("a", "Q"), upsert("b", "Q"))
    await it.complete(early, upsert("a"), upsert("b"))
    assert len(await it.runs(READY)) == 1


# --- Engine.refresh -----------------------------------------------------------------------------------


@cases.add
async def a_late_write_refreshes_the_lane(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.complete(claim, upsert("a"))
    await it.engine.refresh(claim, ())
    await it.engine.refresh(claim, ())
    assert await it.states(claim.event.seq) == [EventState.ROUTED]
    refresh = await it.claim()
    assert (refresh.event.seq, refresh.lane) == (claim.event.seq, claim.lane)
    assert "late write" in (await it.run_of(refresh)).detail
    await it.complete(refresh, upsert("a"))
    assert await it.states(claim.event.seq) == [EventState.APPLIED]


@cases.add
async def a_late_write_is_refreshed_with_the_lanes_newest_event(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    await it.complete(first)
    newer = await it.claim_of(keyed("1"))
    await it.complete(newer)
    await it.engine.refresh(first, ())
    assert (await it.claim()).event.seq == newer.event.seq


@cases.add
async def a_refresh_waits_behind_a_claim_of_its_lane(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    it.lease_ends()
    fresh = await it.claim()
    assert not await it.engine.settle(stale, Completed((upsert("a"),)))
    await it.engine.refresh(stale, ())
    assert await it.run_states() == [RunState.CLAIMED, RunState.HELD]
    await it.complete(fresh)
    assert await it.states(fresh.event.seq) == [EventState.ROUTED]
    await it.complete(await it.claim())
    assert await it.states(fresh.event.seq) == [EventState.APPLIED]


@cases.add
async def a_refresh_that_waits_merges_into_a_retry(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.engine.refresh(claim, ())
    await it.settle(claim, Released(0, "drain"))
    again = await it.claim()
    assert (again.run_id, again.event_count) == (claim.run_id, 1)
    await it.complete(again)
    assert await it.states(claim.event.seq) == [EventState.APPLIED]


@cases.add
async def a_pending_run_is_refresh_enough(it: Session) -> None:
    for request in (keyed("1"), single()):
        claim = await it.claim_of(request)
        await it.settle(claim, Retry(0, "again"))
        await it.engine.refresh(claim, ())
        await it.complete(await it.claim())
        assert await it.runs(READY) == []


@cases.add
async def without_a_lane_a_refresh_is_a_run_of_its_own(it: Session) -> None:
    claim = await it.claim_of(single())
    await it.complete(claim)
    await it.engine.refresh(claim, ())
    await it.engine.refresh(claim, ())
    refresh = await it.claim()
    assert (refresh.event.seq, refresh.lane, refresh.resource_key) == (claim.event.seq, None, None)
    await it.engine.refresh(claim, ())
    assert len(await it.runs(READY)) == 1


@cases.add
async def a_refresh_of_what_is_not_stored_does_nothing(it: Session) -> None:
    claim = await it.claim_of(single())
    await it.complete(claim)
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 10) == 1
    await it.engine.refresh(claim, ())
    assert await it.runs() == []
