"""Cases of the engine suite: how claims end, what becomes of events, lineage."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.plans import Owner, Staged
from tidegate.core.runs import (
    ROUTING_CONFIG,
    Completed,
    Dead,
    EntityWrite,
    Ignored,
    Rejected,
    Released,
    Rerouted,
    Retry,
    Routing,
    Settlement,
    Step,
    StepName,
    Trail,
    WriteAction,
)
from tidegate.testing.engine_suite_session import ALL, Cases, Session, delete, keyed, ref, single, upsert

cases = Cases()


def refs(*names: str) -> frozenset[EntityRef]:
    return frozenset(map(ref, names))


FINAL: tuple[tuple[Settlement, RunState, EventState, str], ...] = (
    (Completed(), RunState.APPLIED, EventState.APPLIED, ""),
    (Ignored("its config is gone"), RunState.IGNORED, EventState.IGNORED, "its config is gone"),
    (Rejected("authenticate() said no"), RunState.REJECTED, EventState.REJECTED, "authenticate() said no"),
    (Dead("boom"), RunState.DEAD, EventState.DEAD, "boom"),
)


@cases.add
async def each_settlement_has_its_final_state(it: Session) -> None:
    for settlement, run_state, event_state, reason in FINAL:
        for request in (single(), keyed(run_state)):
            claim = await it.claim_of(request)
            it.clock.advance(1)
            await it.settle(claim, settlement)
            run, event = await it.run_of(claim), await it.record(claim.event.seq)
            assert (run.state, run.detail, run.due_at) == (run_state, reason, None)
            assert run.finished_at == event.finished_at == it.clock.now()
            assert (event.state, event.reason) == (event_state, reason)


@cases.add
async def the_worst_of_an_events_runs_decides(it: Session) -> None:
    ranked: list[Settlement] = [Ignored("i"), Completed(), Rejected("r"), Dead("d")]
    for worse in range(1, 4):
        for first, second in ((worse, worse - 1), (worse - 1, worse)):
            seq = await it.routed(single("A"), single("B"))
            one, two = await it.engine.claim_runs(2)
            await it.settle(one, ranked[first])
            assert await it.states(seq) == [EventState.ROUTED]
            await it.settle(two, ranked[second])
            assert await it.states(seq) == [FINAL[(1, 0, 2, 3)[worse]][2]]


@cases.add
async def an_event_is_unfinished_while_one_of_its_runs_is(it: Session) -> None:
    seq = await it.routed(single("A"), single("B"))
    one, two = await it.engine.claim_runs(2)
    await it.settle(one, Dead("boom"))
    await it.settle(two, Retry(1, "again"))
    assert await it.states(seq) == [EventState.ROUTED]
    it.clock.advance(1)
    await it.complete(await it.claim())
    record = await it.record(seq)
    assert (record.state, record.reason) == (EventState.DEAD, "boom")


@cases.add
async def failures_add_up(it: Session) -> None:
    claim = await it.claim_of(single())
    for failures in range(1, 4):
        await it.settle(claim, Retry(0, f"failure {failures}"))
        claim = await it.claim()
        assert (claim.failures, (await it.run_of(claim)).detail) == (failures, f"failure {failures}")


@cases.add
async def attempts_keep_their_trail(it: Session) -> None:
    claim = await it.claim_of(single())
    started = it.clock.now()
    it.clock.advance(2)
    steps = (Step(StepName.FETCH, 0.5, "1 item"), Step(StepName.MAP, 0.25))
    await it.settle(claim, Retry(0, "boom", trail=Trail(steps, ("odd field",), b'{"updated": []}')))
    last = await it.claim()
    await it.settle(last, Released(0, "drain"))
    await it.complete(await it.claim())
    failed, released, completed = (await it.engine.run(claim.run_id)).attempts
    assert (failed.number, failed.token, failed.outcome, failed.detail) == (1, claim.token, "retry", "boom")
    assert (failed.started_at, failed.finished_at) == (started, it.clock.now())
    assert failed.steps == (("fetch", 0.5, "1 item"), ("map", 0.25, ""))
    assert (failed.warnings, failed.fetched) == (("odd field",), b'{"updated": []}')
    assert (released.number, released.outcome, released.detail) == (2, "released", "drain")
    assert (completed.number, completed.outcome) == (3, "completed")
    assert (completed.steps, completed.warnings, completed.fetched) == ((), (), b"")


@cases.add
async def a_rerouted_run_makes_way_for_the_runs_it_found(it: Session) -> None:
    again = await it.claim_of(single(config=ROUTING_CONFIG))
    await it.settle(again, Rerouted((keyed("1"), single())))
    assert (await it.run_of(again)).state is RunState.APPLIED
    seq = again.event.seq
    assert await it.states(seq) == [EventState.ROUTED]
    keyed_claim, single_claim = await it.engine.claim_runs(10)
    assert (keyed_claim.resource_key, single_claim.resource_key) == ("1", None)
    await it.settle(keyed_claim, Ignored("gone"))
    await it.settle(single_claim, Ignored("gone"))
    record = await it.record(seq)
    assert (record.state, record.reason) == (EventState.IGNORED, "gone")


@cases.add
async def a_rerouted_run_joins_lanes(it: Session) -> None:
    await it.routed(keyed("1"))
    await it.routed(single("R", ROUTING_CONFIG))
    [again] = await it.engine.claim_runs(10, {"P"})
    await it.settle(again, Rerouted((keyed("1"),)))
    assert (await it.claim()).event_count == 2


@cases.add
async def a_rerouted_run_that_finds_nothing_is_ignored(it: Session) -> None:
    again = await it.claim_of(single(config=ROUTING_CONFIG))
    await it.settle(again, Rerouted((), "P does not want it"))
    record = await it.record(again.event.seq)
    assert (record.state, record.reason) == (EventState.IGNORED, "P does not want it")
    assert (await it.run_of(again)).state is RunState.IGNORED


# --- lineage ------------------------------------------------------------------------------------------


@cases.add
async def a_source_remembers_what_it_wrote(it: Session) -> None:
    await it.write(keyed("1"), "a", "b")
    claim = await it.claim_of(keyed("1"))
    assert await it.stage(claim, ["b", "c"]) == Staged(refs("a", "b"), {}, refs("a"))
    await it.complete(claim, dropped=["a"])
    assert (await it.stage(await it.claim_of(keyed("1")))).previous == {ref("b"), ref("c")}


@cases.add
async def lineage_is_noted_before_anything_is_written(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    assert (await it.stage(claim, ["a"])).previous == frozenset()
    it.lease_ends()
    again = await it.claim()
    assert (await it.stage(again, ["b"])).previous == {ref("a")}
    await it.settle(again, Retry(0, "boom"))
    assert (await it.stage(await it.claim())).previous == {ref("a"), ref("b")}


@cases.add
async def sources_are_told_apart_by_config_and_key(it: Session) -> None:
    seq = await it.write(keyed("1"), "a")
    for request, source in ((keyed("2"), "2"), (keyed("1", config="issue#2"), "1"), (single(), "")):
        claim = await it.claim_of(request)
        staged = await it.stage(claim, (), ["a", "unheard-of"])
        assert staged == Staged(frozenset(), {ref("a"): (Owner("issue", "1", seq),)}, refs("a")), source
        await it.complete(claim)


@cases.add
async def all_other_writers_are_named(it: Session) -> None:
    first = await it.write(keyed("1"), "a")
    second = await it.write(keyed("2"), "a")
    claim = await it.claim_of(keyed("1"))
    staged = await it.stage(claim, ["b"])
    assert staged.owners == {ref("a"): (Owner("issue", "2", second),)}
    await it.complete(claim, upsert("b"), dropped=["a"])
    third = await it.claim_of(keyed("3"))
    assert (await it.stage(third, (), ["a"])).owners == {ref("a"): (Owner("issue", "2", second),)}
    assert first < second


@cases.add
async def nobody_is_asked_for_who_writes_what_is_written_now(it: Session) -> None:
    await it.write(keyed("1"), "a")
    claim = await it.claim_of(keyed("2"))
    assert await it.stage(claim, ["a"], ["a"]) == Staged(frozenset(), {}, frozenset())


@cases.add
async def a_newer_event_moves_the_mark_of_a_writer(it: Session) -> None:
    await it.write(keyed("1"), "a")
    newer = await it.write(keyed("1"), "a")
    staged = await it.stage(await it.claim_of(keyed("2")), (), ["a"])
    assert staged.owners == {ref("a"): (Owner("issue", "1", newer),)}


@cases.add
async def a_deleted_entity_loses_its_writers_but_newer_ones(it: Session) -> None:
    await it.write(keyed("1"), "a")
    deleting = await it.claim_of(keyed("2"))
    newer = await it.claim_of(keyed("3"))
    await it.stage(newer, ["a"])
    await it.complete(deleting, delete("a"), dropped=["a"])
    staged = await it.stage(await it.claim_of(keyed("4")), (), ["a"])
    assert staged.owners == {ref("a"): (Owner("issue", "3", newer.event.seq),)}


@cases.add
async def an_entity_that_nobody_writes_any_more_is_not_known(it: Session) -> None:
    await it.write(keyed("1"), "a")
    await it.complete(await it.claim_of(keyed("1")), delete("a"), dropped=["a"])
    claim = await it.claim_of(keyed("1"))
    assert await it.stage(claim, (), ["a"]) == Staged(frozenset(), {}, frozenset())


@cases.add
async def what_another_processor_writes_from_the_same_event_is_another_writers(it: Session) -> None:
    for first, second in ((keyed("1", "A"), keyed("1", "B")), (single("A"), single("B"))):
        seq = await it.routed(first, second)
        writing, deleting = await it.engine.claim_runs(2)
        await it.stage(writing, ["a"])
        staged = await it.stage(deleting, (), ["a"])
        assert staged.previous == frozenset()
        assert staged.owners == {ref("a"): (Owner("issue", first.resource_key or "", seq),)}
        await it.complete(writing, upsert("a"))
        await it.complete(deleting, dropped=["a"])
        later = await it.claim_of(second)
        assert (await it.stage(later, (), ["a"])).known == {ref("a")}
        await it.complete(later, delete("a"), dropped=["a"])


@cases.add
async def what_another_processor_wrote_from_an_earlier_event_is_the_sources_own(it: Session) -> None:
    await it.write(keyed("1", "A"), "a")
    claim = await it.claim_of(keyed("1", "B"))
    assert await it.stage(claim) == Staged(refs("a"), {}, refs("a"))


@cases.add
async def runs_without_a_key_have_no_previous_and_yield_to_later_events(it: Session) -> None:
    await it.routed(single())
    late = await it.claim()
    newer = await it.write(single(), "a")
    staged = await it.stage(late, (), ["a"])
    assert staged == Staged(frozenset(), {ref("a"): (Owner("issue", "", newer),)}, refs("a"))
    await it.complete(late, dropped=["a"])
    last = await it.claim_of(single())
    assert await it.stage(last, (), ["a"]) == Staged(frozenset(), {}, refs("a"))


@cases.add
async def failed_runs_leave_lineage_alone_and_journal_their_writes(it: Session) -> None:
    await it.write(keyed("1"), "a")
    claim = await it.claim_of(keyed("1"))
    await it.stage(claim, ["b"])
    await it.settle(claim, Retry(0, "half done", (upsert("b"), delete("a"))))
    again = await it.claim()
    await it.settle(again, Dead("refused", (EntityWrite(ref("b"), WriteAction.REFUSED, "bad property"),)))
    assert (await it.stage(await it.claim_of(keyed("1")))).previous == {ref("a"), ref("b")}
    shown = [(write.action, write.reason, write.run_id) for write in await it.engine.writes(ref("b"), ALL)]
    assert shown == [("refused", "bad property", claim.run_id), ("upsert", "", claim.run_id)]


@cases.add
async def every_write_is_journalled(it: Session) -> None:
    claim = await it.claim_of(keyed("1"))
    kept = EntityWrite(ref("c"), WriteAction.KEPT, "another writes it too")
    await it.complete(claim, upsert("a", "A"), delete("b"), kept)
    detail = await it.engine.run(claim.run_id)
    assert [(write.ref, write.action, write.reason) for write in detail.writes] == [
        (ref("a"), "upsert", ""),
        (ref("b"), "delete", "it is gone"),
        (ref("c"), "kept", "another writes it too"),
    ]
    first = detail.writes[0]
    assert first.document == Entity("a", "service", title="A").to_json()
    assert detail.writes[1].document is None
    assert (first.run_id, first.event_id) == (claim.run_id, claim.event.id)
    assert first.at == it.clock.now()
    assert await it.engine.writes(ref("a"), ALL) == [first]


@cases.add
async def routing_and_settling_of_many_events_adds_up(it: Session) -> None:
    seqs = [await it.enqueue() for _ in range(30)]
    for claim in await it.engine.claim_events(30):
        await it.engine.route(claim, Routing((keyed(str(claim.event.seq % 3)), single("Q"))))
    claims = await it.engine.claim_runs(100)
    assert sorted(claim.event_count for claim in claims) == [1] * 30 + [10] * 3
    for claim in claims:
        await it.complete(claim)
    assert await it.states(*seqs) == [EventState.APPLIED] * 30
    assert (await it.engine.backlog()).unfinished == 0
