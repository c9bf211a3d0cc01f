"""Cases of the engine suite: forgetting what is finished, and waiting for work."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

import asyncio
from collections.abc import Awaitable, Callable

from tidegate.core.inspection import EventFilter, RunFilter
from tidegate.core.runs import Dead, Released, Retry, Routing
from tidegate.testing.engine_suite_session import ALL, Cases, Session, keyed, ref, single, upsert

cases = Cases()

PATIENCE_SECONDS = 30.0
"""How long a case waits before it counts as failed."""


@cases.add
async def finished_events_are_forgotten_with_all_that_is_theirs(it: Session) -> None:
    first = await it.enqueue("d-1")
    await it.engine.route(await it.claim_event(), Routing((keyed("1"),)))
    claim = await it.claim()
    await it.stage(claim, ["a"])
    await it.complete(claim, upsert("a"))
    finished = it.clock.now()
    assert await it.engine.prune(finished, 10) == 0
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 10) == 1
    assert await it.engine.find_events(EventFilter(), ALL) == []
    assert await it.runs() == []
    assert await it.engine.writes(ref("a"), ALL) == []
    await it.not_found(it.engine.event(it.ids[first]))
    await it.not_found(it.engine.run(claim.run_id))
    second = await it.enqueue("d-1")
    assert second > first
    await it.engine.route(await it.claim_event(), Routing((keyed("1"),)))
    assert (await it.stage(await it.claim())).previous == {ref("a")}


@cases.add
async def what_is_live_or_dead_is_kept(it: Session) -> None:
    await it.die("1")
    await it.routed(single())
    await it.claim()
    await it.enqueue()
    it.clock.advance(100)
    assert await it.engine.prune(it.clock.now(), 10) == 0
    assert len(await it.engine.find_events(EventFilter(), ALL)) == 3


@cases.add
async def those_that_finished_first_are_forgotten_first(it: Session) -> None:
    seqs = [await it.routed(single()) for _ in range(3)]
    for claim in reversed(await it.engine.claim_runs(3)):
        it.clock.advance(1)
        await it.complete(claim)
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 2) == 2
    assert [record.seq for record in await it.engine.find_events(EventFilter(), ALL)] == seqs[:1]


@cases.add
async def a_run_goes_with_the_last_of_its_events(it: Session) -> None:
    shared = await it.routed(keyed("1"), keyed("2"))
    alone = await it.routed(keyed("1"))
    one, two = sorted(await it.engine.claim_runs(2), key=lambda claim: claim.run_id)
    await it.complete(one)
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 10) == 1
    record = (await it.engine.run(one.run_id)).record
    assert (record.event_seq, record.event_id, record.event_count) == (alone, "", 1)
    await it.complete(two)
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 10) == 1
    assert await it.runs() == []
    assert shared < alone


@cases.add
async def merged_runs_go_with_the_run_that_took_them_in(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    await it.routed(keyed("1"))
    await it.settle(claim, Released(0, "drain"))
    await it.complete(await it.claim())
    it.clock.advance(1)
    assert await it.engine.prune(it.clock.now(), 1) == 1
    assert len(await it.runs()) == 2
    assert await it.engine.prune(it.clock.now(), 10) == 1
    assert await it.runs() == []


@cases.add
async def numbers_and_tokens_never_come_again(it: Session) -> None:
    claim = await it.claim_of(single())
    await it.complete(claim)
    it.clock.advance(1)
    await it.engine.prune(it.clock.now(), 10)
    later = await it.claim_of(single())
    assert later.event.seq > claim.event.seq
    assert later.run_id > claim.run_id
    assert later.token > claim.token


# --- waiting ------------------------------------------------------------------------------------------


async def woken(
    it: Session, verb: Callable[[], Awaitable[object]], *, events: bool = True, runs: bool = True
) -> None:
    """Wait for work, do this meanwhile, and see the wait end."""
    waiting = asyncio.create_task(it.engine.wait(3600, events=events, runs=runs))
    await asyncio.sleep(0)
    assert not waiting.done()
    await verb()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await waiting


@cases.add
async def work_wakes_those_who_wait(it: Session) -> None:
    await woken(it, it.enqueue, runs=False)
    event = await it.claim_event()
    await woken(it, lambda: it.engine.route(event, Routing((keyed("1"),))), events=False)
    claim = await it.claim()
    await woken(it, lambda: it.settle(claim, Released(0, "drain")), events=False)
    claim = await it.claim()
    await it.routed(keyed("1"))
    await woken(it, lambda: it.settle(claim, Dead("boom")), events=False)
    await it.complete(await it.claim())
    await woken(it, lambda: it.engine.redrive(RunFilter(), 1), events=False)


@cases.add
async def a_delay_that_ends_wakes_those_who_wait(it: Session) -> None:
    claim = await it.claim_of(single())
    await it.settle(claim, Retry(0.01, "again"))
    assert await it.engine.claim_runs(10) == []
    async with asyncio.timeout(PATIENCE_SECONDS):
        await it.engine.wait(3600, events=False)


@cases.add
async def a_step_of_the_clock_wakes_those_who_wait(it: Session) -> None:
    it.clock.on_advance(it.engine.wake)
    await it.claim_of(single())

    async def step() -> None:
        it.lease_ends()

    await woken(it, step)
    assert (await it.claim()).expirations == 1


@cases.add
async def a_wait_ends_after_its_time(it: Session) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await it.engine.wait(0.001)
        await it.engine.wait(0)
