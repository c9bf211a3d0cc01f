"""How long a third party asks us to wait, from the headers that are in use for that."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 3600.0
"""No header makes us wait longer than this; a wrong clock over there must not stop us for a day."""

_EPOCH_THRESHOLD = 1_000_000_000
"""A reset above this is a Unix time, below it a number of seconds (both are in use)."""


def retry_after_seconds(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that an answer asks for; None if it asks for none.

    Retry-After (RFC 9110 §10.2.3: seconds or a date) comes first; then, on 429 and 403 with nothing
    remaining, x-ratelimit-reset or ratelimit-reset.
    """
    asked = headers.get("retry-after")
    if asked is not None:
        return _bounded(_delay_or_date(asked.strip(), now))
    remaining = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
    if status == 429 or (status == 403 and remaining == "0"):
        reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset"))
        return _bounded(_reset(reset, now)) if reset else None
    return None


def is_throttled(status: int, headers: Mapping[str, str]) -> bool:
    """True for 429, and for 403 that means the same (GitHub answers so when the quota is used up)."""
    if status == 429:
        return True
    return status == 403 and (headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers)


def _delay_or_date(value: str, now: datetime) -> float | None:
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - now).total_seconds()


def _reset(value: str, now: datetime) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number - now.timestamp() if number > _EPOCH_THRESHOLD else number


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)
