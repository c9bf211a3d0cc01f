"""The machine's clock and its randomness."""

import secrets
import time
from datetime import UTC, datetime

from tidegate.core.ids import uuid7


class SystemClock:
    """Time as the machine tells it."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()


def new_id() -> str:
    """A fresh id that sorts by time."""
    return uuid7(datetime.now(UTC), secrets.randbits(74))
