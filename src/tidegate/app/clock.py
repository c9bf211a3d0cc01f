"""The machine's clock and its randomness, and how this process is told from others."""

import os
import socket
import time
from datetime import UTC, datetime

from tidegate.core.ids import uuid7
from tidegate.core.samples import Process
from tidegate.ingress.randomness import random_bits


class SystemClock:
    """Time as the machine tells it."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)
    """Seconds that only grow."""


def new_id() -> str:
    """A fresh id that sorts by time."""
    return uuid7(datetime.now(UTC), random_bits(74))


def this_process(role: str) -> Process:
    """Who this process is, in its role."""
    return Process(new_id(), role, socket.gethostname(), os.getpid(), datetime.now(UTC))
