"""A circuit breaker: after several failures in a row, leave the dependency alone, then probe with one call.

Pure: the caller says what time it is (monotonic seconds).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class CircuitBreaker:
    """Closed while things work; open after `threshold` failures in a row; half-open lets one probe through.

    The time that it stays open doubles from `open_seconds` up to `max_open_seconds` with every failed probe,
    and is never shorter than the Retry-After that came with the failure. The threshold is no higher than the
    default `max_retries` of processors, so that a single run learns of an outage before it gives up.
    """

    threshold: int = 3
    open_seconds: float = 1.0
    max_open_seconds: float = 10.0
    reason: str = ""
    _failures: int = 0
    _open_until: float | None = None
    _probing: bool = False
    _next_open_seconds: float = 0.0

    @property
    def is_open(self) -> bool:
        """True while calls are paused, probes included."""
        return self._open_until is not None

    def wait_seconds(self, now: float) -> float:
        """How long until a call may be tried; 0 if now."""
        if self._open_until is None:
            return 0.0
        if self._probing:
            return self.open_seconds
        return max(self._open_until - now, 0.0)

    def admit(self, now: float) -> bool:
        """Ask before each call. While half-open, only one caller is told yes until it reports back."""
        if self._open_until is None:
            return True
        if self._probing or now < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """A call worked: close."""
        self._failures = 0
        self._open_until = None
        self._probing = False
        self._next_open_seconds = 0.0
        self.reason = ""

    def abandoned(self) -> None:
        """A call ended without telling anything about the dependency (it was cancelled)."""
        self._probing = False

    def rest(self, now: float, seconds: float, reason: str) -> None:
        """Open without a failure: the dependency asks to be left alone so long."""
        until = now + seconds
        self._open_until = max(until, self._open_until or until)
        self._probing = False
        self.reason = reason

    def failed(self, now: float, reason: str, retry_after_seconds: float | None = None) -> None:
        """A call failed in a way that speaks of the dependency, not of the call. Retry-After opens at once."""
        self._failures += 1
        probe_failed = self._probing
        self._probing = False
        if not (probe_failed or retry_after_seconds is not None or self._failures >= self.threshold):
            return
        if self.is_open and not probe_failed and retry_after_seconds is None:
            return  # a straggler that began before the breaker opened
        wait = self._next_open_seconds or self.open_seconds
        self._next_open_seconds = min(wait * 2, self.max_open_seconds)
        until = now + max(wait, retry_after_seconds or 0.0)
        self._open_until = max(until, self._open_until or until)
        self.reason = reason
