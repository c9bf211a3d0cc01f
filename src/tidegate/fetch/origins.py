"""Origins of URLs: scheme, host and port, with which credentials belong or do not."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import msgspec

from tidegate.core.events import Json
from tidegate.fetch.errors import FetchRefusedError

_PORTS = {"http": 80, "https": 443}
_HEAD = re.compile(r"[^/?#]*//[^/?#]*")
"""All of a URL that says where it leads: scheme and authority (RFC 3986 §3)."""

_LONGEST_KEPT = 300
"""Names of hosts have 253 characters at most (RFC 1035 §2.3.4); what is longer is not worth memory."""


class Origin(msgspec.Struct, frozen=True):
    """Where a URL leads. Two URLs of one origin lead to the same server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Raises FetchRefusedError for what is no absolute http or https URL."""
        return Place.of(url).origin


class Place(msgspec.Struct, frozen=True):
    """An origin, and `authority`: its host and port as a URL writes them, without credentials."""

    origin: Origin
    authority: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """As Origin.of."""
        head = _HEAD.match(url)
        text = url if head is None else head[0]
        try:
            place = _known(text) if len(text) <= _LONGEST_KEPT else _read(text)
        except ValueError:
            raise FetchRefusedError("the URL cannot be read") from None
        if place is None:
            raise FetchRefusedError(f"{shown(url)} is no http or https URL with a host")
        return place


def _read(head: str) -> Place | None:
    """None if this is no http or https URL with a host. Raises ValueError."""
    parts = urlsplit(head)
    host, port = parts.hostname, parts.port
    if parts.scheme not in _PORTS or not host:
        return None
    return Place(Origin(parts.scheme, host.rstrip("."), port or _PORTS[parts.scheme]), _authority(parts))


_known = lru_cache(1024)(_read)


def origins_in(value: Json) -> Iterator[Origin]:
    """The origins of all URLs among an integration's own values."""
    match value:
        case str() if value.startswith(("http://", "https://")):
            try:
                yield Origin.of(value)
            except FetchRefusedError:
                return
        case Mapping():
            for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
                yield from origins_in(inner)
        case list() | tuple():
            for inner in value:  # pyright: ignore[reportUnknownVariableType]
                yield from origins_in(inner)
        case _:
            return


def shown(url: str) -> str:
    """The URL without query and credentials, which may carry secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{_authority(parts)}{parts.path}"


def _authority(parts: SplitResult) -> str:
    """Host and port as written, without credentials."""
    return parts.netloc.rpartition("@")[2]
