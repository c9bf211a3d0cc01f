"""The target: slow, at times out, losing answers, refusing; with fences or without."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.simulation.weather import Weather
from tidegate.core.errors import TargetUnavailableError
from tidegate.core.ports import Change, ChangeOutcome, Refused
from tidegate.testing.memory_target import MemoryTarget


@dataclass
class Catalog:
    """The server's side: what was sent is applied even if nobody waits for the answer any more."""

    weather: Weather
    rng: Random
    kept: MemoryTarget
    tell: Callable[[str], None]
    calm: bool = False
    handling: set[asyncio.Task[list[ChangeOutcome]]] = field(default_factory=set)

    def take(self, changes: Sequence[Change]) -> asyncio.Task[list[ChangeOutcome]]:
        """A request has arrived."""
        task = asyncio.create_task(self._handle(changes))
        self.handling.add(task)
        task.add_done_callback(self._handled)
        return task

    def _handled(self, task: asyncio.Task[list[ChangeOutcome]]) -> None:
        self.handling.discard(task)
        if not task.cancelled():
            task.exception()  # whoever sent it may be gone

    async def _handle(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        await self._pass_time()
        if not self.calm and self.rng.random() < self.weather.outages:
            retry_after = self.rng.choice((None, 2.0))
            raise TargetUnavailableError("503", retry_after_seconds=retry_after)
        outcomes = await self.kept.apply(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            self.tell(f"catalog: {change}: {outcome}")
        await self._pass_time()
        if not self.calm and self.rng.random() < self.weather.lost_answers:
            raise TargetUnavailableError("no answer came")
        return outcomes

    async def _pass_time(self) -> None:
        await asyncio.sleep(self.rng.random() * self.weather.write_seconds)

    def refuse(self, _: Change) -> Refused | None:
        """Refuse an entity now and then: for now, or for good."""
        if self.calm or self.rng.random() >= self.weather.refusals:
            return None
        return Refused("it looks wrong", retryable=self.rng.random() < 0.7)


def open_catalog(weather: Weather, rng: Random, tell: Callable[[str], None]) -> Catalog:
    """An empty one."""
    kept = MemoryTarget(fenced=weather.fenced, batch_limit=rng.choice((1, 3, 20)))
    catalog = Catalog(weather, rng, kept, tell)
    catalog.kept.refuse = catalog.refuse
    return catalog
