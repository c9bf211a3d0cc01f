"""The state applier: batches the plans of concurrent runs into few requests to the target.

Changes of one entity never travel at the same time, a change whose run lost its lease is not sent, and
nothing waits while the target is idle.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.core.breaker import CircuitBreaker
from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError, TargetUnavailableError
from tidegate.core.ports import Change, ChangeOutcome, Clock, EntityTarget
from tidegate.core.signals import BatchApplied, DependencyPaused, Telemetry
from tidegate.core.traces import NO_TRACING, Span, SpanKind, Tracing

MAX_REQUESTS_IN_FLIGHT = 4


@dataclass(eq=False, slots=True)
class _Order:
    """What one call of `apply` asked for, and what has become of it so far."""

    still_valid: Callable[[], bool]
    carrier: dict[str, str]
    size: int
    ended: asyncio.Future[None]
    outcomes: dict[int, ChangeOutcome | Exception] = field(
        default_factory=dict[int, ChangeOutcome | Exception]
    )
    requests: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])

    def settle(self, position: int, outcome: ChangeOutcome | Exception) -> None:
        """Note what became of one change; after the last one, wake who waits."""
        self.outcomes[position] = outcome
        if len(self.outcomes) == self.size and not self.ended.done():
            self.ended.set_result(None)


class _Pending(NamedTuple):
    """One change on its way."""

    ref: EntityRef
    change: Change
    order: _Order
    position: int


@dataclass(eq=False, slots=True)
class StateApplier:
    """Applies changes to one target. Belongs to one event loop; `close` it when done."""

    target: EntityTarget
    clock: Clock
    telemetry: Telemetry
    tracing: Tracing = NO_TRACING
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    _waiting: deque[_Pending] = field(default_factory=deque[_Pending])
    _travelling: set[EntityRef] = field(default_factory=set[EntityRef])
    _requests: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _pump_scheduled: bool = False

    async def apply(
        self, changes: Sequence[Change], still_valid: Callable[[], bool] = lambda: True
    ) -> list[ChangeOutcome]:
        """Apply changes of distinct entities; one outcome each, in order.

        `still_valid` is asked right before a change is sent. Raises StaleClaimError if it says no, and
        TargetUnavailableError while the target is out; some of the changes may then have been applied. Who is
        cancelled waits for what is on its way: nothing lands after this has ended.
        """
        if not changes:
            return []
        if not self.breaker.admit(self.clock.monotonic()):
            wait = self.breaker.wait_seconds(self.clock.monotonic())
            raise TargetUnavailableError(
                f"the target is paused: {self.breaker.reason}", retry_after_seconds=wait
            )
        ended = asyncio.get_running_loop().create_future()
        order = _Order(still_valid, self.tracing.carried(), len(changes), ended)
        self._waiting.extend(
            _Pending(change.ref, change, order, position) for position, change in enumerate(changes)
        )
        self._schedule_pump()
        try:
            await ended
        except asyncio.CancelledError:
            if order.requests:
                await asyncio.wait(order.requests)
            raise
        finally:
            if not order.requests:
                self.breaker.abandoned()
        return [_outcome_or_raise(order.outcomes[position]) for position in range(len(changes))]

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        """Which of these this integration wrote, as the target knows it. Raises TargetUnavailableError."""
        if not refs:
            return frozenset()
        try:
            return await self.target.owned(refs)
        except TargetUnavailableError as error:
            self._failed(error)
            raise

    def _schedule_pump(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        while self._waiting and len(self._requests) < MAX_REQUESTS_IN_FLIGHT:
            batch = self._take_batch()
            if not batch:
                return
            self._travelling.update(entry.ref for entry in batch)
            request = asyncio.create_task(self._send(batch), name="tidegate-apply")
            self._requests.add(request)
            for entry in batch:
                entry.order.requests.add(request)

    def _take_batch(self) -> list[_Pending]:
        """The first changes whose entities do not travel now; the order of one entity's changes is kept."""
        batch: list[_Pending] = []
        passed_over: deque[_Pending] = deque()
        taken: set[EntityRef] = set()
        while self._waiting and len(batch) < self.target.batch_limit:
            entry = self._waiting.popleft()
            ref = entry.ref
            if entry.order.ended.done():
                continue  # its run was cancelled
            if ref in self._travelling or ref in taken:
                passed_over.append(entry)
            elif not entry.order.still_valid():
                entry.order.settle(entry.position, StaleClaimError("the lease ended before the write"))
            else:
                batch.append(entry)
            taken.add(ref)
        passed_over.extend(self._waiting)
        self._waiting = passed_over
        return batch

    async def _send(self, batch: list[_Pending]) -> None:
        began = self.clock.monotonic()
        try:
            with self._span(batch):
                outcomes = await self.target.apply([entry.change for entry in batch])
        except TargetUnavailableError as error:
            self._failed(error)
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - an adapter's bug must reach its runs, not vanish in a task
            self.breaker.abandoned()
            _fail(batch, error)
        else:
            self._succeeded(len(batch), self.clock.monotonic() - began)
            for entry, outcome in zip(batch, outcomes, strict=True):
                entry.order.settle(entry.position, outcome)
        finally:
            self._travelling.difference_update(entry.ref for entry in batch)
            request = asyncio.current_task()
            if request is not None:
                self._requests.discard(request)
            if self._waiting:
                self._schedule_pump()

    def _span(self, batch: list[_Pending]) -> AbstractContextManager[Span]:
        """Below the span of its run, if the request is of one run only; else linked to those of all."""
        carriers = {id(entry.order): entry.order.carrier for entry in batch} if self.tracing.enabled else {}
        of_runs = list(carriers.values())
        parent = of_runs[0] if len(of_runs) == 1 else {}
        links = of_runs if len(of_runs) > 1 else ()
        return self.tracing.span("apply", SpanKind.CLIENT, parent, links, changes=len(batch))

    def _succeeded(self, changes: int, duration_seconds: float) -> None:
        if self.breaker.is_open:
            self.telemetry.emit(DependencyPaused("target", paused=False, reason=""))
        self.breaker.succeeded()
        self.telemetry.emit(BatchApplied(changes, duration_seconds))

    def _failed(self, error: TargetUnavailableError) -> None:
        was_open = self.breaker.is_open
        self.breaker.failed(self.clock.monotonic(), str(error), error.retry_after_seconds)
        if self.breaker.is_open and not was_open:
            self.telemetry.emit(DependencyPaused("target", paused=True, reason=str(error)))

    async def close(self) -> None:
        """Wait for what is on its way."""
        while self._requests:
            await asyncio.wait(self._requests)


def _fail(batch: list[_Pending], error: Exception) -> None:
    for entry in batch:
        entry.order.settle(entry.position, error)


def _outcome_or_raise(outcome: ChangeOutcome | Exception) -> ChangeOutcome:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
