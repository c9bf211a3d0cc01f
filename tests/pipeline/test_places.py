"""How many runs ask a third party at once, and how many are in hand in all."""

import asyncio

import pytest

from tests.pipeline.issues import KeyedIssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEventRawResults
from tidegate.testing.harness import Harness, harness
from tidegate.testing.memory_target import MemoryTarget

EVENTS = 40


class Counting(KeyedIssueProcessor):
    """Notes how many of its fetches are under way at once."""

    fetching = 0
    most = 0

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        counted = type(self)
        counted.fetching += 1
        counted.most = max(counted.most, counted.fetching)
        await asyncio.sleep(0)
        counted.fetching -= 1
        return await super().handle_event(payload, resource_config)


@pytest.mark.parametrize(("workers", "in_hand"), [(4, 16), (1, 1)])
def test_a_run_that_only_waits_for_the_target_makes_room_for_another(
    make_integration: MakeIntegration, workers: int, in_hand: int
) -> None:
    """But not without end; and with one worker, runs come one after another."""

    class Asking(Counting):
        pass

    target_answers = asyncio.Event()

    async def stall(_: object) -> None:
        await target_answers.wait()

    async def scenario(running: Harness) -> None:
        for number in range(EVENTS):
            await running.deliver("/webhook", issue(number, f"I{number}"))
        async with asyncio.timeout(10):
            while running.dispatcher.runs_in_hand < in_hand or Asking.fetching:
                await asyncio.sleep(0)
        assert (await running.engine.backlog()).claimed_runs == in_hand
        target_answers.set()
        await running.settle()
        assert len(running.entities) == EVENTS
        assert 1 <= Asking.most <= workers

    async def main() -> None:
        target = MemoryTarget(before_apply=stall, batch_limit=1)
        async with harness(make_integration(Asking), workers=workers, target=target) as running:
            await scenario(running)

    asyncio.run(main())
