"""What people ask for, as it stands in the address: every view can be linked to, and reloaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from tidegate.core.inspection import EventFilter
from tidegate.core.lifecycle import EventState

_AGO = re.compile(r"^(\d{1,6})(s|m|min|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_WORD = re.compile(r'(\w+):("[^"]*"|\S+)')
_NAMES = {"resource": "resource_key", "delivery": "delivery_id"}


class QueryError(ValueError):
    """What was asked for cannot be understood. The message says what, and how it is written."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A search for events, as typed. `text` may hold conditions such as `kind:issue` or `since:15m`."""

    text: str = ""
    state: str = ""
    path: str = ""
    processor: str = ""
    kind: str = ""
    resource_key: str = ""
    delivery_id: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def asked(cls, parameters: Mapping[str, str]) -> "EventQuery":
        """From an address. Unknown names ask for nothing."""
        return cls(**{each.name: parameters.get(each.name, "").strip() for each in fields(cls)})

    @property
    def is_empty(self) -> bool:
        return self == EventQuery()

    @property
    def free_text(self) -> str:
        """What is looked for in bodies."""
        return _read_words(self.text)[0]

    def address(self, **changes: str) -> str:
        """The query string of this search with some fields changed; empty ones are left out."""
        wanted = {each.name: getattr(self, each.name) for each in fields(self)} | changes
        return urlencode({name: value for name, value in wanted.items() if value})

    def where(self, now: datetime) -> EventFilter:
        """The filter. Raises QueryError."""
        text, words = _read_words(self.text)
        whole = replace(self, **words)
        return EventFilter(
            path=whole.path or None,
            state=_state(whole.state),
            delivery_id=whole.delivery_id or None,
            processor=whole.processor or None,
            kind=whole.kind or None,
            resource_key=whole.resource_key or None,
            since=moment(whole.since, now),
            until=moment(whole.until, now),
            text=text or None,
        )


def moment(text: str, now: datetime) -> datetime | None:
    """`2026-01-31T12:00` in UTC, or an age such as `90s`, `15m`, `2h`, `3d`; None if empty. Raises QueryError."""
    if not text:
        return None
    ago = _AGO.match(text)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is no time: write 15m, 2h, 3d, or 2026-01-31T12:00") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _read_words(text: str) -> tuple[str, dict[str, str]]:
    """Conditions such as `state:dead` out of the text, and what is left of it."""
    known = {each.name for each in fields(EventQuery)} - {"text"}
    words: dict[str, str] = {}

    def taken(match: re.Match[str]) -> str:
        name = _NAMES.get(match[1], match[1])
        if name not in known:
            return match[0]
        words[name] = match[2].strip('"')
        return ""

    return " ".join(_WORD.sub(taken, text).split()) if ":" in text else text, words


def _state(text: str) -> EventState | None:
    if not text:
        return None
    try:
        return EventState(text)
    except ValueError:
        raise QueryError(f"{text!r} is no state of an event: {', '.join(EventState)}") from None
