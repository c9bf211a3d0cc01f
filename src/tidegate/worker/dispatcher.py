"""Keeps the pipeline busy: claims events to route and runs to process, as many as there are free places.

One place is kept for every processor that has nothing in hand, so that a hanging one cannot take them all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from tidegate.core.errors import EngineUnavailableError, StaleClaimError
from tidegate.core.ports import Clock, Engine
from tidegate.core.runs import Released, RunClaim, Settlement
from tidegate.core.signals import Telemetry
from tidegate.core.traces import Span
from tidegate.pipeline.applying import StateApplier
from tidegate.pipeline.processing import RunProcessor
from tidegate.pipeline.routing import Router
from tidegate.worker.leases import Lease, LeaseKeeper
from tidegate.worker.pauses import ProcessorPauses
from tidegate.worker.reports import report
from tidegate.worker.routings import Routings
from tidegate.worker.traces import WorkTraces
from tidegate.worker.wakeups import ENGINE_PAUSE_SECONDS, POLL_SECONDS, Wakeup

SUSPICIOUS_EXPIRATIONS = 2
"""A run whose worker died so often is processed alone: whoever is in hand with it dies with it."""

SUSPECT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How many `runs` ask a third party at once (the setting event_workers_count), and events are routed at once.

    A run that needs the third party no more makes room for the next while it waits for the disk and the target:
    many then share one commit and one request. A limit of 1 is for who wants one run after another.
    """

    runs: int = 32
    routings: int = 64

    @property
    def in_hand(self) -> int:
        """How many runs may be in hand in all."""
        return 1 if self.runs == 1 else 4 * self.runs


@dataclass(frozen=True, slots=True)
class _Room:
    places: int
    excluding: frozenset[str]


