"""Housekeeping: finished events are forgotten when their time is over."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from tidegate.core.ports import Clock, EngineOperations

BATCH = 500


@dataclass(frozen=True, slots=True)
class Pruner:
    """Prunes in small transactions, so that nobody waits for it."""

    engine: EngineOperations
    clock: Clock
    retention: timedelta
    interval_seconds: float = 60.0

    async def keep(self) -> None:
        """Prune until cancelled."""
        while True:
            await self.prune()
            await asyncio.sleep(self.interval_seconds)

    async def prune(self) -> int:
        """Prune all that is due; answers how many events."""
        total = 0
        while True:
            pruned = await self.engine.prune(self.clock.now() - self.retention, BATCH)
            total += pruned
            if pruned < BATCH:
                return total
            await asyncio.sleep(0)
