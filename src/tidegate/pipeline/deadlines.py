"""One time limit for all that many tasks do, with one timer: it waits for whoever began first."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(eq=False, slots=True)
class Deadlines:
    """A limit of so many `seconds`, for blocks of any task: `with deadlines.begin(task) as deadline: …`.

    Belongs to one event loop. What `asyncio.timeout` does, without a timer for each block: where blocks are many
    and hardly one of them takes so long, those cost more than they do.
    """

    seconds: float
    _running: dict["Deadline", None] = field(
        default_factory=dict["Deadline", None]
    )  # in the order of their ends
    _timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[Any]) -> "Deadline":
        """For a block of this task: it is cancelled when its time is over, and the block raises TimeoutError."""
        return Deadline(self, task, task.get_loop().time() + self.seconds, task.cancelling())

    def keep(self, deadline: "Deadline") -> None:
        """A block has begun."""
        self._running[deadline] = None
        if self._timer is None:
            self._wait_for(deadline)

    def drop(self, deadline: "Deadline") -> None:
        """A block has ended. The timer stays, and looks then who is the first."""
        self._running.pop(deadline, None)

    def _wait_for(self, first: "Deadline") -> None:
        self._timer = first.task.get_loop().call_at(first.ends_at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for deadline in list(self._running):
            if deadline.ends_at > now:
                self._wait_for(deadline)
                return
            self.drop(deadline)
            deadline.expire()


@dataclass(eq=False, slots=True)
class Deadline:
    """When one block must have ended. `expired`: it had not."""

    deadlines: Deadlines
    task: asyncio.Task[Any]
    ends_at: float
    cancelling: int
    expired: bool = False

    def expire(self) -> None:
        """Stop the block."""
        self.expired = True
        self.task.cancel()

    def __enter__(self) -> "Deadline":
        self.deadlines.keep(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deadlines.drop(self)
        if self.expired and self.task.uncancel() <= self.cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
