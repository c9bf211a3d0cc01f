"""One circuit breaker per third-party host: an outage or a rate limit slows that host's runs, not the others'."""

from dataclasses import dataclass, field

from tidegate.core.breaker import CircuitBreaker
from tidegate.core.ports import Clock
from tidegate.core.signals import DependencyPaused, Telemetry


@dataclass(slots=True)
class HostBreakers:
    """The breakers of all hosts that were asked so far. A host rests `open_seconds` at first, then longer."""

    clock: Clock
    telemetry: Telemetry
    open_seconds: float = 1.0
    _breakers: dict[str, CircuitBreaker] = field(default_factory=dict[str, CircuitBreaker])

    def admit(self, host: str) -> bool:
        breaker = self._breakers.get(host)
        return breaker is None or breaker.admit(self.clock.monotonic())

    def wait_seconds(self, host: str) -> float:
        """How long the host is still to be left alone; 0 if it may be asked."""
        breaker = self._breakers.get(host)
        return 0.0 if breaker is None else breaker.wait_seconds(self.clock.monotonic())

    def is_paused(self, host: str) -> bool:
        """True while the host is left alone, and while a probe is on its way."""
        breaker = self._breakers.get(host)
        return breaker is not None and breaker.is_open

    def paused(self) -> dict[str, str]:
        """The paused hosts, with the reason."""
        return {host: breaker.reason for host, breaker in self._breakers.items() if breaker.is_open}

    def succeeded(self, host: str, *, probing: bool) -> None:
        """A request was answered. One that began before the pause does not end it: only the probe does."""
        breaker = self._breakers.get(host)
        if breaker is None or (breaker.is_open and not probing):
            return
        if breaker.is_open:
            self.telemetry.emit(DependencyPaused(host, paused=False, reason=""))
        breaker.succeeded()

    def abandoned(self, host: str) -> None:
        breaker = self._breakers.get(host)
        if breaker is not None:
            breaker.abandoned()

    def rest(self, host: str, seconds: float, reason: str) -> None:
        """Leave the host alone for a while: it said that it will take no more until then."""
        breaker = self._breakers.setdefault(host, CircuitBreaker(open_seconds=self.open_seconds))
        was_open = breaker.is_open
        breaker.rest(self.clock.monotonic(), seconds, reason)
        if not was_open:
            self.telemetry.emit(DependencyPaused(host, paused=True, reason=reason))

    def failed(self, host: str, reason: str, retry_after_seconds: float | None = None) -> None:
        breaker = self._breakers.setdefault(host, CircuitBreaker(open_seconds=self.open_seconds))
        was_open = breaker.is_open
        breaker.failed(self.clock.monotonic(), reason, retry_after_seconds)
        if breaker.is_open and not was_open:
            self.telemetry.emit(DependencyPaused(host, paused=True, reason=reason))
