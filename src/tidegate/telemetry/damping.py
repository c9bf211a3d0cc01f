"""Keeps a flood of like log lines short: a few of each a minute, and then how many more there were."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

MAX_KEYS = 1000


@dataclass(slots=True)
class _Window:
    ends_at: float
    shown: int = 0
    held_back: int = 0


@dataclass(slots=True)
class Damper:
    """Admits `burst` lines of one key in `period_seconds`."""

    burst: int = 5
    period_seconds: float = 60.0
    monotonic: Callable[[], float] = time.monotonic
    _windows: dict[Hashable, _Window] = field(default_factory=dict[Hashable, _Window])

    def admit(self, key: Hashable) -> int | None:
        """None if the line is one too many; else how many like it were held back before it."""
        now = self.monotonic()
        window = self._windows.get(key)
        held_back = 0
        if window is None or now >= window.ends_at:
            held_back = window.held_back if window is not None else 0
            if len(self._windows) >= MAX_KEYS:
                self._windows.clear()
            window = self._windows[key] = _Window(now + self.period_seconds)
        if window.shown < self.burst:
            window.shown += 1
            return held_back
        window.held_back += 1
        return None
