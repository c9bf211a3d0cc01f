"""Events and runs whose worker died: one may be why, so they are taken up apart, and the innocent come through."""

import asyncio

from tests.pipeline.issues import IssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEventRawResults
from tidegate.core.inspection import Page, RunFilter
from tidegate.core.lifecycle import RunState
from tidegate.core.runs import EventClaim, Routing
from tidegate.engines.memory import MemoryEngine
from tidegate.testing import Harness, harness
from tidegate.testing.clock import FakeClock

PAST_THE_LEASE = 60.0


async def until_settled(running: Harness, clock: FakeClock) -> None:
    """Let time pass until nothing is left to do."""
    async with asyncio.timeout(10):
        while (await running.engine.backlog()).unfinished:
            clock.advance(0.5)
            running.engine.wake()
            for _ in range(20):
                await asyncio.sleep(0)


def test_an_event_whose_routing_was_lost_is_routed_apart_for_each_processor(
    make_integration: MakeIntegration,
) -> None:
    class AnotherProcessor(IssueProcessor):
        pass

    async def scenario() -> None:
        clock = FakeClock()
        async with harness(make_integration(IssueProcessor, AnotherProcessor), clock=clock) as running:
            route = running.engine.route

            async def lose(claim: EventClaim, routing: Routing) -> bool:
                running.engine.route = route  # type: ignore[method-assign]
                clock.advance(PAST_THE_LEASE)
                return False

            running.engine.route = lose  # type: ignore[method-assign]
            await running.deliver("/webhook", issue(1, "A"))
            await until_settled(running, clock)
            runs = await running.engine.find_runs(RunFilter(), Page())
            assert [run.state for run in runs] == [RunState.APPLIED] * 4, runs
            assert sorted((run.processor, run.config == "") for run in runs) == [
                ("AnotherProcessor", False),
                ("AnotherProcessor", True),
                ("IssueProcessor", False),
                ("IssueProcessor", True),
            ]
            assert running.entity("issue", "A") is not None

    asyncio.run(scenario())


def test_runs_whose_workers_died_again_and_again_are_processed_alone(
    make_integration: MakeIntegration,
) -> None:
    at_work: set[int] = set()
    most: list[int] = []

    class Watched(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            number = payload["issue"]["id"]
            at_work.add(number)
            for _ in range(10):
                most.append(len(at_work))
                await asyncio.sleep(0)
            at_work.discard(number)
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        integration = make_integration(Watched)
        async with harness(integration, engine=engine, clock=clock, workers=1) as running:
            await running.dispatcher.drain(0)
            for number in range(8):
                await running.deliver("/webhook", issue(number, f"K{number}"))
            for claim in await engine.claim_events(8):
                assert await engine.route(claim, await running.dispatcher.router.route(claim))
        for _ in range(3):  # three workers died of them
            assert len(await engine.claim_runs(8)) == 8
            clock.advance(PAST_THE_LEASE)
        async with harness(integration, engine=engine, clock=clock) as running:
            await until_settled(running, clock)
            assert {ref.identifier for ref in running.entities} == {f"K{number}" for number in range(8)}
            assert max(most) == 1
            runs = await engine.find_runs(RunFilter(), Page())
            assert max(run.expirations for run in runs) == 3

    asyncio.run(scenario())
