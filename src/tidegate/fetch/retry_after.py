"""How long a third party asks us to wait."""

import math
from collections.abc import Mapping
from datetime import datetime

from tidegate.fetch.quotas import is_spent, moment_seconds, reset_seconds

MAX_WAIT_SECONDS = 3600.0
"""No header makes us wait longer than this; a wrong clock over there must not stop us for a day."""

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")  # Azure


def retry_after_seconds(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that an answer asks for; None if it asks for none.

    Retry-After (RFC 9110 §10.2.3: seconds or a date) comes first; then, on 429 and on 403 with nothing
    remaining, the quota's reset.
    """
    for name in _MILLISECONDS:
        if name in headers:
            wait = moment_seconds(headers[name], now)
            return _bounded(None if wait is None else wait / 1000)
    if "retry-after" in headers:
        return _bounded(moment_seconds(headers["retry-after"], now))
    if status == 429 or (status == 403 and is_spent(headers)):
        return _bounded(reset_seconds(headers, now))
    return None


def rest_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long to leave a host alone whose answer was good, but the last one that the quota allows."""
    return _bounded(reset_seconds(headers, now)) if is_spent(headers) else None


def is_throttled(status: int, headers: Mapping[str, str]) -> bool:
    """True for 429, and for 403 that means the same (GitHub answers so when the quota is used up)."""
    return status == 429 or (status == 403 and (is_spent(headers) or "retry-after" in headers))


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)
