"""Redriving and discarding many dead letters, a batch at a time, so that others can work and people see it advance."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.console.pages.causes import cause_key
from tidegate.core.errors import TidegateError
from tidegate.core.inspection import Page, RunFilter, RunRecord
from tidegate.core.lifecycle import RunState
from tidegate.core.ports import EngineOperations

SCANNED = 500
BATCH = 100
KEPT_JOBS = 20
SHOWN_EVENTS = 3
"""The events of so few runs are named when the work is done."""


class Verb(StrEnum):
    """What can be done about dead letters."""

    REDRIVE = "redrive"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters: these ids, or those of a cause, or all."""

    ids: tuple[int, ...] = ()
    cause: str = ""

    def includes(self, run: RunRecord) -> bool:
        if self.ids:
            return run.id in self.ids
        return not self.cause or cause_key(run) == self.cause


@dataclass(eq=False, slots=True)
class Job:
    """One such work. `total` is None while it is counted; `events` are those of a few runs; `error` says why it stopped early."""

    number: int
    verb: Verb
    total: int | None = None
    done: int = 0
    error: str = ""
    events: tuple[str, ...] = ()
    finished: bool = False


@dataclass(slots=True)
class Mender:
    """Runs jobs in the background, and remembers the last of them."""

    engine: EngineOperations
    _jobs: dict[int, Job] = field(default_factory=dict[int, Job])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _last: int = 0

    def start(self, verb: Verb, wanted: Wanted) -> Job:
        """Begin; the job is looked up by its number later."""
        self._last += 1
        job = Job(self._last, verb)
        self._jobs[job.number] = job
        for number in list(self._jobs)[:-KEPT_JOBS]:
            if self._jobs[number].finished:
                del self._jobs[number]
        task = asyncio.create_task(self._work(job, wanted), name=f"tidegate-{verb}-{job.number}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def find(self, number: int) -> Job | None:
        """A job that is still remembered."""
        return self._jobs.get(number)

    async def _work(self, job: Job, wanted: Wanted) -> None:
        mend: Callable[[RunFilter, int], Awaitable[int]] = {
            Verb.REDRIVE: self.engine.redrive,
            Verb.DISCARD: self.engine.discard,
        }[job.verb]
        try:
            # A run that dies again keeps its id: what is to be done is settled before anything is done.
            runs = [run async for run in dead_runs(self.engine, wanted)]
            ids = [run.id for run in runs]
            job.total = len(ids)
            if len(runs) <= SHOWN_EVENTS:
                job.events = tuple(run.event_id for run in runs if run.event_id)
            for start in range(0, len(ids), BATCH):
                batch = tuple(reversed(ids))[start : start + BATCH]  # oldest first, as they came
                job.done += await mend(RunFilter(ids=batch), BATCH)
        except TidegateError as error:
            job.error = str(error)
        finally:
            job.finished = True


async def dead_runs(
    engine: EngineOperations, wanted: Wanted, limit: int | None = None
) -> AsyncGenerator[RunRecord]:
    """Dead runs that are wanted, newest first; `limit` bounds how many are looked at."""
    before: int | None = None
    looked_at = 0
    while limit is None or looked_at < limit:
        where = RunFilter(ids=wanted.ids, state=RunState.DEAD)
        page = await engine.find_runs(where, Page(SCANNED, before))
        for run in page:
            if wanted.includes(run):
                yield run
        looked_at += len(page)
        if len(page) < SCANNED:
            return
        before = page[-1].id
