"""String formats of blueprint properties (Port's API reference, `schema.properties.*.format`).

A format that is not listed here (markdown, yaml, user, team, …) takes any string.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)")
_URL = re.compile(
    r"(?:https?|ftp)://(?:[^\s/?#@]*@)?(?:\[[\da-f:.]+\]|[^\s/?#@:\[\]]+)(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def is_date_time(value: str) -> bool:
    """RFC 3339 §5.6: date, time and offset."""
    return date_time(value) is not None


def date_time(value: str) -> datetime | None:
    """The moment that an RFC 3339 string names, or None."""
    if _DATE_TIME.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def instant_us(value: object) -> int | None:
    """Microseconds since 1970 of an RFC 3339 string, None for anything else."""
    moment = date_time(value) if isinstance(value, str) else None
    return None if moment is None else round(moment.timestamp() * 1_000_000)


def is_url(value: str) -> bool:
    """An absolute http, https or ftp URL."""
    return _URL.fullmatch(value) is not None


def is_email(value: str) -> bool:
    """Something that has one @ with text on both sides."""
    return _EMAIL.fullmatch(value) is not None


def is_ipv4(value: str) -> bool:
    try:
        IPv4Address(value)
    except ValueError:
        return False
    return True


def is_ipv6(value: str) -> bool:
    try:
        IPv6Address(value)
    except ValueError:
        return False
    return True


FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "date-time": is_date_time,
        "timer": is_date_time,
        "url": is_url,
        "email": is_email,
        "idn-email": is_email,
        "ipv4": is_ipv4,
        "ipv6": is_ipv6,
    }
)
