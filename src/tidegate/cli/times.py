"""Times as people write them on a command line, and as they read them in a table."""

import re
import sys
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"^(\d+)([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str | None) -> datetime | None:
    """`2026-01-31T12:00`, or an age such as `90s`, `15m`, `2h`, `3d`. Raises typer.BadParameter."""
    if text is None:
        return None
    ago = _AGO.match(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither an ISO 8601 time nor an age such as 15m") from None
    return time.astimezone(UTC)


def listed_time(time: datetime | None) -> str:
    """As `shown_time`; on a terminal without the date if it is today's, and without fractions if not."""
    whole = shown_time(time)
    if not (whole and sys.stdout.isatty()):
        return whole
    date, _, of_day = whole.partition(" ")
    return of_day if date == datetime.now().astimezone().strftime("%Y-%m-%d") else whole.partition(".")[0]


def shown_time(time: datetime | None) -> str:
    """In the reader's own time zone, to the millisecond."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
