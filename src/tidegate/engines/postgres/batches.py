"""Group commit: what is asked for while a transaction is on its way travels together in the next one.

The calls of a batch are all committed, or each is tried again in a transaction of its own, so that one that fails
harms nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Generic, TypeVar

from tidegate.core.errors import EngineUnavailableError
from tidegate.postgres import Failure, failure_of, said

CallT = TypeVar("CallT")
ResultT = TypeVar("ResultT")

TRIES = 6
"""How often a transaction is tried that others got in the way of."""

_FIRST_PAUSE_SECONDS = 0.005


@dataclass(eq=False, slots=True)
class Order(Generic[CallT, ResultT]):
    """A call on its way, and who waits for its result."""

    call: CallT
    future: asyncio.Future[ResultT]


@dataclass(eq=False, slots=True)
class Batches(Generic[CallT, ResultT]):
    """The calls of one verb. `send` commits some and answers their results, in order; a result that is an exception
    is raised to its caller. `lost` is told results whose caller was cancelled meanwhile.
    """

    send: Callable[[Sequence[CallT]], Awaitable[Sequence[ResultT | Exception]]]
    where: str
    most: int = 64
    at_once: int = 2
    lost: Callable[[ResultT], None] | None = None
    _waiting: deque[Order[CallT, ResultT]] = field(default_factory=deque[Order[CallT, ResultT]])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _scheduled: bool = False
    _closed: bool = False
    _random: SystemRandom = field(default_factory=SystemRandom)

    async def commit(self, call: CallT) -> ResultT:
        """The call's result, once it is durable. Raises EngineUnavailableError."""
        return await self.order(call)

    def order(self, call: CallT) -> asyncio.Future[ResultT]:
        """As `commit`, for who does not wait."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultT] = loop.create_future()
        if self._closed:
            future.set_exception(EngineUnavailableError(f"the engine {self.where} is closed"))
            return future
        self._waiting.append(Order(call, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start)  # what this turn of the loop asks for travels together
        return future

    async def close(self) -> None:
        """Commit what was asked for before, then stop."""
        self._closed = True
        while self._waiting or self._tasks:
            self._start()
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < self.at_once:
            orders = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
            wanted = [order for order in orders if not order.future.cancelled()]
            if wanted:
                task = asyncio.create_task(self._commit(wanted))
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    async def _commit(self, orders: Sequence[Order[CallT, ResultT]]) -> None:
        try:
            results = await self._tried([order.call for order in orders])
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            if len(orders) > 1 and not isinstance(error, EngineUnavailableError):
                for order in orders:
                    await self._commit([order])
                return
            results = [error] * len(orders)
        for order, result in zip(orders, results, strict=True):
            self._tell(order, result)

    async def _tried(self, calls: Sequence[CallT]) -> Sequence[ResultT | Exception]:
        for number in range(TRIES):
            try:
                return await self.send(calls)
            except Exception as error:
                failure = failure_of(error)
                if failure is None or (failure is Failure.UNDONE and len(calls) > 1 and number == TRIES - 1):
                    raise
                if failure is Failure.OUTAGE or number == TRIES - 1:
                    raise EngineUnavailableError(
                        f"the engine {self.where} cannot commit now: {said(error)}"
                    ) from error
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**number * (0.5 + self._random.random()))
        raise AssertionError("the last try returns or raises")

    def _tell(self, order: Order[CallT, ResultT], result: ResultT | Exception) -> None:
        if isinstance(result, Exception):
            if not order.future.done():
                order.future.set_exception(result)
        elif not order.future.done():
            order.future.set_result(result)
        elif self.lost is not None:
            self.lost(result)
