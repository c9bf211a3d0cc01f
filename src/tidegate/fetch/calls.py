"""What one request of the outgoing client is, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from tidegate.core.events import Json
from tidegate.fetch.errors import FetchFailedError, FetchRefusedError
from tidegate.fetch.origins import Place, shown


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one request."""

    total_seconds: float = 30.0
    connect_seconds: float = 10.0
    max_response_bytes: int = 64 * 1024 * 1024
    max_connections: int = 100
    max_connections_per_host: int = 0  # 0: no bound beyond max_connections

    def check_size(self, size: int, url: str) -> None:
        """Raises FetchRefusedError if an answer is too large."""
        if size > self.max_response_bytes:
            raise self.excess(url)

    def excess(self, url: str) -> FetchRefusedError:
        """What is said of an answer that is too large."""
        return FetchRefusedError(f"{shown(url)} answered more than {self.max_response_bytes} bytes")


class FetchResponse(msgspec.Struct, frozen=True):
    """A 2xx answer, read whole."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body parsed as JSON. Raises FetchFailedError if it is not (a proxy's error page, say)."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            message = f"{shown(self.url)} answered {self.status} with invalid JSON: {error}"
            raise FetchFailedError(message, host=Place.of(self.url).authority, status=self.status) from None


class Call(msgspec.Struct, frozen=True):
    """One request. `data` is its body: JSON, unless the headers say otherwise."""

    method: str
    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    data: bytes | None = None


def encoded(json: Json) -> bytes | None:
    """The body of a call, if it has one."""
    return None if json is None else msgspec.json.encode(json)


class NotAnsweredError(Exception):
    """There was no answer: the message says what happened on the way. No author sees it."""


class Transport(Protocol):
    """Carries single requests. Belongs to one event loop; close it when done."""

    async def send(self, call: Call) -> FetchResponse:
        """The answer, whatever its status, redirects included. Raises NotAnsweredError and FetchRefusedError."""
        ...

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        ...
