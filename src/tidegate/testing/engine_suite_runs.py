"""Cases of the engine suite: claims, leases, turns, lanes and coalescing."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

import asyncio

from tidegate.core.errors import StaleClaimError
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.runs import Completed, Dead, Released, Retry, Routing
from tidegate.testing.engine_suite_session import Cases, Session, keyed, ref, single, upsert

cases = Cases()


@cases.add
async def runs_without_a_lane_never_coalesce(it: Session) -> None:
    seqs = [await it.routed(single()) for _ in range(3)]
    claims = await it.engine.claim_runs(10)
    assert [claim.event.seq for claim in claims] == seqs
    assert [claim.event_count for claim in claims] == [1, 1, 1]


@cases.add
async def events_of_a_lane_become_one_run_with_the_newest_payload(it: Session) -> None:
    seqs = [await it.routed(keyed("1")) for _ in range(3)]
    claim = await it.claim()
    assert (claim.event.seq, claim.event_count) == (seqs[2], 3)
    assert claim.event.body == b'{"number": 3}'
    assert await it.states(*seqs) == [EventState.ROUTED] * 3
    await it.complete(claim)
    records = [await it.record(seq) for seq in seqs]
    coalesced, applied = EventState.COALESCED, EventState.APPLIED
    assert [record.state for record in records] == [coalesced, coalesced, applied]
    assert records[0].reason == f"coalesced into run {claim.run_id}"
    details = [await it.engine.event(it.ids[seq]) for seq in seqs]
    assert [detail.carried for detail in details] == [frozenset(), frozenset(), frozenset({claim.run_id})]


@cases.add
async def an_older_event_does_not_take_the_place_of_a_newer_one(it: Session) -> None:
    old, new = await it.enqueue(path="/old"), await it.enqueue(path="/new")
    first, second = await it.engine.claim_events(2)
    await it.engine.route(second, _routing("1"))
    await it.engine.route(first, _routing("1"))
    claim = await it.claim()
    assert (claim.event.seq, claim.event_count) == (new, 2)
    assert (await it.run_of(claim)).path == "/new"
    await it.complete(claim)
    assert await it.states(old, new) == [EventState.COALESCED, EventState.APPLIED]


@cases.add
async def an_event_that_asks_twice_for_a_lane_counts_once(it: Session) -> None:
    await it.routed(keyed("1"), keyed("1"))
    assert (await it.claim()).event_count == 1


@cases.add
async def an_event_during_a_claim_waits_behind_it(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    later = [await it.routed(keyed("1")) for _ in range(2)]
    assert await it.run_states() == [RunState.CLAIMED, RunState.HELD]
    assert (await it.runs())[1].due_at is None
    assert await it.engine.claim_runs(10) == []
    it.clock.advance(1)
    await it.complete(first)
    assert await it.states(first.event.seq, *later) == [EventState.APPLIED] + [EventState.ROUTED] * 2
    assert (await it.runs())[1].due_at == it.clock.now()
    second = await it.claim()
    assert (second.event.seq, second.event_count) == (later[1], 2)
    assert second.token > first.token


@cases.add
async def a_dead_run_lets_its_lane_go_on(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    await it.routed(keyed("1"))
    await it.settle(first, Dead("broken"))
    assert await it.run_states() == [RunState.DEAD, RunState.READY]


@cases.add
async def a_newer_event_has_all_retries_before_it(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.settle(claim, Retry(0, "once"))
    claim = await it.claim()
    await it.settle(claim, Retry(0, "twice"))
    again = await it.claim_of(keyed("1"))
    assert (again.run_id, again.event_count, again.failures) == (claim.run_id, 2, 0)


@cases.add
async def what_arrives_while_an_attempt_fails_has_all_retries_before_it(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    newer = await it.routed(keyed("1"))
    await it.settle(claim, Retry(0, "once"))
    again = await it.claim()
    assert (again.run_id, again.event.seq, again.failures) == (claim.run_id, newer, 0)


@cases.add
async def a_late_event_does_not_give_retries_back(it: Session) -> None:
    await it.enqueue()
    late = await it.claim_event()
    claim = await it.claim_of(keyed("1"))
    await it.settle(claim, Retry(0, "once"))
    assert await it.engine.route(late, Routing((keyed("1"),)))
    again = await it.claim()
    assert (again.event.seq, again.event_count, again.failures) == (claim.event.seq, 2, 1)


@cases.add
async def a_retry_takes_in_what_waits_behind_it(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    newer = await it.routed(keyed("1"), path="/newer")
    await it.settle(first, Retry(4, "third party is down"))
    again, merged = await it.runs()
    assert (again.state, again.failures, again.detail) == (RunState.READY, 0, "third party is down")
    assert (again.event_seq, again.event_count, again.path) == (newer, 2, "/newer")
    assert (merged.state, merged.superseded_by, merged.event_count) == (RunState.SUPERSEDED, again.id, 0)
    assert await it.engine.claim_runs(10) == []
    it.clock.advance(4)
    claim = await it.claim()
    assert (claim.run_id, claim.failures, claim.expirations) == (first.run_id, 0, 0)
    assert (claim.event.seq, claim.event_count) == (newer, 2)
    await it.complete(claim)
    assert await it.states(first.event.seq, newer) == [EventState.COALESCED, EventState.APPLIED]
    shown = (await it.engine.event(it.ids[newer])).runs
    assert [run.id for run in shown] == [first.run_id]


@cases.add
async def a_release_counts_as_nothing(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    newer = await it.routed(keyed("1"))
    await it.settle(claim, Released(2, "draining"))
    assert await it.run_states() == [RunState.READY, RunState.SUPERSEDED]
    it.clock.advance(2)
    again = await it.claim()
    assert (again.run_id, again.failures, again.expirations) == (claim.run_id, 0, 0)
    assert again.event.seq == newer


@cases.add
async def an_event_that_joins_a_retry_does_not_hurry_it(it: Session) -> None:
    await it.settle(await it.claim_of(keyed("1")), Retry(9, "later"))
    await it.routed(keyed("1"))
    assert await it.engine.claim_runs(10) == []
    it.clock.advance(9)
    assert (await it.claim()).event_count == 2


@cases.add
async def due_runs_go_by_age_within_a_processor(it: Session) -> None:
    await it.routed(keyed("1"))
    late = await it.claim()
    it.clock.advance(1)
    await it.routed(keyed("2"))
    await it.settle(late, Retry(5, "again"))
    it.clock.advance(1)
    await it.routed(keyed("3"))
    it.clock.advance(9)
    assert [claim.resource_key for claim in await it.engine.claim_runs(10)] == ["2", "3", "1"]


@cases.add
async def processors_take_turns(it: Session) -> None:
    for name, count in (("A", 4), ("B", 2), ("C", 1)):
        for _ in range(count):
            await it.routed(single(name))
    claims = await it.engine.claim_runs(6)
    assert [claim.processor for claim in claims] == ["A", "B", "C", "A", "B", "A"]
    assert [claim.processor for claim in await it.engine.claim_runs(6)] == ["A"]


@cases.add
async def turns_go_on_where_the_last_claim_ended(it: Session) -> None:
    for name in ("A", "B", "C"):
        for _ in range(2):
            await it.routed(single(name))
    served = [(await it.engine.claim_runs(1))[0].processor for _ in range(6)]
    assert served == ["A", "B", "C", "A", "B", "C"]


@cases.add
async def excluded_processors_are_passed_over(it: Session) -> None:
    for name in ("A", "B", "C"):
        await it.routed(single(name))
    claims = await it.engine.claim_runs(10, {"A", "C", "unknown"})
    assert [claim.processor for claim in claims] == ["B"]
    assert [claim.processor for claim in await it.engine.claim_runs(10, ())] == ["C", "A"]


@cases.add
async def no_more_runs_than_asked_for_are_lent(it: Session) -> None:
    for _ in range(5):
        await it.routed(single())
    assert await it.engine.claim_runs(0) == []
    assert await it.engine.claim_runs(-1) == []
    assert [len(await it.engine.claim_runs(3)) for _ in range(3)] == [3, 2, 0]


@cases.add
async def claims_at_once_never_lend_a_run_twice(it: Session) -> None:
    for number in range(12):
        await it.routed(keyed(str(number % 4)), single())
    lent = await asyncio.gather(*(it.engine.claim_runs(3) for _ in range(10)))
    claims = [claim for part in lent for claim in part]
    assert len(claims) == len({claim.run_id for claim in claims}) == 16
    assert len({claim.token for claim in claims}) == 16


@cases.add
async def a_run_is_lent_again_when_its_lease_is_over(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    it.clock.advance(it.engine.lease_seconds - 0.001)
    assert await it.engine.claim_runs(10) == []
    it.clock.advance(0.001)
    again = await it.claim()
    assert (again.run_id, again.event, again.expirations) == (first.run_id, first.event, 1)
    assert again.token > first.token
    attempts = (await it.engine.run(first.run_id)).attempts
    assert [(attempt.outcome, attempt.token) for attempt in attempts] == [
        ("expired", first.token),
        ("running", again.token),
    ]


@cases.add
async def a_lane_stays_closed_while_an_expired_claim_waits_for_its_next_worker(it: Session) -> None:
    first = await it.claim_of(keyed("1"))
    it.lease_ends()
    await it.routed(keyed("1"))
    assert await it.run_states() == [RunState.CLAIMED, RunState.HELD]
    assert (await it.claim()).run_id == first.run_id


@cases.add
async def a_stale_claim_can_do_nothing(it: Session) -> None:
    stale = await it.claim_of(keyed("1"))
    it.lease_ends()
    fresh = await it.claim()
    before = await it.engine.run(fresh.run_id)
    assert not await it.engine.settle(stale, Completed((upsert("a"),), (ref("a"),)))
    assert not await it.engine.settle(stale, Dead("broken"))
    assert await it.engine.renew([stale]) == frozenset()
    try:
        await it.stage(stale, ["a"])
    except StaleClaimError:
        pass
    else:
        raise AssertionError("stage took a stale claim")
    assert await it.engine.run(fresh.run_id) == before
    assert (await it.stage(fresh, (), ["a"])).known == frozenset()


@cases.add
async def a_settled_claim_cannot_be_settled_again(it: Session) -> None:
    for settlement in (Completed(), Retry(0, "again"), Released(0, "drain"), Dead("broken")):
        claim = await it.claim_of(single())
        await it.settle(claim, settlement)
        assert not await it.engine.settle(claim, Completed())
        assert await it.engine.renew([claim]) == frozenset()
        for left in await it.engine.claim_runs(10):
            await it.complete(left)


@cases.add
async def a_lease_that_ran_out_unnoticed_does_no_harm(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    it.lease_ends()
    await it.stage(claim, ["a"])
    assert await it.engine.renew([claim]) == {claim.run_id}
    it.lease_ends()
    await it.complete(claim, upsert("a"))


@cases.add
async def a_renewed_lease_lasts_from_then_on(it: Session) -> None:
    claims = [await it.claim_of(keyed("1")), await it.claim_of(keyed("2"))]
    for _ in range(5):
        it.clock.advance(it.engine.lease_seconds - 1)
        assert await it.engine.renew(claims) == {claim.run_id for claim in claims}
    assert await it.engine.claim_runs(10) == []
    assert await it.engine.renew([]) == frozenset()
    it.lease_ends()
    assert len(await it.engine.claim_runs(10)) == 2


@cases.add
async def a_run_that_cannot_be_read_is_dead_and_the_rest_goes_on(it: Session) -> None:
    if it.under_test.damage is None:
        return
    seqs = [await it.routed(keyed(str(number))) for number in range(4)]
    first = (await it.engine.claim_runs(1))[0]
    held = await it.routed(keyed("0"))
    await it.under_test.damage(first.event.seq)
    await it.under_test.damage(seqs[2])
    it.lease_ends()
    claims = await it.engine.claim_runs(10)
    assert {claim.resource_key for claim in claims} == {"0", "1", "3"}
    assert {claim.event.seq for claim in claims} == {held, seqs[1], seqs[3]}
    assert await it.states(seqs[0], seqs[2]) == [EventState.DEAD] * 2
    assert "cannot be read" in (await it.run_of(first)).detail
    assert (await it.engine.backlog()).dead_runs == 2
    assert "cannot be read" in (await it.record(seqs[2])).reason


def _routing(key: str) -> Routing:
    return Routing((keyed(key),))


@cases.add
async def the_headers_of_a_runs_events_are_read_newest_first(it: Session) -> None:
    for _ in range(3):
        await it.routed(keyed("1"))
    run_id = (await it.claim()).run_id
    await it.routed(keyed("2"))
    found = await it.engine.headers(run_id, 10)
    assert [headers["x-number"] for headers in found] == ["3", "2", "1"]
    assert [headers["x-number"] for headers in await it.engine.headers(run_id, 2)] == ["3", "2"]
    assert await it.engine.headers(run_id + 100, 10) == []
