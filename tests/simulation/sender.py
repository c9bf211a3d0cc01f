"""The third party's webhooks: doubled, late, out of order, dropped and sent again, and forged ones among them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from tests.simulation.source import NAMES, Resource
from tests.simulation.weather import Weather
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.ports import Accepted, Clock, Duplicate, EnqueueOutcome

PATH = "/webhook"


@dataclass
class Sender:
    """Delivers until each delivery was answered. `accepted` has the payloads by seq."""

    weather: Weather
    rng: Random
    clock: Clock
    enqueue: Callable[[IncomingEvent], Awaitable[EnqueueOutcome]]
    accepted: dict[int, dict[str, Any]] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    on_its_way: set[asyncio.Task[None]] = field(default_factory=set)
    _made: int = 0

    def announce(self, action: str, resource: Resource) -> None:
        """Send a webhook about a change, and whatever else comes with it."""
        payload = {"action": action, "item": resource.item}
        self._made += 1
        delivery_id = f"delivery-{self._made}" if self.rng.random() < 0.8 else None
        self._send(payload, delivery_id)
        if self.rng.random() < self.weather.doubles:
            self._send(payload, delivery_id)
        if self.rng.random() < self.weather.forgeries:
            name = self.rng.choice(NAMES)
            self._send(
                {
                    "action": self.rng.choice(("updated", "deleted")),
                    "item": {**resource.item, "name": name, "version": 10**6},
                    "forged": True,
                },
                None,
            )

    def _send(self, payload: dict[str, Any], delivery_id: str | None) -> None:
        late = self.rng.random() < self.weather.late_webhooks
        delay = self.rng.random() * (self.rng.choice((1.0, 30.0)) if late else 0.05)
        task = asyncio.create_task(self._deliver(payload, delivery_id, delay))
        self.on_its_way.add(task)
        task.add_done_callback(self.on_its_way.discard)

    async def _deliver(self, payload: dict[str, Any], delivery_id: str | None, delay: float) -> None:
        await asyncio.sleep(delay)
        while self.rng.random() < self.weather.late_webhooks / 2:
            await asyncio.sleep(self.rng.choice((1.0, 10.0)))  # dropped on its way: sent again
        event = self.event(payload, delivery_id)
        outcome = await self.enqueue(event)
        match outcome:
            case Accepted(seq=seq):
                self.accepted[seq] = payload
                self.ids[seq] = event.id
            case Duplicate():
                pass
            case other:
                raise AssertionError(f"not accepted: {other}")

    def new_id(self) -> str:
        """An id that no event has yet."""
        self._made += 1
        return f"{self._made:08x}-simulated"

    def event(self, payload: dict[str, Any], delivery_id: str | None) -> IncomingEvent:
        """What the ingress makes of a delivery."""
        return IncomingEvent(
            id=self.new_id(),
            path=PATH,
            headers=EventHeaders({"content-type": "application/json"}),
            body=msgspec.json.encode(payload),
            received_at=self.clock.now(),
            trace_id="0" * 32,
            delivery_id=delivery_id,
        )
