"""Cases of the engine suite: a lane does not go back, nobody is turned away unseen, nothing is left to nobody."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from tidegate.core.inspection import RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.plans import Staged
from tidegate.core.runs import (
    Completed,
    Dead,
    EntityWrite,
    Ignored,
    Rejected,
    Retry,
    Routing,
    RunRequest,
    WriteAction,
    refresh_lane_of,
)
from tidegate.testing.engine_suite_session import Cases, Session, delete, keyed, ref, single, upsert

cases = Cases()

READY = RunState.READY


def versioned(key: str, version: str) -> RunRequest:
    """A run on the lane of a resource, for an event that announces a version."""
    plain = keyed(key)
    return RunRequest(plain.processor, plain.config, plain.kind, key, plain.lane, version=version)


def kept(name: str) -> EntityWrite:
    """A delete that was not done."""
    return EntityWrite(ref(name), WriteAction.KEPT, "another writes it too")


def absent(name: str) -> EntityWrite:
    """A delete of what was not there."""
    return EntityWrite(ref(name), WriteAction.ABSENT, "it is not there")


# --- payloads and versions ----------------------------------------------------------------------------


@cases.add
async def a_late_event_of_a_lane_is_processed_with_the_newest_payload(it: Session) -> None:
    late = await it.enqueue()
    late_claim = await it.claim_event()
    newer = await it.write(keyed("1"), "a")
    assert await it.engine.route(late_claim, Routing((keyed("1"),)))
    claim = await it.claim()
    assert (claim.event.seq, claim.event_count) == (newer, 2)
    assert await it.states(late, newer) == [EventState.ROUTED] * 2
    await it.complete(claim)
    assert await it.states(late, newer) == [EventState.COALESCED, EventState.APPLIED]


@cases.add
async def a_redriven_run_is_processed_with_the_newest_payload(it: Session) -> None:
    [run_id] = await it.die("1")
    newer = await it.write(keyed("1"), "a")
    assert await it.engine.redrive(RunFilter(), 10) == 1
    claim = await it.claim()
    assert (claim.run_id, claim.event.seq) == (run_id, newer)


@cases.add
async def a_payload_that_was_not_applied_is_not_taken_for_the_newest(it: Session) -> None:
    late = await it.enqueue()
    late_claim = await it.claim_event()
    for settlement in (Dead("boom"), Rejected("forged"), Ignored("gone")):
        await it.settle(await it.claim_of(keyed("1")), settlement)
    assert await it.engine.route(late_claim, Routing((keyed("1"),)))
    assert (await it.claim()).event.seq == late


@cases.add
async def a_newest_payload_that_is_turned_away_does_not_come_again(it: Session) -> None:
    late = await it.enqueue()
    late_claim = await it.claim_event()
    newer = await it.write(keyed("1"), "a")
    assert await it.engine.route(late_claim, Routing((keyed("1"),)))
    await it.settle(await it.claim(), Rejected("its secret has changed"))
    assert await it.states(newer) == [EventState.REJECTED]
    claim = await it.claim()
    assert (claim.event.seq, claim.event_count) == (late, 1)


@cases.add
async def the_newest_payload_of_a_lane_with_a_dead_run_is_not_pruned(it: Session) -> None:
    await it.die("1")
    older = await it.write(keyed("1"), "a")
    newer = await it.write(keyed("1"), "a")
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 10) == 1
    assert await it.engine.redrive(RunFilter(), 10) == 1
    assert (await it.claim()).event.seq == newer != older


@cases.add
async def the_highest_version_of_a_runs_events_counts(it: Session) -> None:
    for version in ("n2", "n3", "n1", ""):
        await it.routed(versioned("1", version))
    claim = await it.claim()
    assert claim.version == "n3"
    await it.routed(versioned("1", "n4"))
    await it.settle(claim, Retry(0, "again"))
    assert (await it.claim()).version == "n4"


@cases.add
async def a_lane_remembers_the_version_that_was_found(it: Session) -> None:
    claim = await it.claim_of(versioned("1", "n9"))
    await it.settle(claim, Completed(version="n5"))
    claim = await it.claim_of(versioned("1", "n2"))
    assert claim.version == "n5"
    await it.settle(claim, Retry(0, "the fetch found n2"))
    assert (await it.claim()).version == "n5"
    assert (await it.claim_of(versioned("2", "n1"))).version == "n1"


# --- turned away --------------------------------------------------------------------------------------


@cases.add
async def only_the_event_that_was_looked_at_is_turned_away(it: Session) -> None:
    for settlement, state in ((Rejected("no"), EventState.REJECTED), (Ignored("no"), EventState.IGNORED)):
        request = keyed(state)
        first, second, third = [await it.routed(request) for _ in range(3)]
        await it.settle(await it.claim(), settlement)
        assert await it.states(first, second, third) == [EventState.ROUTED, EventState.ROUTED, state]
        again = await it.claim()
        assert (again.event.seq, again.event_count, again.lane) == (second, 2, request.lane)
        await it.complete(again)
        assert await it.states(first, second) == [EventState.COALESCED, EventState.APPLIED]


@cases.add
async def events_that_nobody_looked_at_join_the_run_that_waits(it: Session) -> None:
    first, second = [await it.routed(versioned("1", version)) for version in ("n2", "n1")]
    claim = await it.claim()
    third = await it.routed(keyed("1"))
    await it.settle(claim, Rejected("forged"))
    again = await it.claim()
    assert (again.event.seq, again.event_count, again.version) == (third, 2, "n2")
    assert (await it.run_of(claim)).event_count == 1
    await it.complete(again)
    assert await it.states(first, second) == [EventState.COALESCED, EventState.REJECTED]
    assert await it.runs(READY) == []


# --- shared entities ----------------------------------------------------------------------------------


@cases.add
async def who_lets_go_of_a_shared_entity_has_another_write_it_again(it: Session) -> None:
    await it.write(keyed("1"), "a")
    await it.write(keyed("2"), "a")
    leaving = await it.claim_of(keyed("1"))
    await it.stage(leaving)
    await it.complete(leaving, kept("a"), dropped=["a"])
    refresh = await it.claim()
    assert refresh.resource_key == "2"
    assert (await it.stage(refresh, ["a"])).owners == {}
    await it.complete(refresh, upsert("a"))
    assert await it.runs(READY) == []


@cases.add
async def the_writer_from_the_newest_event_writes_it_again(it: Session) -> None:
    await it.write(keyed("1"), "a")
    await it.write(keyed("3"), "a")
    newest = await it.write(single("Q"), "a")
    leaving = await it.claim_of(keyed("1"))
    await it.complete(leaving, kept("a"), dropped=["a"])
    refresh = await it.claim()
    assert (refresh.processor, refresh.event.seq) == ("Q", newest)
    assert refresh.lane == refresh_lane_of("Q", "issue", ref("a"))


@cases.add
async def what_was_kept_for_others_who_let_go_meanwhile_is_not_left_to_nobody(it: Session) -> None:
    await it.write(keyed("1"), "a")
    await it.write(keyed("2"), "a")
    one, two = [await it.claim_of(keyed(key)) for key in ("1", "2")]
    for claim in (one, two):
        assert (await it.stage(claim)).owners
    await it.complete(two, kept("a"), dropped=["a"])
    await it.complete(one, kept("a"), dropped=["a"])
    refresh = await it.claim()
    assert (refresh.resource_key, await it.stage(refresh)) == (
        "1",
        Staged(frozenset({ref("a")}), {}, frozenset({ref("a")})),
    )
    await it.complete(refresh, delete("a"), dropped=["a"])
    assert await it.runs(READY) == []
    assert (await it.stage(await it.claim_of(keyed("1")))).known == frozenset()


@cases.add
async def what_a_source_never_wrote_it_does_not_let_go_of(it: Session) -> None:
    await it.write(keyed("2"), "a")
    await it.complete(await it.claim_of(keyed("1")), kept("a"), dropped=["a"])
    assert await it.runs(READY) == []


@cases.add
async def a_delete_leaves_the_marks_of_those_who_are_at_work(it: Session) -> None:
    writing, deleting = [await it.claim_of(keyed(key)) for key in ("1", "2")]
    await it.stage(writing, ["a"])
    await it.complete(deleting, delete("a"), dropped=["a"])
    it.lease_ends()
    assert (await it.stage(await it.claim())).previous == {ref("a")}


@cases.add
async def a_delete_leaves_the_mark_of_another_processor_of_the_source_at_work(it: Session) -> None:
    for settles_first in (False, True):
        key = str(settles_first)
        writing = await it.claim_of(keyed(key, "A"))
        await it.stage(writing, [key])
        deleting = await it.claim_of(keyed(key, "B"))
        assert (await it.stage(deleting)).previous == {ref(key)}
        if settles_first:
            await it.complete(writing, upsert(key))
        await it.complete(deleting, delete(key), dropped=[key])
        if not settles_first:
            await it.complete(writing, upsert(key))
        refresh = await it.claim()
        assert (refresh.processor, (await it.stage(refresh)).previous) == ("A", {ref(key)})
        await it.complete(refresh)


@cases.add
async def a_delete_leaves_the_marks_of_those_who_wrote_at_the_same_time(it: Session) -> None:
    writing, deleting = [await it.claim_of(keyed(key)) for key in ("1", "2")]
    await it.stage(writing, ["a"])
    await it.complete(writing, upsert("a"))
    await it.complete(deleting, delete("a"), dropped=["a"])
    assert (await it.stage(await it.claim())).previous == {ref("a")}


@cases.add
async def what_a_lost_attempt_may_have_deleted_is_written_again(it: Session) -> None:
    first, second = keyed("1", "A"), keyed("1", "B")
    await it.write(first, "a")
    await it.routed(first, second)
    writing, deleting = sorted(await it.engine.claim_runs(2), key=lambda claim: claim.processor)
    assert (await it.stage(deleting)).previous == {ref("a")}
    await it.stage(writing, ["a"])
    await it.complete(writing, upsert("a"))
    await it.settle(deleting, Retry(0, "no answer came"))
    again = await it.claim()
    assert (await it.stage(again)).previous == frozenset()
    await it.complete(again)
    refresh = await it.claim()
    assert (refresh.processor, refresh.event.seq) == ("A", writing.event.seq)
    await it.complete(refresh, upsert("a"))
    assert await it.runs(READY) == []


@cases.add
async def what_a_run_deletes_or_writes_in_the_end_is_nobody_elses(it: Session) -> None:
    await it.write(keyed("1"), "a", "b")
    claim = await it.claim_of(keyed("1"))
    await it.stage(claim)
    await it.settle(claim, Retry(0, "no answer came"))
    again = await it.claim()
    await it.stage(again, ["b"])
    await it.complete(again, upsert("b"), delete("a"), dropped=["a"])
    assert await it.runs(READY) == []


@cases.add
async def what_a_run_leaves_alone_is_not_owed_by_its_own_lane(it: Session) -> None:
    """As when the mapping fails on what was fetched: another run of the lane would leave it alone too."""
    await it.write(keyed("1"), "a")
    claim = await it.claim_of(keyed("1"))
    assert (await it.stage(claim)).previous == {ref("a")}
    await it.complete(claim)
    assert await it.runs(READY) == []


# --- overlaps -----------------------------------------------------------------------------------------


@cases.add
async def with_keys_the_later_fetch_owes_nothing_for_having_settled_last(it: Session) -> None:
    early, late = [await it.claim_of(keyed(key)) for key in ("1", "2")]
    await it.complete(early, upsert("a", "early"))
    await it.complete(late, upsert("a", "late"))
    assert await it.runs(READY) == []


@cases.add
async def without_a_key_both_sides_of_an_upsert_and_a_delete_are_refreshed(it: Session) -> None:
    for first, second in ((upsert("a"), delete("a")), (delete("a"), upsert("a"))):
        one, two = await it.claim_of(single()), await it.claim_of(single("Q"))
        await it.complete(two, second)
        await it.complete(one, first)
        refreshes = await it.engine.claim_runs(10)
        assert {claim.event.seq for claim in refreshes} == {one.event.seq, two.event.seq}
        for claim in refreshes:
            await it.complete(claim)


@cases.add
async def what_was_to_be_gone_and_was_not_there_overlaps_too(it: Session) -> None:
    writing, deleting = await it.claim_of(single()), await it.claim_of(single())
    await it.complete(deleting, absent("a"), dropped=["a"])
    await it.complete(writing, upsert("a"))
    refresh = await it.claim()
    assert (refresh.event.seq, refresh.event_count) == (deleting.event.seq, 1)


@cases.add
async def a_pending_refresh_without_a_key_takes_up_a_newer_event(it: Session) -> None:
    one, two, three = [await it.claim_of(single()) for _ in range(3)]
    await it.complete(two, upsert("a", "two"))
    await it.complete(one, upsert("a", "one"))
    await it.complete(three, delete("a"))
    refresh = await it.claim()
    assert (refresh.event.seq, refresh.event_count) == (three.event.seq, 2)
    await it.complete(refresh)
    assert await it.runs(READY) == []


# --- late writes --------------------------------------------------------------------------------------


@cases.add
async def a_late_write_refreshes_whom_it_overwrote(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    it.lease_ends()
    await it.complete(await it.claim(), upsert("b"))
    other = await it.write(keyed("2"), "a")
    await it.engine.refresh(stale, (upsert("a", "stale"),))
    own, overwritten = sorted(await it.engine.claim_runs(10), key=lambda claim: claim.event.seq)
    assert (own.lane, overwritten.event.seq) == (stale.lane, other)
    assert (await it.stage(own)).previous == {ref("a")}


@cases.add
async def what_was_written_late_stays_in_lineage_whatever_a_newer_claim_planned(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    await it.stage(stale, ["a"])
    it.lease_ends()
    fresh = await it.claim()
    assert (await it.stage(fresh, ["b"])).previous == {ref("a")}
    await it.engine.refresh(stale, (upsert("a"),))
    await it.complete(fresh, delete("a"), upsert("b"), dropped=["a"])
    refresh = await it.claim()
    assert (await it.stage(refresh, ["b"])).previous == {ref("a"), ref("b")}
    await it.complete(refresh, delete("a"), upsert("b"), dropped=["a"])
    assert (await it.stage(await it.claim_of(keyed("1")), ["b"])).previous == {ref("b")}


@cases.add
async def what_an_earlier_run_of_the_lane_wrote_late_stays_in_lineage(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    await it.stage(stale, ["a"])
    it.lease_ends()
    await it.complete(await it.claim(), upsert("a"))
    newer = await it.claim_of(keyed("1"))
    assert (await it.stage(newer)).previous == {ref("a")}
    await it.engine.refresh(stale, (upsert("a"),))
    await it.complete(newer, delete("a"), dropped=["a"])
    assert (await it.stage(await it.claim())).previous == {ref("a")}


@cases.add
async def a_late_write_overlaps_with_those_who_are_at_work(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    it.lease_ends()
    await it.complete(await it.claim())
    other = await it.claim_of(single("Q"))
    await it.engine.refresh(stale, (upsert("a", "stale"),))
    await it.complete(await it.claim())
    await it.complete(other, upsert("a", "new"))
    assert (await it.claim()).event.seq == other.event.seq
