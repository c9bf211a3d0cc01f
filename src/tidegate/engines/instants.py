"""Times as whole microseconds since 1970, exact both ways."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(time: datetime) -> int:
    """Microseconds of a time that has a time zone."""
    return (time - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The time, in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def optional_us(time: datetime | None) -> int | None:
    """`to_us`, or None."""
    return None if time is None else to_us(time)


def optional_time(us: int | None) -> datetime | None:
    """`from_us`, or None."""
    return None if us is None else from_us(us)


def span_us(seconds: float) -> int:
    """A duration."""
    return timedelta(seconds=seconds) // _MICROSECOND
