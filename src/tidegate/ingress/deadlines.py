"""A time limit that is set often and seldom passes: it costs a timer once, not at each setting."""

import asyncio
from collections.abc import Callable

_TIMER_STEP_SECONDS = 0.001
"""Event loops may call that much too early."""


class Deadline:
    """At most one is set at a time. Its timer stays when the deadline moves on, and looks at it when it fires."""

    __slots__ = ("_due", "_loop", "_then", "_timer", "_timer_due")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._then: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    @property
    def is_set(self) -> bool:
        """It is set, and has not passed."""
        return self._then is not None

    def set(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` in so many seconds, instead of what was set before."""
        self._due = self._loop.time() + seconds
        self._then = then
        if self._timer is None or self._due < self._timer_due:
            self._schedule()

    def clear(self) -> None:
        """Call nothing."""
        self._then = None

    def close(self) -> None:
        """Clear it, and let go of the timer."""
        self._then = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        then = self._then
        if then is None:
            return
        if self._due - self._loop.time() > _TIMER_STEP_SECONDS:
            self._schedule()
            return
        self._then = None
        then()
