"""Signed timestamps: how they are written, where they stand, and how old they may be."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from tidegate.core.errors import ConfigurationError
from tidegate.verify.body_fields import BodyField

TimeFormat: TypeAlias = Literal["seconds", "milliseconds", "iso8601"]
"""Unix time as a whole number, or ISO 8601 with a zone."""


@dataclass(frozen=True, slots=True)
class SignedTime:
    """A timestamp that the signature covers, and the greatest distance from now, either way, to accept.

    It stands in a header of its own (`header`, in lower case), in the body (`field`), or, if neither is
    named, in the signature header.
    """

    tolerance: timedelta
    format: TimeFormat = "seconds"
    header: str = ""
    field: BodyField | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a tolerance that nothing could meet."""
        if self.tolerance <= timedelta(0):
            raise ConfigurationError(
                f"the tolerance of {self.tolerance.total_seconds():g} s refuses every request: "
                "pass a positive timedelta"
            )

    def is_fresh(self, text: str, now: datetime) -> bool:
        """Whether the timestamp can be read and lies within the tolerance."""
        moment = read_time(text, self.format)
        return moment is not None and abs(now - moment) <= self.tolerance


def read_time(text: str, time_format: TimeFormat) -> datetime | None:
    """None if it is not exactly of the format.

    Strict on purpose: some senders join timestamp and body without a mark between them, and a lenient
    reader would let the boundary be moved.
    """
    try:
        if time_format == "iso8601":
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else None
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            return None
        return datetime.fromtimestamp(int(text) / (1000 if time_format == "milliseconds" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def write_time(moment: datetime, time_format: TimeFormat) -> str:
    """The inverse of read_time, to the format's precision."""
    match time_format:
        case "iso8601":
            return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case "milliseconds":
            return str(int(moment.timestamp() * 1000))
        case "seconds":
            return str(int(moment.timestamp()))
