"""Group commit: what has queued goes into one transaction.

Quick operations run in the event loop, and are committed there: next to a loop that computes, a thread of Python would
spend more on getting the interpreter's lock, statement by statement, than on the work. A thread waits for what may take
long: the write lock, the disk, operations that are not quick, and commits of much. There is one transaction at a time.

The operations of a batch are all committed, or each is tried again in a transaction of its own, so that one
that fails harms nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.ports import Clock
from tidegate.engines.instants import span_us, to_us
from tidegate.engines.sqlite.database import BusyError, Database, SqliteError, is_outage
from tidegate.engines.sqlite.orders import NotBegunError, Order
from tidegate.engines.sqlite.transaction import DamageError, Transaction
from tidegate.engines.wakeups import Wakeups, Work

MAX_BATCH = 256
LOOP_SECONDS = 0.004
"""How long a batch may keep the event loop; what is left goes into the next one."""

COMMIT_SECONDS = LOOP_SECONDS / 2
"""A batch that took longer has much to write: large bodies, say. The thread commits it."""

ResultT = TypeVar("ResultT")


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
    _waiting: deque[Order[Any]] = field(default_factory=deque[Order[Any]])
    _jobs: SimpleQueue[Callable[[], None] | None] = field(
        default_factory=SimpleQueue[Callable[[], None] | None]
    )
    _thread: Thread | None = None
    _due: bool = False  # a pump is scheduled, or a batch is under way
    _closed: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Begin to work."""
        self._idle.set()
        self._thread = Thread(target=self._work, name="tidegate-engine", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Commit what was asked for before, then stop."""
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        self._jobs.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self.database.close()

    def commit(
        self,
        operation: Callable[[Transaction], ResultT],
        lost: Callable[[ResultT], None] | None = None,
        *,
        quick: bool = False,
        durable: bool = True,
    ) -> asyncio.Future[ResultT]:
        """The operation's result, once it is committed. Raises what it raises, and EngineUnavailableError.

        `durable`: and once it is on the disk; otherwise it gets there with the next durable one, and a power failure
        before that undoes it. `lost` is called with the result if the caller was cancelled meanwhile.
        """
        future: asyncio.Future[ResultT] = self._loop.create_future()
        if self._closed:
            future.set_exception(EngineUnavailableError(f"the engine {self.where} is closed"))
            return future
        self._waiting.append(Order(operation, future, lost, quick, durable))
        if not self._due:
            self._schedule()
        return future

    # --- In the loop -----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._due = True
        self._idle.clear()
        self._loop.call_soon(self._pump)  # what this turn of the loop asks for travels together

    def _pump(self) -> None:
        """Begin a batch, if anybody waits."""
        orders = self._take()
        if not orders:
            self._due = False
            self._idle.set()
        elif not orders[0].quick:
            self._hand(lambda: self._commit(orders))
        else:
            self._begin(orders)

    def _take(self) -> list[Order[Any]]:
        """The next orders of one sort, quick or not, without those that nobody wants any more."""
        orders: list[Order[Any]] = []
        while self._waiting and len(orders) < MAX_BATCH:
            order = self._waiting[0]
            if orders and order.quick != orders[0].quick:
                break
            self._waiting.popleft()
            if not order.future.cancelled():
                orders.append(order)
        return orders

    def _begin(self, orders: list[Order[Any]]) -> None:
        """Take the write lock at once if it is free; else let the thread wait for it."""
        try:
            self.database.be_patient(False)
            self._apply(orders, self._transaction())
        except BusyError:
            self._hand(lambda: self._begin_patiently(orders))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            self._refuse(orders, error)
            self._committed(orders, set())

    def _apply(self, orders: list[Order[Any]], transaction: Transaction) -> None:
        """Run the operations, as many as there is time for, and commit them."""
        began = self._loop.time()
        done = 0
        try:
            while done < len(orders) and (done == 0 or self._loop.time() < began + LOOP_SECONDS):
                orders[done].attempt(transaction)
                done += 1
            much = self._loop.time() > began + COMMIT_SECONDS
            if not much:
                transaction.commit()
        except Exception:  # noqa: BLE001 - each is tried again alone
            self._roll_back()
            self._hand(lambda: self._commit_each(orders))
            return
        self._waiting.extendleft(reversed(orders[done:]))
        if much:
            self._hand(lambda: self._end(orders[:done], transaction))
        else:
            self._committed(orders[:done], transaction.added)

    def _committed(self, orders: list[Order[Any]], added: set[Work]) -> None:
        """What was committed is there for all to see. Who counts on the disk is told when it has it."""
        if added:
            self.ring(added)
        counting = [order for order in orders if order.durable and order.done]
        self._tell([order for order in orders if not (order.durable and order.done)], added)
        if counting:
            self._hand(lambda: self._secure(counting))
        else:
            self._schedule()  # after those who were told have asked for more

    def _secured(self, orders: Sequence[Order[Any]]) -> None:
        self._tell(orders, set())
        self._schedule()

    def _tell(self, orders: Sequence[Order[Any]], added: set[Work]) -> None:
        self.wakeups.added(*added)
        for order in orders:
            order.tell()

    # --- In the thread ---------------------------------------------------------------------------------

    def _hand(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # until the next one comes: what it carried is given up in the loop, whose it is

    def _post(self, callback: Callable[..., None], *values: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed before this engine
            self._loop.call_soon_threadsafe(callback, *values)

    def _secure(self, orders: list[Order[Any]]) -> None:
        """Wait for the disk. Nobody who writes waits for that."""
        try:
            self.database.sync()
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            self._refuse(orders, error)
        self._post(self._secured, orders)

    def _begin_patiently(self, orders: list[Order[Any]]) -> None:
        try:
            self.database.be_patient(True)
            transaction = self._transaction()
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            self._refuse(orders, error)
            self._post(self._committed, orders, set())
            return
        self._post(self._apply, orders, transaction)

    def _end(self, orders: list[Order[Any]], transaction: Transaction) -> None:
        try:
            transaction.commit()
        except Exception:  # noqa: BLE001 - each is tried again alone
            self._roll_back()
            self._commit_each(orders)
            return
        self._post(self._committed, orders, transaction.added)

    def _commit(self, orders: list[Order[Any]]) -> None:
        """A whole batch."""
        added = set[Work]()
        failure = self._transact([order.attempt for order in orders], added)
        if isinstance(failure, NotBegunError):
            self._refuse(orders, failure.reason)
        elif failure is not None:
            self._commit_each(orders)
            return
        self._post(self._committed, orders, added)

    def _commit_each(self, orders: list[Order[Any]]) -> None:
        """Each in a transaction of its own.

        Once more if a damaged row was in the way: it is put aside in a transaction before that one.
        """
        added = set[Work]()
        for order in orders:
            order.outcome = None
            failure = self._transact([order.attempt], added)
            while isinstance(failure, DamageError):
                failure = self._transact([failure.put_aside], added) or self._transact([order.attempt], added)
            if failure is not None:
                self._refuse([order], failure.reason if isinstance(failure, NotBegunError) else failure)
        self._post(self._committed, orders, added)

    def _transact(self, steps: list[Callable[[Transaction], None]], added: set[Work]) -> Exception | None:
        """One transaction; the error if it was rolled back. No error may end this thread."""
        try:
            self.database.be_patient(True)
            transaction = self._transaction()
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

    # --- In either, while the other has nothing to do with the database -----------------------------------

    def _transaction(self) -> Transaction:
        now_us, lease_us = to_us(self.clock.now()), span_us(self.lease_seconds)
        return Transaction.begin(self.database, now_us, lease_us, self.max_backlog)

    def _roll_back(self) -> None:
        if self.database.in_transaction:
            with suppress(SqliteError):  # there is nothing else to be done; the next BEGIN tells
                self.database.run("ROLLBACK")

    def _refuse(self, orders: Sequence[Order[Any]], error: Exception) -> None:
        self._roll_back()
        if is_outage(error):
            error = EngineUnavailableError(f"the engine {self.where} cannot commit now: {error}")
        for order in orders:
            order.outcome = error
