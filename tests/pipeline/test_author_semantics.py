"""What an integration author may rely on: instances, hooks, retries, rejections."""

import asyncio
import sys
from datetime import timedelta

import pytest

from tests.pipeline.issues import IssueProcessor, KeyedIssueProcessor, MakeIntegration, issue
from tidegate import (
    EventHeaders,
    EventPayload,
    ResourceConfig,
    RetryableError,
    WebhookEvent,
    WebhookEventRawResults,
)
from tidegate.core.inspection import Page, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.pipeline.processing import RunLimits
from tidegate.testing.harness import Harness, harness

TWO_CONFIGS = """
resources:
  - kind: issue
    selector: {query: "true"}
    port: {entity: {mappings: {identifier: .key, blueprint: '"issue"'}}}
  - kind: issue
    selector: {query: "true"}
    port: {entity: {mappings: {identifier: .key, blueprint: '"issueCopy"'}}}
"""


async def settled(running: Harness) -> None:
    """Wait until nothing is unfinished, dead or not."""
    async with asyncio.timeout(20):
        while (await running.engine.backlog()).unfinished:
            await running.engine.wait(0.05)


def test_one_instance_serves_all_resource_configs_of_an_event(make_integration: MakeIntegration) -> None:
    made: list[IssueProcessor] = []
    handled: list[tuple[int, str]] = []

    class Stateful(IssueProcessor):
        def __init__(self, event: WebhookEvent) -> None:
            super().__init__(event)
            made.append(self)

        async def should_process_event(self, event: WebhookEvent) -> bool:
            self.mark = f"seen {event.id}"
            return True

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            handled.append((id(self), self.mark))
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        async with harness(make_integration(Stateful, mapping=TWO_CONFIGS)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            assert handled == [(id(made[0]), f"seen {event_id}")] * 2
            assert len(made) == 1
            assert running.entity("issue", "A")
            assert running.entity("issueCopy", "A")

    asyncio.run(scenario())


def test_state_is_rebuilt_when_another_worker_takes_the_run(make_integration: MakeIntegration) -> None:
    class Stateful(IssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            self.mark = "set"
            return True

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            assert self.mark == "set"
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        async with harness(make_integration(Stateful)) as first:
            first.dispatcher.limits = first.dispatcher.limits.__class__(runs=0)
            await first.deliver("/webhook", issue())
            async with asyncio.timeout(5):
                while not (await first.engine.backlog()).ready_runs:
                    await first.engine.wait(0.05)
        async with harness(make_integration(Stateful), engine=first.engine) as second:
            await second.settle()
            assert second.entity("issue", "A")

    asyncio.run(scenario())


def test_an_error_while_routing_concerns_that_processor_alone(make_integration: MakeIntegration) -> None:
    failures = [2]

    class Flaky(IssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            if failures[0]:
                failures[0] -= 1
                raise KeyError("not today")
            return True

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return WebhookEventRawResults([{**payload["issue"], "key": "from-flaky"}], [])

    async def scenario() -> None:
        async with harness(make_integration(Flaky, IssueProcessor)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            assert running.entity("issue", "A")
            assert running.entity("issue", "from-flaky")
            assert (await running.explain(event_id)).record.state == EventState.APPLIED

    asyncio.run(scenario())


@pytest.mark.parametrize(("answer", "state"), [("yes", EventState.APPLIED), ("", EventState.REJECTED)])
def test_truthiness_decides_in_validate_payload(
    make_integration: MakeIntegration, answer: str, state: EventState
) -> None:
    class Truthy(IssueProcessor):
        async def validate_payload(self, payload: EventPayload) -> bool:
            return answer  # type: ignore[return-value]

    async def scenario() -> None:
        async with harness(make_integration(Truthy)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            assert (await running.explain(event_id)).record.state == state

    asyncio.run(scenario())


def test_a_forged_event_is_rejected_visibly_and_never_retried(make_integration: MakeIntegration) -> None:
    asked: list[str] = []

    class Strict(IssueProcessor):
        async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
            asked.append(headers["X-Signature"])
            return False

    async def scenario() -> None:
        async with harness(make_integration(Strict)) as running:
            event_id = await running.deliver("/webhook", issue(), headers={"x-signature": "forged"})
            await running.settle()
            record = (await running.explain(event_id)).record
            assert (record.state, record.reason) == (EventState.REJECTED, "authenticate() said no")
            assert asked == ["forged"]
            assert not running.entities

    asyncio.run(scenario())


def test_hooks_and_retries_in_order(make_integration: MakeIntegration) -> None:
    calls: list[str] = []

    class Hooked(IssueProcessor):
        async def before_processing(self) -> None:
            calls.append(f"before {self.retry_count}")

        async def after_processing(self) -> None:
            calls.append("after")

        async def on_error(self, error: Exception) -> None:
            calls.append(f"error {error}")

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if self.retry_count < 2:
                raise RetryableError(f"number {self.retry_count}")
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        async with harness(make_integration(Hooked)) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            detail = await running.explain(event_id)
            run = await running.engine.run(detail.runs[0].id)
            assert [attempt.outcome for attempt in run.attempts] == ["retry", "retry", "completed"]

    asyncio.run(scenario())
    assert calls == ["before 0", "error number 0", "before 1", "error number 1", "before 2", "after"]


def test_retries_end_in_a_dead_letter_that_can_be_redriven(make_integration: MakeIntegration) -> None:
    attempts: list[int] = []
    mended = False

    class Failing(IssueProcessor):
        max_retries = 2

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            attempts.append(self.retry_count)
            if not mended:
                raise ConnectionResetError("the third party hung up")
            return await super().handle_event(payload, resource_config)

    async def scenario() -> None:
        nonlocal mended
        async with harness(make_integration(Failing)) as running:
            event_id = await running.deliver("/webhook", issue())
            await settled(running)
            assert attempts == [0, 1, 2]
            dead = await running.engine.find_runs(RunFilter(state=RunState.DEAD), Page())
            assert "gave up after 3 attempts: ConnectionResetError" in dead[0].detail
            assert (await running.explain(event_id)).record.state == EventState.DEAD
            mended = True
            assert await running.engine.redrive(RunFilter(state=RunState.DEAD), 10) == 1
            await running.settle()
            assert running.entity("issue", "A")
            assert (await running.explain(event_id)).record.state == EventState.APPLIED

    asyncio.run(scenario())


def test_an_error_that_will_not_pass_is_dead_at_once(make_integration: MakeIntegration) -> None:
    class Broken(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return payload["no such field"]

    async def scenario() -> None:
        async with harness(make_integration(Broken)) as running:
            event_id = await running.deliver("/webhook", issue())
            await settled(running)
            detail = await running.explain(event_id)
            assert detail.runs[0].state == RunState.DEAD
            assert detail.runs[0].detail == "KeyError: 'no such field'"

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["should_process_event", "handle_event", "on_error"])
def test_a_processor_that_exits_stops_nothing_but_its_run(
    make_integration: MakeIntegration, method: str
) -> None:
    class Exiting(IssueProcessor):
        max_retries = 0

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            raise ValueError("not today")

    async def leave(*_: object) -> bool:
        sys.exit(3)

    setattr(Exiting, method, leave)

    async def scenario() -> None:
        async with harness(make_integration(Exiting, IssueProcessor)) as running:
            event_id = await running.deliver("/webhook", issue())
            await settled(running)
            assert running.entity("issue", "A")
            states = {run.processor: run.state for run in (await running.explain(event_id)).runs}
            assert states == {"Exiting": RunState.DEAD, "IssueProcessor": RunState.APPLIED}

    asyncio.run(scenario())


def test_a_wrong_return_type_says_what_was_expected(make_integration: MakeIntegration) -> None:
    class Wrong(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            return [payload["issue"]]  # type: ignore[return-value]

    async def scenario() -> None:
        async with harness(make_integration(Wrong)) as running:
            event_id = await running.deliver("/webhook", issue())
            await settled(running)
            detail = await running.explain(event_id)
            assert "Wrong.handle_event returned list, not WebhookEventRawResults" in detail.runs[0].detail

    asyncio.run(scenario())


def test_retry_after_is_the_least_delay(make_integration: MakeIntegration) -> None:
    class Throttled(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            raise RetryableError("slow down", retry_after_seconds=120)

    async def scenario() -> None:
        async with harness(make_integration(Throttled)) as running:
            event_id = await running.deliver("/webhook", issue())
            async with asyncio.timeout(5):
                while (
                    run := next(iter((await running.explain(event_id)).runs), None)
                ) is None or not run.failures:
                    await running.engine.wait(0.05)
            assert run.due_at is not None
            assert run.due_at - running.clock.now() > timedelta(seconds=110)
            assert run.state == RunState.READY  # it waits without holding a claim

    asyncio.run(scenario())


def test_a_hanging_attempt_is_cancelled_and_tried_again(make_integration: MakeIntegration) -> None:
    cancelled: list[int] = []

    class Hanging(IssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if self.retry_count == 0:
                await asyncio.Event().wait()
            return await super().handle_event(payload, resource_config)

        async def cancel(self) -> None:
            cancelled.append(self.retry_count)

    async def scenario() -> None:
        limits = RunLimits(timeout_seconds=0.05)
        async with harness(make_integration(Hanging), limits=limits) as running:
            event_id = await running.deliver("/webhook", issue())
            await running.settle()
            run = await running.engine.run((await running.explain(event_id)).runs[0].id)
            assert run.attempts[0].detail == "TimeoutError: the run took more than 0.05 s"
            assert running.entity("issue", "A")
            assert cancelled == [0]

    asyncio.run(scenario())


def test_a_hanging_processor_does_not_stall_another(make_integration: MakeIntegration) -> None:
    class Hanging(KeyedIssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            return event.payload["issue"]["key"] == "hang"

        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            await asyncio.Event().wait()
            raise AssertionError

    class Quick(IssueProcessor):
        async def should_process_event(self, event: WebhookEvent) -> bool:
            return event.payload["issue"]["key"] != "hang"

    async def scenario() -> None:
        async with harness(make_integration(Hanging, Quick), workers=4) as running:
            for number in range(20):
                await running.deliver("/webhook", issue(number, "hang"))
            for number in range(20):
                await running.deliver("/webhook", issue(number, f"Q{number}"))
            async with asyncio.timeout(10):
                while len(running.entities) < 20:
                    await running.engine.wait(0.05)
            assert (await running.engine.backlog()).claimed_runs >= 3
            await running.dispatcher.drain(0)

    asyncio.run(scenario())
