"""What Port's client raises beside the errors of the core."""

from tidegate.core.errors import TargetUnavailableError


class PortUnavailableError(TargetUnavailableError):
    """Port cannot be reached, refuses credentials, throttles, or answers 5xx. `status` is None without an answer."""

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.status = status
