"""What the outgoing client raises.

TidegateError
├── FetchStatusError            the third party answered with a 4xx that a retry will not mend
├── FetchRefusedError           we do not make this request, or take this answer
└── RetryableError
├── FetchFailedError        transport error, time-out, 429 or 5xx
└── UnavailableError
└── HostPausedError     the host's circuit breaker is open, or it asked us to wait
"""

from tidegate.core.errors import RetryableError, TidegateError, UnavailableError


class FetchStatusError(TidegateError):
    """The third party answered `status` (4xx). `body` is the beginning of the answer, at most 500 characters."""

    def __init__(self, status: int, url: str, body: str) -> None:
        super().__init__(f"{url} answered {status}: {body}" if body else f"{url} answered {status}")
        self.status = status
        self.url = url
        self.body = body


class FetchRefusedError(TidegateError):
    """The client will not make this request, or not take this answer."""


class FetchFailedError(RetryableError):
    """The request failed in a way that may pass. `status` is None if there was no answer."""

    def __init__(
        self, message: str, *, host: str, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, host=host)
        self.status = status


class HostPausedError(UnavailableError):
    """Requests to this host are paused, or the probe failed; the run goes back undecided and burns no attempt."""
