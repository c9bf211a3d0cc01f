"""Stops code of authors that holds the event loop: it computes, or blocks, and does not await.

No time limit inside a loop can run while the loop does not. A timer of the system can: its signal is handled
in the loop's own thread, between two steps of whatever runs there, or instead of a system call that blocks.
An error is raised there only while the author's own code, or what it calls, is on top of the stack; anywhere
else it could break what the loop or the engine has in hand. What holds the interpreter itself (a regular
expression that backtracks) runs no such handler: the parent process kills that.
"""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from types import FrameType

from tidegate.core.errors import RetryableError

logger = logging.getLogger("tidegate")

AGAIN_SECONDS = 0.05
"""How soon to look again if the moment was not right."""

_LOOPS = frozenset({"asyncio", "uvloop", "aiohttp"})
_CALLERS = ("tidegate.pipeline.", "tidegate.authoring.", "tidegate.ingress.verifying")
"""Those of our modules that call authors' code in the loop."""

_SHOWN_FRAMES = 3


class StalledError(RetryableError):
    """The author's code held the event loop for longer than it may. An error of that code, as a time-out is."""


@dataclass(slots=True)
class StallGuard:
    """Guards the main thread's loop. `arm` it whenever the loop has turned; `limit_seconds` later it is late."""

    limit_seconds: float

    def install(self) -> None:
        """Begin. Call it in the main thread."""
        signal.signal(signal.SIGALRM, self._late)

    def arm(self) -> None:
        """The loop turns: start over."""
        signal.setitimer(signal.ITIMER_REAL, self.limit_seconds)

    def remove(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _late(self, _: int, frame: FrameType | None) -> None:
        frames = authors_frames(frame)
        if not frames:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
            return
        self.arm()  # once more, should the author's code catch the error and go on
        where = " ← ".join(map(_place, frames[:_SHOWN_FRAMES]))
        task = asyncio.current_task()
        message = (
            f"it held the event loop for more than {self.limit_seconds:g} s without awaiting, at {where}"
        )
        logger.warning("%s is stopped: %s", task.get_name() if task else "a callback", message)
        raise StalledError(message)


def authors_frames(frame: FrameType | None) -> list[FrameType]:
    """What an author's code has on the stack above ours, innermost first; nothing if other code is innermost."""
    above: list[FrameType] = []
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        package = module.partition(".")[0]
        if package == "tidegate" or package in _LOOPS:
            calls_authors = package in _LOOPS or module.startswith(_CALLERS)
            return above if calls_authors and above and not _is_ours(above[-1]) else []
        above.append(frame)
        frame = frame.f_back
    return []


def _is_ours(frame: FrameType) -> bool:
    """True for the standard library: it is not the author who calls it."""
    return frame.f_globals.get("__name__", "").partition(".")[0] in sys.stdlib_module_names


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
