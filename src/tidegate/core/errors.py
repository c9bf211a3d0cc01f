"""Every error that Tidegate raises on purpose, in one tree.

TidegateError
├── ConfigurationError          a setting, mapping or blueprint file is wrong (the user mends it)
├── RetryableError              try the same run again, later
│   └── UnavailableError        something that Tidegate depends on is out: nothing was decided
│       ├── EngineUnavailableError
│       ├── TargetUnavailableError
│       └── MapperUnavailableError
├── NotFoundError               an operation names an event, run or entity that does not exist
└── StaleClaimError             the claim's lease is over; its effects must be dropped
"""


class TidegateError(Exception):
    """The root of all errors that Tidegate raises on purpose."""


class ConfigurationError(TidegateError):
    """A setting, mapping or blueprint is wrong. The message says what, where, and how to mend it."""


class RetryableError(TidegateError):
    """Raise it in a processor to have the run tried again.

    `retry_after_seconds` is the least time to wait, as a third party's Retry-After asks; None leaves the
    delay to the processor's back-off. `host` is the third-party host concerned, if one is known.
    """

    def __init__(
        self, message: str = "", *, retry_after_seconds: float | None = None, host: str | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.host = host


class UnavailableError(RetryableError):
    """Something Tidegate depends on is out of service. Nothing was decided; no attempt is burned."""


class EngineUnavailableError(UnavailableError):
    """The engine cannot commit now (disk full, server gone). The ingress answers 503."""


class TargetUnavailableError(UnavailableError):
    """The target cannot be reached, refuses credentials, throttles, or answers 5xx."""


class MapperUnavailableError(UnavailableError):
    """The mapping's worker process cannot be started."""


class NotFoundError(TidegateError):
    """An operation names an event, run or entity that does not exist."""


class StaleClaimError(TidegateError):
    """The claim's lease is over and another worker may own the run: drop what was done."""
