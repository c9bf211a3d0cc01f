"""What is left of a third party's quota, and when it is full again, from the headers that are in use for that.

Nobody has agreed on them: names differ (`X-RateLimit-*`, `X-Rate-Limit-*`, `RateLimit-*`, one `RateLimit`), and
a reset is a number of seconds, a Unix time in seconds or milliseconds, or a date.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
_RESET = (
    "x-ratelimit-reset-after",  # Discord
    "x-ratelimit-reset",  # GitHub, Jira, Zendesk
    "ratelimit-reset",  # GitLab, PagerDuty
    "x-rate-limit-reset",  # Okta
)
_REMAINING_IN_ONE = re.compile(r"(?:\bremaining|;\s*r)\s*=\s*(\d+)")
_RESET_IN_ONE = re.compile(r"(?:\breset|;\s*t)\s*=\s*(\d+)")

_EPOCH_SECONDS = 1_000_000_000
_EPOCH_MILLISECONDS = 1_000_000_000_000
"""A reset from here on is a Unix time, in seconds or in milliseconds; below it is a number of seconds."""


def is_spent(headers: Mapping[str, str]) -> bool:
    """True if the headers say that nothing remains."""
    for name in _REMAINING:
        if name in headers:
            return _number(headers[name].partition(",")[0]) == 0
    if "ratelimit" not in headers:
        return False
    found = _REMAINING_IN_ONE.search(headers["ratelimit"])
    return found is not None and int(found[1]) == 0


def reset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long until the quota is full again; None if the headers do not tell."""
    for name in _RESET:
        if name in headers:
            return moment_seconds(headers[name].partition(",")[0], now)
    found = _RESET_IN_ONE.search(headers.get("ratelimit", ""))
    return None if found is None else float(found[1])


def moment_seconds(value: str, now: datetime) -> float | None:
    """How long until a moment that is written in one of the ways above; None if it is in none of them."""
    number = _number(value)
    if number is None:
        date = _date(value.strip())
        return None if date is None else (date - now).total_seconds()
    if number >= _EPOCH_MILLISECONDS:
        number /= 1000
    return number - now.timestamp() if number >= _EPOCH_SECONDS else number


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _date(value: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = parse(value)
        except ValueError:
            continue
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
