"""When to try again: exponential back-off with jitter, never earlier than the third party asks."""

from collections.abc import Callable
from dataclasses import dataclass

JITTER_FRACTION = 0.2
"""A delay is drawn from [1 - f, 1 + f] times its nominal value, so that failures do not come back in step."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast a processor's runs are retried (the four attributes of the author API)."""

    max_retries: int = 3
    initial_delay_seconds: float = 1.0
    max_delay_seconds: float = 30.0
    exponential_base: float = 2.0

    def nominal_delay_seconds(self, failures: int) -> float:
        """The delay before the next attempt, after `failures` failed ones (1 or more), without jitter."""
        exponent = max(failures - 1, 0)
        try:
            delay = self.initial_delay_seconds * self.exponential_base**exponent
        except OverflowError:
            delay = self.max_delay_seconds
        return min(delay, self.max_delay_seconds)


def jittered(delay_seconds: float, uniform: Callable[[], float]) -> float:
    """Spread a delay by JITTER_FRACTION; `uniform` draws from [0, 1)."""
    return delay_seconds * (1 - JITTER_FRACTION + 2 * JITTER_FRACTION * uniform())


def retry_delay_seconds(
    nominal_seconds: float, retry_after_seconds: float | None, uniform: Callable[[], float]
) -> float:
    """The delay to wait: jittered back-off, but at least what the third party's Retry-After asks.

    Jitter is added on top of Retry-After (RFC 9110 §10.2.3), never taken off it.
    """
    delay = jittered(nominal_seconds, uniform)
    if retry_after_seconds is None:
        return delay
    return max(delay, retry_after_seconds * (1 + JITTER_FRACTION * uniform()))
