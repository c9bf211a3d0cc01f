"""What the catalog ends up as: coalescing, lineage, overlapping writes, stale reads, outages, refusals."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from tests.pipeline.issues import IssueProcessor, KeyedIssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEvent, WebhookEventRawResults
from tidegate.core.entities import EntityRef
from tidegate.core.errors import TargetUnavailableError
from tidegate.core.inspection import Page, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.ports import Change, Refused
from tidegate.fetch import HostPausedError
from tidegate.testing.clock import FakeClock
from tidegate.testing.harness import Harness, harness
from tidegate.testing.memory_target import MemoryTarget


class Source:
    """A third party: issues by id, and the fetches made of them."""

    def __init__(self) -> None:
        self.issues: dict[int, EventPayload] = {}
        self.fetches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def processor(self) -> type[KeyedIssueProcessor]:
        source = self

        class Fetching(KeyedIssueProcessor):
            async def handle_event(
                self, payload: EventPayload, resource_config: ResourceConfig
            ) -> WebhookEventRawResults:
                number = payload["issue"]["id"]
                source.fetches.append(number)
                found = source.issues.get(number)
                await source.gate.wait()
                return WebhookEventRawResults([] if found is None else [found["issue"]], [])

        return Fetching

    async def change(self, running: Harness, number: int, payload: EventPayload | None) -> str:
        if payload is None:
            self.issues.pop(number, None)
        else:
            self.issues[number] = payload
        return await running.deliver("/webhook", {"issue": {"id": number}})


def keys(running: Harness) -> set[str]:
    return {ref.identifier for ref in running.entities}


def test_a_burst_on_one_resource_costs_few_fetches_and_ends_with_the_newest(
    make_integration: MakeIntegration,
) -> None:
    async def scenario() -> None:
        source = Source()
        async with harness(make_integration(source.processor())) as running:
            source.gate.clear()
            event_ids = [await source.change(running, 1, issue(1, "A", f"state {n}")) for n in range(100)]
            async with asyncio.timeout(5):
                while (await running.engine.backlog()).queued_events:
                    await running.engine.wait(0.05)
            source.gate.set()
            await running.settle()
            assert len(source.fetches) <= 3
            assert len(running.target.requests) <= 3
            entity = running.entity("issue", "A")
            assert entity is not None
            assert entity.properties == {"state": "state 99"}
            states = [(await running.explain(event_id)).record.state for event_id in event_ids]
            assert set(states) == {EventState.APPLIED, EventState.COALESCED}
            assert states[-1] == EventState.APPLIED

    asyncio.run(scenario())


def test_an_event_during_the_fetch_makes_the_resource_dirty_again(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        source = Source()
        async with harness(make_integration(source.processor())) as running:
            source.gate.clear()
            await source.change(running, 1, issue(1, "A", "old"))
            async with asyncio.timeout(5):
                while not source.fetches:
                    await asyncio.sleep(0)
            await source.change(running, 1, issue(1, "A", "new"))
            source.gate.set()
            await running.settle()
            entity = running.entity("issue", "A")
            assert entity is not None
            assert entity.properties == {"state": "new"}
            assert source.fetches == [1, 1]

    asyncio.run(scenario())


def test_a_rename_leaves_no_orphan_and_a_gone_resource_no_entity(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        source = Source()
        async with harness(make_integration(source.processor())) as running:
            await source.change(running, 1, issue(1, "A"))
            await running.settle()
            await source.change(running, 1, issue(1, "B"))
            await running.settle()
            assert keys(running) == {"B"}
            await source.change(running, 1, None)
            await running.settle()
            assert keys(running) == set()

    asyncio.run(scenario())


def test_an_item_that_the_mapping_fails_on_is_not_taken_for_gone(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        source = Source()
        async with harness(make_integration(source.processor())) as running:
            await source.change(running, 1, issue(1, "A"))
            await running.settle()
            broken = issue(1, "A")
            broken["issue"]["selected"] = "not a boolean"
            await source.change(running, 1, broken)
            await running.settle()
            assert keys(running) == {"A"}
            await source.change(running, 1, issue(1, "B"))
            await running.settle()
            assert keys(running) == {"B"}

    asyncio.run(scenario())


def test_a_crash_between_write_and_settlement_leaves_no_orphan(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        source, clock = Source(), FakeClock()
        async with harness(make_integration(source.processor()), clock=clock) as running:
            settle, crashed = running.engine.settle, asyncio.Event()

            async def crash(*_: object) -> bool:
                crashed.set()
                return await asyncio.Event().wait()

            running.engine.settle = crash  # type: ignore[method-assign, assignment]
            await source.change(running, 1, issue(1, "A"))
            await crashed.wait()
            running.engine.settle = settle  # type: ignore[method-assign]
            await running.dispatcher.drain(0)
        assert keys(running) == {"A"}
        source.issues[1] = issue(1, "B")
        clock.advance(60)  # past the lease
        async with harness(
            make_integration(source.processor()), engine=running.engine, target=running.target, clock=clock
        ) as again:
            await again.settle()
            assert keys(again) == {"B"}

    asyncio.run(scenario())


def test_a_selector_exit_deletes_what_this_resource_wrote(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        async with harness(make_integration(IssueProcessor)) as running:
            await running.deliver("/webhook", issue(1, "A"))
            await running.settle()
            await running.deliver("/webhook", issue(1, "A", selected=False))
            await running.settle()
            assert keys(running) == set()
            writes = await running.engine.writes(EntityRef("issue", "A"), Page())
            assert [(write.action, write.reason) for write in writes] == [
                ("delete", "the selector does not match any more"),
                ("upsert", ""),
            ]

    asyncio.run(scenario())


def test_an_entity_that_one_processor_upserts_is_not_deleted_by_another(
    make_integration: MakeIntegration,
) -> None:
    mapping = """
