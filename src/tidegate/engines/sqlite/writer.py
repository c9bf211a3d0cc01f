"""Group commit: one thread owns the writing connection and drains what has queued into one transaction.

The operations of a batch are all committed, or each is tried again in a transaction of its own, so that one
that fails harms nobody else.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeAlias, TypeVar

from tidegate.core.errors import EngineUnavailableError, TidegateError
from tidegate.core.ports import Clock
from tidegate.engines.instants import span_us, to_us
from tidegate.engines.sqlite.database import Database, SqliteError, is_outage
from tidegate.engines.sqlite.transaction import DamageError, Transaction
from tidegate.engines.wakeups import Wakeups, Work

MAX_BATCH = 256

ResultT = TypeVar("ResultT")
Step: TypeAlias = Callable[[Transaction], None]


class NotBegunError(Exception):
    """The write lock was not to be had: nothing was tried. Stays inside this module."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(eq=False, slots=True)
class Order(Generic[ResultT]):
    """An operation on its way through a transaction, and who waits for its outcome."""

    operation: Callable[[Transaction], ResultT]
    future: asyncio.Future[ResultT]
    lost: Callable[[ResultT], None] | None
    outcome: tuple[ResultT] | Exception | None = None

    def attempt(self, transaction: Transaction) -> None:
        """Run it. A refusal (TidegateError) is an outcome; anything else is raised and undoes the batch."""
        try:
            self.outcome = (self.operation(transaction),)
        except TidegateError as refusal:
            self.outcome = refusal

    def tell(self) -> None:
        """Give the outcome to who waits for it, or a result that nobody waits for to `lost`."""
        match self.outcome:
            case (result,):
                if not self.future.done():
                    self.future.set_result(result)
                elif self.lost is not None:
                    self.lost(result)
            case Exception() as error:
                if not self.future.done():
                    self.future.set_exception(error)
            case _:
                pass


@dataclass(eq=False, slots=True)
class Writer:
    """Commits operations. Made, used and closed in one event loop; `where` names the file in errors, `ring`
    tells other processes what may be claimable.
    """

    database: Database
    where: str
    clock: Clock
    wakeups: Wakeups
    ring: Callable[[set[Work]], None]
    lease_seconds: float
    max_backlog: int
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _unsent: list[Order[Any]] = field(default_factory=list[Order[Any]])
    _queue: SimpleQueue[list[Order[Any]] | None] = field(default_factory=SimpleQueue[list[Order[Any]] | None])
    _thread: Thread | None = None
    _closed: bool = False

    def start(self) -> None:
        """Begin to work."""
        self._thread = Thread(target=self._work, name="tidegate-engine", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Commit what was asked for before, then stop."""
        if self._closed:
            return
        self._closed = True
        self._send()
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the last outcomes were posted to this loop
        self.database.close()

    async def commit(
        self, operation: Callable[[Transaction], ResultT], lost: Callable[[ResultT], None] | None = None
    ) -> ResultT:
        """The operation's result, once it is durable. Raises what it raises, and EngineUnavailableError.

        `lost` is called with the result if the caller was cancelled meanwhile.
        """
        return await self.order(operation, lost)

    def order(
        self, operation: Callable[[Transaction], ResultT], lost: Callable[[ResultT], None] | None = None
    ) -> asyncio.Future[ResultT]:
        """As `commit`, for who does not wait."""
        future: asyncio.Future[ResultT] = self._loop.create_future()
        if self._closed:
            future.set_exception(EngineUnavailableError(f"the engine {self.where} is closed"))
            return future
        if not self._unsent:
            self._loop.call_soon(self._send)  # what this turn of the loop asks for travels together
        self._unsent.append(Order(operation, future, lost))
        return future

    def _send(self) -> None:
        if self._unsent:
            self._queue.put(self._unsent)
            self._unsent = []

    # --- the thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            orders, last = self._drain(first)
            wanted = [order for order in orders if not order.future.cancelled()]
            added = self._commit(wanted) if wanted else set[Work]()
            if added:
                self.ring(added)
            with suppress(RuntimeError):  # the loop was closed before this engine
                self._loop.call_soon_threadsafe(self._publish, wanted, added)
            if last:
                return

    def _drain(self, first: list[Order[Any]]) -> tuple[list[Order[Any]], bool]:
        """What has queued, up to a limit; True if it is the end."""
        orders = first
        while len(orders) < MAX_BATCH:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                return orders, True
            orders = orders + more
        return orders, False

    def _commit(self, orders: list[Order[Any]]) -> set[Work]:
        """Fill in the outcomes; answers what may be claimable now."""
        added = set[Work]()
        failure = self._transact([order.attempt for order in orders], added)
        if failure is None:
            return added
        if isinstance(failure, NotBegunError):
            for order in orders:
                order.outcome = self._named(failure)
            return added
        for order in orders:
            self._commit_alone(order, added)
        return added

    def _commit_alone(self, order: Order[Any], added: set[Work]) -> None:
        """Once more if a damaged row was in the way: it is put aside in a transaction before that one."""
        failure = self._transact([order.attempt], added)
        while isinstance(failure, DamageError):
            failure = self._transact([failure.put_aside], added) or self._transact([order.attempt], added)
        if failure is not None:
            order.outcome = self._named(failure)

    def _transact(self, steps: list[Step], added: set[Work]) -> Exception | None:
        """One transaction; the error if it was rolled back. No error may end this thread."""
        try:
            now_us, lease_us = to_us(self.clock.now()), span_us(self.lease_seconds)
            transaction = Transaction.begin(self.database, now_us, lease_us, self.max_backlog)
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            self._roll_back()
            return NotBegunError(error)
        try:
            for step in steps:
                step(transaction)
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - as above
            self._roll_back()
            return error
        added |= transaction.added
        return None

    def _roll_back(self) -> None:
        if self.database.in_transaction:
            with suppress(SqliteError):  # there is nothing else to be done; the next BEGIN tells
                self.database.run("ROLLBACK")

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, NotBegunError):
            error = error.reason
        if not is_outage(error):
            return error
        return EngineUnavailableError(f"the engine {self.where} cannot commit now: {error}")

    # --- back in the loop ------------------------------------------------------------------------------

    def _publish(self, orders: list[Order[Any]], added: set[Work]) -> None:
        self.wakeups.added(*added)
        for order in orders:
            order.tell()
