"""The outgoing HTTP client: pooled, bounded, polite, and careful with credentials."""

from tidegate.fetch.calls import FetchLimits, FetchResponse
from tidegate.fetch.client import FetchApi, FetchClient
from tidegate.fetch.errors import FetchFailedError, FetchRefusedError, FetchStatusError, HostPausedError
from tidegate.fetch.hosts import HostBreakers
from tidegate.fetch.origins import Origin
from tidegate.fetch.policy import FetchPolicy

__all__ = [
    "FetchApi",
    "FetchClient",
    "FetchFailedError",
    "FetchLimits",
    "FetchPolicy",
    "FetchRefusedError",
    "FetchResponse",
    "FetchStatusError",
    "HostBreakers",
    "HostPausedError",
    "Origin",
]