resources:
  - kind: issue
    selector: {query: .selected}
    port: {entity: {mappings: {identifier: .key, blueprint: '"issue"'}}}
  - kind: issue
    selector: {query: "false"}
    port: {entity: {mappings: {identifier: .key, blueprint: '"issue"'}}}
"""

    async def scenario() -> None:
        async with harness(make_integration(KeyedIssueProcessor, mapping=mapping)) as running:
            for _ in range(5):
                await running.deliver("/webhook", issue(1, "A"))
                await running.settle()
                assert keys(running) == {"A"}

    asyncio.run(scenario())


def test_deleted_results_are_deleted_whatever_the_selector_says(make_integration: MakeIntegration) -> None:
    class Upserting(IssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            return event.payload.get("action") != "deleted"

    class Deleting(IssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            return event.payload.get("action") == "deleted"

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults([], [payload["issue"]])

    async def scenario() -> None:
        async with harness(make_integration(Upserting, Deleting)) as running:
            await running.deliver("/webhook", issue(1, "A"))
            await running.settle()
            await running.deliver("/webhook", {**issue(1, "A", selected=False), "action": "deleted"})
            await running.settle()
            assert keys(running) == set()

    asyncio.run(scenario())


def test_overlapping_runs_without_a_key_end_with_the_last_fetch(make_integration: MakeIntegration) -> None:
    class Unordered(IssueProcessor):
        current: str
        slow: asyncio.Event
        fetched: asyncio.Event

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            state = Unordered.current
            if payload.get("slow") and not self.slow.is_set():
                self.fetched.set()
                await self.slow.wait()
            return WebhookEventRawResults([{**payload["issue"], "state": state}], [])

    async def scenario(*, fenced: bool) -> None:
        Unordered.current = "old"
        Unordered.slow, Unordered.fetched = asyncio.Event(), asyncio.Event()
        async with harness(make_integration(Unordered), target=MemoryTarget(fenced=fenced)) as running:
            await running.deliver("/webhook", {**issue(1, "A"), "slow": True})
            await Unordered.fetched.wait()
            Unordered.current = "new"
            quick = await running.deliver("/webhook", issue(1, "A"))
            async with asyncio.timeout(5):
                while (await running.explain(quick)).record.state != EventState.APPLIED:
                    await running.engine.wait(0.05)
            Unordered.slow.set()
            await running.settle()
            entity = running.entity("issue", "A")
            assert entity is not None
            assert entity.properties == {"state": "new"}

    asyncio.run(scenario(fenced=True))
    asyncio.run(scenario(fenced=False))


def test_a_read_older_than_the_event_is_tried_again_before_anything_is_written(
    make_integration: MakeIntegration,
) -> None:
    reads = [
        [],
        [{"key": "A", "version": 1, "selected": True}],
        [{"key": "A", "version": 2, "selected": True}],
    ]

    class Versioned(IssueProcessor):
        def event_version(self, payload: EventPayload) -> object:
            return payload["version"]

        def item_version(self, item: EventPayload) -> object:
            return item["version"]

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults(reads[self.retry_count], [])

    async def scenario() -> None:
        async with harness(make_integration(Versioned)) as running:
            event_id = await running.deliver("/webhook", {**issue(), "version": 2})
            await running.settle()
            run = await running.engine.run((await running.explain(event_id)).runs[0].id)
            assert [attempt.outcome for attempt in run.attempts] == ["retry", "retry", "completed"]
            assert "announces version 2, but the fetch found 1" in run.attempts[1].detail
            assert len(running.target.requests) == 1

    asyncio.run(scenario())


def test_an_outage_of_the_target_burns_no_attempt_and_ends_by_itself(
    make_integration: MakeIntegration,
) -> None:
    outage = [True]
    refused: list[int] = []

    async def fail(changes: Sequence[Change]) -> None:
        if outage[0]:
            refused.append(len(changes))
            if len(refused) >= 8:
                outage[0] = False
            raise TargetUnavailableError("503")

    async def scenario() -> None:
        async with harness(
            make_integration(KeyedIssueProcessor), target=MemoryTarget(before_apply=fail)
        ) as running:
            running.dispatcher.applier.breaker.open_seconds = 0.01
            running.dispatcher.applier.breaker.max_open_seconds = 0.02
            for number in range(40):
                await running.deliver("/webhook", issue(number, f"K{number}"))
            await running.settle()
            assert len(running.entities) == 40
            runs = await running.engine.find_runs(RunFilter(), Page(limit=100))
            assert {run.failures for run in runs} == {0}

    asyncio.run(scenario())


def test_a_refused_entity_is_dead_with_the_reason_and_its_siblings_are_written(
    make_integration: MakeIntegration,
) -> None:
    class Pair(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults([payload["issue"], {**payload["issue"], "key": "bad"}], [])

    def refuse(change: Change) -> Refused | None:
        return Refused("title is too long") if change.ref.identifier == "bad" else None

    async def scenario() -> None:
        async with harness(make_integration(Pair), target=MemoryTarget(refuse=refuse)) as running:
            event_id = await running.deliver("/webhook", issue())
            async with asyncio.timeout(5):
                while (await running.engine.backlog()).unfinished:
                    await running.engine.wait(0.05)
            run = (await running.explain(event_id)).runs[0]
            assert run.state == RunState.DEAD
            assert "refused 1 of 2 entities: issue/bad: title is too long" in run.detail
            assert keys(running) == {"A"}

    asyncio.run(scenario())


def test_a_paused_host_sends_runs_back_without_burning_attempts(make_integration: MakeIntegration) -> None:
    answers = [False] * 3 + [True]

    class Paused(IssueProcessor):
        max_retries = 0

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if not answers.pop(0):
                raise HostPausedError("api.example is paused", retry_after_seconds=0.01, host="api.example")
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        async with harness(make_integration(Paused)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            run = (await running.explain(event_id)).runs[0]
            assert (run.state, run.failures) == (RunState.APPLIED, 0)

    asyncio.run(scenario())


def test_an_outage_of_a_third_party_that_nobody_else_asks_leaves_no_dead_letter(
    make_integration: MakeIntegration,
) -> None:
    class Asking(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults([await self.integration.http.get_json(f"{address[0]}/issue")], [])

    answers = [503] * 8 + [200]
    address: list[str] = []

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(issue()["issue"], status=answers.pop(0))

    async def scenario() -> None:
        app = web.Application()
        app.router.add_get("/issue", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        async with harness(make_integration(Asking)) as running:
            running.dispatcher.pauses.hosts.open_seconds = 0.01
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            run = (await running.explain(event_id)).runs[0]
            assert run.failures <= 3
            assert not answers
        await runner.cleanup()

    asyncio.run(scenario())


def test_a_worker_whose_lease_is_over_writes_nothing(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        source, clock = Source(), FakeClock()
        async with harness(make_integration(source.processor()), clock=clock) as running:
            source.gate.clear()
            await source.change(running, 1, issue(1, "A", "stale"))
            async with asyncio.timeout(5):
                while not source.fetches:
                    await asyncio.sleep(0)
            clock.advance(60)  # past the lease
            source.issues[1] = issue(1, "A", "fresh")
            claims = await running.engine.claim_runs(10)  # another worker takes the run
            assert len(claims) == 1
            source.gate.set()
            await running.dispatcher.leases.renew()
            async with asyncio.timeout(5):
                while running.dispatcher.runs_in_hand:
                    await asyncio.sleep(0)
            assert not running.entities
            assert not running.target.requests

    asyncio.run(scenario())
