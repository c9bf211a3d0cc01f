"""Routes claimed events, one after the other: who has to wait for something leaves the others to another task.

Routing asks authors' code about a payload, which hardly ever waits. So a batch of claims takes one task, and its
answers travel to the engine together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.ports import Clock, Engine
from tidegate.core.runs import EventClaim, Routing
from tidegate.pipeline.routing import Router
from tidegate.worker.traces import WorkTraces
from tidegate.worker.wakeups import ENGINE_PAUSE_SECONDS


@dataclass(eq=False, slots=True)
class _Share:
    """What one task has in hand: claims whose processors are to be asked, and answers to be stored."""

    claims: deque[EventClaim]
    routed: list[tuple[EventClaim, Routing]]

    def split(self) -> "_Share":
        """All but the first claim goes to another task."""
        first = self.claims.popleft()
        rest = _Share(self.claims, self.routed)
        self.claims, self.routed = deque((first,)), []
        return rest


@dataclass(eq=False, slots=True)
class Routings:
    """The events that are being routed. `ended` is called when a task has done its share."""

    engine: Engine
    router: Router
    clock: Clock
    traces: WorkTraces
    ended: Callable[[], None]
    _shares: dict[asyncio.Task[None], _Share] = field(default_factory=dict[asyncio.Task[None], _Share])

    def __len__(self) -> int:
        return sum(len(share.claims) + len(share.routed) for share in self._shares.values())

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return set(self._shares)

    def start(self, claims: Sequence[EventClaim]) -> None:
        """Route events that were claimed together."""
        self._start(_Share(deque(claims), []))

    def _start(self, share: _Share) -> None:
        task = asyncio.create_task(self._route(share), name="tidegate-route")
        self._shares[task] = share
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._shares[task]
        self.ended()

    async def _route(self, share: _Share) -> None:
        while share.claims:
            claim = share.claims[0]
            with self.traces.routing(claim) as span:
                routing = await self.router.route(claim, lambda: self._leave_to_another(share))
                span.note(runs=len(routing.runs), reason=routing.reason)
            share.claims.popleft()
            share.routed.append((claim, routing))
        await self._store(share.routed)

    def _leave_to_another(self, share: _Share) -> None:
        """All but the claim that has to wait."""
        if len(share.claims) > 1 or share.routed:
            self._start(share.split())

    async def _store(self, routed: list[tuple[EventClaim, Routing]]) -> None:
        """Until all of it is committed, or the leases are over: then somebody routes the rest again."""
        ends_at = self.clock.monotonic() + self.engine.lease_seconds
        while True:
            stored = [self.engine.route(claim, routing) for claim, routing in routed]
            answers = await asyncio.gather(*stored, return_exceptions=True)
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            for error in errors:
                if not isinstance(error, EngineUnavailableError):
                    raise error
            if not errors or self.clock.monotonic() >= ends_at:
                return
            routed = [
                pair for pair, answer in zip(routed, answers, strict=True) if isinstance(answer, Exception)
            ]
            await asyncio.sleep(ENGINE_PAUSE_SECONDS)
