"""Group commit: one thread owns the writing connection, and what has queued shares one transaction and one fsync.

A job's future is resolved only after its transaction is committed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from tidegate.core.errors import TargetUnavailableError
from tidegate.targets.catalog.database import WritingDatabase

MAX_JOBS_IN_A_COMMIT = 64

_T = TypeVar("_T")


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def deliver(self) -> None:
        if self.future.done():
            return  # the caller was cancelled; what was committed stays
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommitWriter:
    """Runs jobs on the writing connection, in the order in which they were submitted.

    `begin` is called first in each transaction, `undone` when a job was undone, both in the writer's thread.
    """

    def __init__(
        self, database: WritingDatabase, begin: Callable[[], None], undone: Callable[[], None]
    ) -> None:
        self._database = database
        self._begin = begin
        self._undone = undone
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._run, name="tidegate-catalog-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[], _T]) -> _T:
        """Run `work` in a transaction; its result, once that is on disk.

        What `work` raises is raised here, and what it wrote is undone. Raises TargetUnavailableError if the
        catalog cannot be written now.
        """
        if self._closed:
            raise TargetUnavailableError("the catalog is closed")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._queue.put(job)
        return await job.future

    async def close(self) -> None:
        """Finish what is queued, then close the connection. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        more = True
        while more:
            jobs, more = self._drain()
            if jobs:
                self._commit(jobs)
                for loop in {job.loop for job in jobs}:
                    _deliver(loop, [job for job in jobs if job.loop is loop])
        self._database.close()

    def _drain(self) -> tuple[list[_Job], bool]:
        """Wait for a job, then take what else has queued; False once the writer is to close."""
        jobs: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= MAX_JOBS_IN_A_COMMIT:
                return jobs, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            with self._database.transaction():
                self._begin()
                for job in jobs:
                    self._do(job)
        except Exception as error:  # noqa: BLE001 - whatever it was, every job must hear of it
            for job in jobs:
                job.error = job.error or error

    def _do(self, job: _Job) -> None:
        """Run one job; if it fails by itself, undo it alone. An outage fails the whole transaction."""
        try:
            with self._database.part():
                job.result = job.work()
        except TargetUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug concerns its own job, which must hear of it
            self._undone()
            job.error = error


def _deliver(loop: asyncio.AbstractEventLoop, jobs: list[_Job]) -> None:
    def deliver() -> None:
        for job in jobs:
            job.deliver()

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more
