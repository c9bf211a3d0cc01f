"""Origins of URLs: scheme, host and port, with which credentials belong or do not."""

from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

from tidegate.core.events import Json
from tidegate.fetch.errors import FetchRefusedError

_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """Where a URL leads. Two URLs of one origin lead to the same server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Raises FetchRefusedError for what is no absolute http or https URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise FetchRefusedError("the URL cannot be read") from None
        if parts.scheme not in _PORTS or not host:
            raise FetchRefusedError(f"{shown(url)} is no http or https URL with a host")
        return cls(parts.scheme, host.rstrip("."), port or _PORTS[parts.scheme])


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
    return f"{parts.scheme}://{authority(parts)}{parts.path}"


def authority(parts: SplitResult) -> str:
    """Host and port as written, without credentials."""
    return parts.netloc.rpartition("@")[2]
