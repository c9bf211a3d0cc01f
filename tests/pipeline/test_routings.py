"""Events are routed one after the other in one task; one that has to wait holds up nobody else."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.pipeline.issues import IssueProcessor, MakeIntegration, issue
from tidegate import WebhookEvent
from tidegate.app.clock import SystemClock
from tidegate.core.errors import EngineUnavailableError
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.lifecycle import EventState
from tidegate.core.runs import EventClaim, Routing
from tidegate.engines.memory import MemoryEngine
from tidegate.testing.harness import Harness, harness

EVENTS = 10


class Together(MemoryEngine):
    """Lends no event before all are there, and so all of them at once."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.open = asyncio.Event()
        self.routed: list[int] = []

    async def claim_events(self, limit: int) -> list[EventClaim]:
        await self.open.wait()
        return await super().claim_events(limit)

    async def route(self, claim: EventClaim, routing: Routing) -> bool:
        self.routed.append(claim.event.seq)
        return await super().route(claim, routing)


class Asked(IssueProcessor):
    """Notes in which task it is asked about which issue, before and after it waits."""

    tasks: dict[str, set[object]]
    gate: asyncio.Event

    async def should_process_event(self, event: WebhookEvent) -> bool:
        key = event.payload["issue"]["key"]
        self.tasks.setdefault(key, set()).add(asyncio.current_task())
        if key in ("I3", "I7"):
            await self.gate.wait()
            self.tasks[key].add(asyncio.current_task())
        return True


class FailsOnce(Together):
    """The fifth event's routing cannot be committed at first."""

    async def route(self, claim: EventClaim, routing: Routing) -> bool:
        if claim.event.seq == 5 and 5 not in self.routed:
            self.routed.append(5)
            raise EngineUnavailableError("the disk is full")
        return await super().route(claim, routing)


def run(
    make_integration: MakeIntegration,
    scenario: Callable[[Harness, type[Asked]], Awaitable[None]],
    engine_class: type[Together] = Together,
) -> None:
    """Ten events are claimed together."""

    class Fresh(Asked):
        pass

    async def main() -> None:
        Fresh.tasks, Fresh.gate, engine = {}, asyncio.Event(), engine_class()
        async with harness(make_integration(Fresh), engine=engine) as running:
            for number in range(EVENTS):
                await running.deliver("/webhook", issue(number, f"I{number}"))
            engine.open.set()
            await scenario(running, Fresh)

    asyncio.run(main())


async def until(running: Harness, entities: int) -> None:
    async with asyncio.timeout(10):
        while len(running.entities) < entities:
            await running.engine.wait(0.05)


async def queued(running: Harness) -> int:
    return (await running.engine.backlog()).queued_events


def test_those_that_answer_at_once_share_a_task(make_integration: MakeIntegration) -> None:
    async def scenario(running: Harness, processor: type[Asked]) -> None:
        processor.gate.set()
        await running.settle()
        assert len(running.entities) == EVENTS
        assert len(set[object]().union(*processor.tasks.values())) == 1

    run(make_integration, scenario)


def test_one_that_waits_keeps_its_task_and_the_others_go_on(make_integration: MakeIntegration) -> None:
    async def scenario(running: Harness, processor: type[Asked]) -> None:
        await until(running, EVENTS - 2)
        assert await queued(running) == 2
        processor.gate.set()
        await running.settle()
        assert len(running.entities) == EVENTS
        assert {len(tasks) for tasks in processor.tasks.values()} == {1}
        assert len(set[object]().union(*processor.tasks.values())) == 3

    run(make_integration, scenario)


def test_what_is_not_committed_is_tried_again_by_itself(make_integration: MakeIntegration) -> None:
    async def scenario(running: Harness, processor: type[Asked]) -> None:
        engine = running.engine
        assert isinstance(engine, Together)
        processor.gate.set()
        await running.settle()
        assert sorted(engine.routed) == sorted([*range(1, EVENTS + 1), 5])

    run(make_integration, scenario, FailsOnce)


def test_a_drain_ends_those_that_still_wait(make_integration: MakeIntegration) -> None:
    async def scenario(running: Harness, processor: type[Asked]) -> None:
        engine = running.engine
        assert isinstance(engine, Together)
        await until(running, EVENTS - 2)
        await running.dispatcher.drain(0)
        assert not running.dispatcher._routings.tasks
        found = await engine.find_events(EventFilter(state=EventState.QUEUED), Page())
        assert [record.seq for record in found] == [8, 4]
        assert sorted(engine.routed) == [1, 2, 3, 5, 6, 7, 9, 10]

    run(make_integration, scenario)


def test_a_drain_awaits_what_is_handed_on_meanwhile(make_integration: MakeIntegration) -> None:
    async def scenario(running: Harness, processor: type[Asked]) -> None:
        async with asyncio.timeout(10):
            while not running.dispatcher._routings.tasks:
                await asyncio.sleep(0)
        assert not processor.tasks  # the task has not begun
        await running.dispatcher.drain(0.05)
        assert not running.dispatcher._routings.tasks
        assert len(processor.tasks) == EVENTS
        assert await queued(running) == 2

    run(make_integration, scenario)
