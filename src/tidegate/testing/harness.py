"""Runs a whole integration inside a test: real routing, fetching, mapping and planning, in one event loop.

The engine and the target are kept in memory; the third party is whatever server the test starts.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from tidegate.app.clock import SystemClock, new_id
from tidegate.authoring import Integration
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import EventHeaders, IncomingEvent, Json
from tidegate.core.inspection import EventDetail
from tidegate.core.ports import Accepted, Clock
from tidegate.core.signals import Signal
from tidegate.core.traces import NO_TRACING, Tracing
from tidegate.engines.memory import MemoryEngine
from tidegate.fetch import FetchClient, FetchPolicy, HostBreakers
from tidegate.mapping import JqMapper, read_mapping
from tidegate.pipeline.processing import RunLimits
from tidegate.testing.memory_target import MemoryTarget
from tidegate.worker.assembly import WorkerPorts, assemble
from tidegate.worker.dispatcher import Dispatcher, WorkerLimits


class Signals:
    """Keeps all signals, for tests that ask what happened."""

    def __init__(self) -> None:
        self.seen: list[Signal] = []

    def emit(self, signal: Signal) -> None:
        """Keep a signal."""
        self.seen.append(signal)


@dataclass(eq=False, slots=True)
class Harness:
    """A running integration. Made by `harness(...)`."""

    integration: Integration
    engine: MemoryEngine
    target: MemoryTarget
    dispatcher: Dispatcher
    signals: Signals
    clock: Clock
    duties: list[asyncio.Task[None]]

    @property
    def entities(self) -> Mapping[EntityRef, Entity]:
        """What the catalog holds."""
        return self.target.entities

    def entity(self, blueprint: str, identifier: str) -> Entity | None:
        """One entity; None if the catalog does not hold it."""
        return self.target.entities.get(EntityRef(blueprint, identifier))

    async def deliver(
        self,
        path: str,
        payload: Json,
        headers: Mapping[str, str] | None = None,
        delivery_id: str | None = None,
    ) -> str:
        """Accept a webhook as the ingress does, without waiting for its processing; answers its id."""
        event = IncomingEvent(
            id=new_id(),
            path="/" + path.strip("/"),
            headers=EventHeaders({"content-type": "application/json", **(headers or {})}),
            body=msgspec.json.encode(payload),
            received_at=self.clock.now(),
            trace_id="0" * 32,
            delivery_id=delivery_id,
        )
        outcome = await self.engine.enqueue(event)
        assert isinstance(outcome, Accepted), outcome  # noqa: S101 - a test kit asserts
        return event.id

    async def settle(self, timeout_seconds: float = 30.0) -> None:
        """Wait until everything is finished. Raises TimeoutError, and AssertionError if runs are dead."""
        async with asyncio.timeout(timeout_seconds):
            while (await self.engine.backlog()).unfinished:
                for duty in self.duties:
                    if duty.done():
                        duty.result()
                await self.engine.wait(0.05)
        dead = (await self.engine.backlog()).dead_runs
        assert not dead, f"{dead} runs are dead"  # noqa: S101 - a test kit asserts

    async def explain(self, event_id: str) -> EventDetail:
        """What became of an event."""
        return await self.engine.event(event_id)


@asynccontextmanager
async def harness(
    integration: Integration,
    *,
    config: Mapping[str, Any] | None = None,
    workers: int = 16,
    target: MemoryTarget | None = None,
    engine: MemoryEngine | None = None,
    clock: Clock | None = None,
    limits: RunLimits | None = None,
    uniform: float = 0.5,
    tracing: Tracing = NO_TRACING,
) -> AsyncGenerator[Harness]:
    """Run an integration with its own mapping file, until the block ends.

    `config` is what `integration.config` holds. Raises ConfigurationError as `tidegate run` does.
    """
    clock = clock or SystemClock()
    signals = Signals()
    target = target or MemoryTarget()
    engine = engine or MemoryEngine(clock)
    mapping = read_mapping(integration.mapping_file)
    async with AsyncExitStack() as stack:
        hosts = HostBreakers(clock, signals)
        policy = FetchPolicy.of(config or {}, allow_private=True)  # the test's server is on this machine
        client = await stack.enter_async_context(FetchClient(hosts, clock, policy=policy))
        integration.bind(config or {}, client)
        mapper = JqMapper(mapping.configs)
        stack.push_async_callback(mapper.close)
        dispatcher = assemble(
            integration,
            WorkerPorts(engine, target, mapper, hosts, clock, signals, lambda: uniform, tracing),
            WorkerLimits(runs=workers),
            limits or RunLimits(),
        )
        for hook in integration.start_hooks:
            await hook()
        duties = [
            asyncio.create_task(duty())
            for duty in (dispatcher.keep_routing, dispatcher.keep_processing, dispatcher.leases.keep)
        ]
        running = Harness(integration, engine, target, dispatcher, signals, clock, duties)
        try:
            yield running
        finally:
            await dispatcher.drain(5.0)
            for duty in duties:
                duty.cancel()
            results = await asyncio.gather(*duties, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result