@dataclass(eq=False, slots=True)
class Dispatcher:
    """Claims, hands out, settles. `keep_routing` and `keep_processing` are its duties; `drain` ends them."""

    engine: Engine
    router: Router
    processor: RunProcessor
    applier: StateApplier
    pauses: ProcessorPauses
    leases: LeaseKeeper
    processors: tuple[str, ...]
    clock: Clock
    telemetry: Telemetry
    traces: WorkTraces
    limits: WorkerLimits = WorkerLimits()
    _routings: Routings = field(init=False)
    _runs: dict[asyncio.Task[object], RunClaim] = field(default_factory=dict[asyncio.Task[object], RunClaim])
    _asking: dict[int, RunClaim] = field(default_factory=dict[int, RunClaim])
    _routing_wakeup: Wakeup | None = None
    _run_wakeup: Wakeup | None = None
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = False

    def __post_init__(self) -> None:
        self._routings = Routings(
            self.engine, self.router, self.clock, self.traces, lambda: _ring(self._routing_wakeup)
        )

    @property
    def runs_in_hand(self) -> int:
        return len(self._runs)

    async def keep_routing(self) -> None:
        """Route events until drained."""
        wakeup = self._routing_wakeup = Wakeup(lambda: self.engine.wait(POLL_SECONDS, runs=False))
        try:
            while not self._draining:
                await wakeup.listen()
                room = self.limits.routings - len(self._routings)
                claims = await self.engine.claim_events(room) if room > 0 else []
                if claims:
                    self._routings.start(claims)
                else:
                    await wakeup.wait()
        finally:
            await wakeup.close()

    async def keep_processing(self) -> None:
        """Process runs until drained."""
        wakeup = self._run_wakeup = Wakeup(lambda: self.engine.wait(POLL_SECONDS, events=False))
        try:
            while not self._draining:
                await wakeup.listen()
                claims = await self._claim_runs()
                if not claims:
                    await wakeup.wait(self._patience_seconds())
        finally:
            await wakeup.close()

    async def drain(self, limit_seconds: float) -> None:
        """Claim nothing new, let what is in hand finish, and release what does not in time."""
        self._draining = True
        _ring(self._routing_wakeup)
        _ring(self._run_wakeup)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + limit_seconds
        while tasks := {*self._routings.tasks, *self._runs}:  # a routing may begin another task
            _, late = await asyncio.wait(tasks, timeout=max(ends_at - loop.time(), 0.0))
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self.applier.close()

    async def _claim_runs(self) -> list[RunClaim]:
        room = self._room()
        if room.places <= 0:
            return []
        asked_at = self.clock.monotonic()
        claims = await self.engine.claim_runs(room.places, room.excluding)
        suspects = [claim for claim in claims if _is_suspicious(claim)]
        for claim in claims:
            if not suspects or claim is suspects[0]:
                self._start_run(claim, asked_at)
            else:
                self._give_back(claim, asked_at)
        return claims

    def _room(self) -> "_Room":
        """How many runs may be claimed now, and of which processors not."""
        free, taken = min(
            (self.limits.runs - len(self._asking), self._asking.values()),
            (self.limits.in_hand - len(self._runs), self._runs.values()),
            key=itemgetter(0),
        )
        if self.applier.breaker.is_open:
            # One run at a time probes the target, once its pause is over.
            free = 0 if self._runs or self._target_wait_seconds() > 0 else min(free, 1)
        if free <= 0 or any(map(_is_suspicious, self._runs.values())):
            return _Room(0, frozenset())
        busy = {claim.processor for claim in taken}
        idle = [name for name in self.processors if name not in busy]
        paused = self.pauses.paused()
        if free > len(idle):
            return _Room(max(free - len(idle), 1), paused)
        return _Room(free if idle else 0, paused | busy)

    def _target_wait_seconds(self) -> float:
        return self.applier.breaker.wait_seconds(self.clock.monotonic())

    def _patience_seconds(self) -> float:
        """How long to wait when there is nothing to claim: until a pause ends, at most POLL_SECONDS."""
        waits = [POLL_SECONDS, self._target_wait_seconds() or POLL_SECONDS]
        paused = self.pauses.wait_seconds()
        if paused is not None:
            waits.append(paused)
        return max(min(waits), 0.01)

    def _start_run(self, claim: RunClaim, asked_at: float) -> None:
        self._asking[claim.token] = claim
        lease = self.leases.take(claim, asked_at, lambda: self._makes_room(claim))
        lease.task = self._keep(claim, self._run(claim, lease))

    def _give_back(self, claim: RunClaim, asked_at: float) -> None:
        """A suspect came with it, which it must not be in hand with when that takes this process down."""
        delay_seconds = SUSPECT_PAUSE_SECONDS if _is_suspicious(claim) else 0.0
        back = Released(delay_seconds, "it waits for a run that workers died of")
        lease_end = asked_at + self.engine.lease_seconds
        self._keep(claim, self._until_committed(lambda: self.engine.settle(claim, back), lease_end))

    def _keep(self, claim: RunClaim, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.create_task(work, name=f"tidegate-run-{claim.run_id}")
        self._runs[task] = claim
        task.add_done_callback(self._run_ended)
        return task

    def _run_ended(self, task: asyncio.Task[object]) -> None:
        claim = self._runs.pop(task)
        self._asking.pop(claim.token, None)
        self.leases.drop(claim)
        self._left.set()
        _ring(self._run_wakeup)

    def _makes_room(self, claim: RunClaim) -> None:
        if self._asking.pop(claim.token, None) is not None:
            _ring(self._run_wakeup)

    async def _alone(self) -> None:
        """Wait until nothing else is in hand."""
        while len(self._runs) > 1:
            self._left.clear()
            await self._left.wait()

    async def _run(self, claim: RunClaim, lease: Lease) -> None:
        with self.traces.run(claim) as span:
            settlement = await self._attempt(claim, lease, span)
            if settlement is None:
                await self._came_late(lease)
            else:
                self.traces.conclude(span, settlement)
                await self._settle(claim, settlement, lease)

    async def _attempt(self, claim: RunClaim, lease: Lease, span: Span) -> Settlement | None:
        """The attempt's settlement; None if the lease is lost and there is nothing to settle."""
        try:
            if _is_suspicious(claim):
                await self._alone()
            await self.traces.link(span, claim)
            return await self.processor.process(claim, lease)
        except StaleClaimError:
            return None
        except asyncio.CancelledError:
            if lease.lost:
                return None
            return Released(0.0, "the worker is shutting down")

    async def _settle(self, claim: RunClaim, settlement: Settlement, lease: Lease) -> None:
        settled = await self._until_committed(lambda: self.engine.settle(claim, settlement), lease.ends_at)
        if not settled:
            await self._came_late(lease)
        if isinstance(settlement, Released) and settlement.waits_for is not None:
            self.pauses.learn(claim.processor, settlement.waits_for)
        report(self.telemetry, self.clock.now(), claim, settlement, stale=not settled)

    async def _came_late(self, lease: Lease) -> None:
        """What was sent under a lease that is over may lie over a newer write, and the target cannot tell."""
        if not lease.sent or self.applier.target.fenced:
            return None
        while True:
            try:
                return await self.engine.refresh(lease.claim, lease.sent)
            except EngineUnavailableError:
                await asyncio.sleep(ENGINE_PAUSE_SECONDS)

    async def _until_committed(self, verb: Callable[[], Awaitable[bool]], ends_at: float) -> bool:
        """Call a verb of the engine until it commits or the lease is over: another worker takes it up then."""
        while True:
            try:
                return await verb()
            except EngineUnavailableError:
                if self.clock.monotonic() >= ends_at:
                    return False
                await asyncio.sleep(ENGINE_PAUSE_SECONDS)


def _is_suspicious(claim: RunClaim) -> bool:
    return claim.expirations >= SUSPICIOUS_EXPIRATIONS


def _ring(wakeup: Wakeup | None) -> None:
    if wakeup is not None:
        wakeup.ring()
