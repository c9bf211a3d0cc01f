"""The outgoing HTTP client: pooled, bounded, polite."""

from tidegate.fetch.client import FetchClient, FetchLimits, FetchResponse
from tidegate.fetch.errors import FetchFailedError, FetchRefusedError, FetchStatusError, HostPausedError
from tidegate.fetch.hosts import HostBreakers

__all__ = [
    "FetchClient",
    "FetchFailedError",
    "FetchLimits",
    "FetchRefusedError",
    "FetchResponse",
    "FetchStatusError",
    "HostBreakers",
    "HostPausedError",
]
