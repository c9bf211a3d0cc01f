"""Read-after-write: what a third party's lag may not do to the catalog."""

import asyncio

from tests.pipeline.issues import IssueProcessor, KeyedIssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEventRawResults
from tidegate.core.lifecycle import EventState
from tidegate.fetch import FetchStatusError
from tidegate.testing.harness import Harness, harness


async def outcomes(running: Harness, event_id: str) -> list[str]:
    """How the attempts of an event's run ended."""
    run = await running.engine.run((await running.explain(event_id)).runs[0].id)
    return [attempt.outcome for attempt in run.attempts]


class Versioned(KeyedIssueProcessor):
    def event_version(self, payload: EventPayload) -> int | None:
        return payload.get("version")

    def item_version(self, item: EventPayload) -> int:
        return item["version"]


def test_a_404_that_a_processor_lets_through_is_tried_again(make_integration: MakeIntegration) -> None:
    class Lagging(Versioned):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if self.retry_count == 0:
                raise FetchStatusError(404, "https://api.example/issues/1", "")
            return WebhookEventRawResults([{**payload["issue"], "version": 2}], [])

    async def scenario() -> None:
        async with harness(make_integration(Lagging)) as running:
            event_id = await running.deliver("/webhook", {**issue(), "version": 2})
            await running.settle()
            assert await outcomes(running, event_id) == ["retry", "completed"]
            unversioned = await running.deliver("/webhook", issue(2))
            async with asyncio.timeout(5):
                while (await running.engine.backlog()).unfinished:
                    await running.engine.wait(0.05)
            assert await outcomes(running, unversioned) == ["dead"]

    asyncio.run(scenario())


def test_the_highest_version_of_coalesced_events_is_waited_for(make_integration: MakeIntegration) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    shown = [1, 1, 3]

    class Lagging(Versioned):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            began.set()
            await go_on.wait()
            return WebhookEventRawResults([{**payload["issue"], "version": shown.pop(0)}], [])

    async def scenario() -> None:
        async with harness(make_integration(Lagging)) as running:
            await running.deliver("/webhook", {**issue(), "version": 1})
            await began.wait()
            newest = await running.deliver("/webhook", {**issue(), "version": 3})
            late = await running.deliver("/webhook", {**issue(), "version": 1})
            async with asyncio.timeout(5):
                while (await running.engine.backlog()).queued_events:
                    await running.engine.wait(0.05)
            go_on.set()
            await running.settle()
            assert await outcomes(running, late) == ["retry", "completed"]
            assert (await running.explain(newest)).record.state is EventState.COALESCED
            assert not shown

    asyncio.run(scenario())


def test_a_resource_that_comes_to_no_items_is_there_if_its_processor_says_so(
    make_integration: MakeIntegration,
) -> None:
    class Childless(IssueProcessor):
        def event_version(self, payload: EventPayload) -> int:
            return 2

        def fetched_version(self, results: WebhookEventRawResults) -> int:
            return 2

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults([], [])

    async def scenario() -> None:
        async with harness(make_integration(Childless)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            assert await outcomes(running, event_id) == ["completed"]

    asyncio.run(scenario())
