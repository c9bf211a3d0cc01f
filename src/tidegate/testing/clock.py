"""A clock that stands still until a test moves it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)


class FakeClock:
    """Implements the `Clock` port. Both of its times move together, and only by `advance`.

    Whoever waits for a time to come by this clock is told through `on_advance`: connect an engine's `wake`
    with it, so that its `wait` looks again at what is due.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = timedelta()
        self._watchers: list[Callable[[], object]] = []

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move on, then call the watchers. Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back ({seconds} s)")
        self._elapsed += timedelta(seconds=seconds)
        for watcher in tuple(self._watchers):
            watcher()

    def on_advance(self, watcher: Callable[[], object]) -> None:
        """Call `watcher` after each step."""
        self._watchers.append(watcher)
