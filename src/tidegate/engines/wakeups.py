"""Who waits for work, and when to let them look: after a commit, when a delay or lease ends, or when told to."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from tidegate.core.ports import Clock


class Work(Enum):
    """What can be claimed."""

    EVENTS = "events"
    RUNS = "runs"


@dataclass(eq=False, slots=True)
class Wakeups:
    """Belongs to one event loop. Whoever waits before looking misses nothing. Who waits longest looks first."""

    clock: Clock
    _waiting: dict[Work, dict[asyncio.Future[None], None]] = field(
        default_factory=lambda: {work: dict[asyncio.Future[None], None]() for work in Work}
    )
    _timers: dict[Work, asyncio.TimerHandle] = field(default_factory=dict[Work, asyncio.TimerHandle])

    def added(self, *works: Work) -> None:
        """Something was committed that may be claimable: let those look who wait for it."""
        for work in works:
            for waiting in self._waiting[work]:
                _resolve(waiting)

    def expect(self, work: Work, due: datetime | None) -> None:
        """Nothing more is claimable before `due`, for all that is known now."""
        timer = self._timers.pop(work, None)
        if timer is not None:
            timer.cancel()
        if due is not None:
            delay = max((due - self.clock.now()).total_seconds(), 0.0)
            self._timers[work] = asyncio.get_running_loop().call_later(delay, self.added, work)

    def wake(self) -> None:
        """Let all waiters look."""
        self.added(*Work)

    async def wait(self, wants: frozenset[Work], timeout_seconds: float) -> None:
        """Return when there may be work of the wanted sorts, or after the time-out."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(max(timeout_seconds, 0.0), _resolve, woken)
        for work in wants:
            self._waiting[work][woken] = None
        try:
            await woken
        finally:
            timer.cancel()
            for work in wants:
                self._waiting[work].pop(woken, None)

    def close(self) -> None:
        """Let all waiters go, and expect nothing more."""
        for work in Work:
            self.expect(work, None)
        self.wake()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
