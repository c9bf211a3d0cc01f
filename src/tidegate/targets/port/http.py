"""One HTTP exchange with Port: an answer about the request, or PortUnavailableError. Nothing is retried here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from tidegate.core.events import Json
from tidegate.fetch.calls import Call, FetchLimits, NotAnsweredError
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.quick import QuickTransport
from tidegate.fetch.retry_after import retry_after_seconds
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.shapes import is_object

MAX_CONNECTIONS = 16
CONNECT_SECONDS = 10.0

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Far more than any answer to what is asked here; a stranger in Port's place must not fill the memory."""


@dataclass(frozen=True, slots=True)
class PortAnswer:
    """What Port answered: 2xx, or a 4xx that concerns the request itself."""

    status: int
    body: Mapping[str, Json]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """Why Port refuses, for people."""
        message = self.body.get("message") or self.body.get("error") or "no message"
        return f"Port answered {self.status}: {str(message)[:500]}"


class Exchange:
    """A pooled session to one Port. Belongs to one event loop; `close` it when done."""

    def __init__(self, base_url: str, user_agent: str, timeout_seconds: float) -> None:
        self._base_url = base_url.rstrip("/")
        limits = FetchLimits(timeout_seconds, CONNECT_SECONDS, MAX_ANSWER_BYTES, MAX_CONNECTIONS)
        self._transport = QuickTransport(limits, user_agent)

    async def send(
        self, method: str, path: str, body: bytes | None = None, authorization: str | None = None
    ) -> PortAnswer:
        """Send one request. `path` begins after /v1, quoted, with its query. 401 is an answer here.

        Raises PortUnavailableError for 403, 429, 5xx, time-outs, transport errors, and answers that are too large.
        """
        headers = {} if authorization is None else {"Authorization": authorization}
        call = Call(method, f"{self._base_url}/v1{path}", headers=headers, data=body)
        try:
            response = await self._transport.send(call)
        except (NotAnsweredError, FetchRefusedError) as error:
            raise PortUnavailableError(f"{_shown(method, path)} failed: {error}") from None
        status = response.status
        if 300 <= status < 400:  # the client secret must not follow it
            raise PortUnavailableError(
                f"{_shown(method, path)} is redirected ({status}): set TIDEGATE__PORT__BASE_URL to where Port is"
            )
        answer = PortAnswer(status, _object(response.body))
        if status >= 500 or status in (403, 408, 429):
            headers = response.headers
            raise PortUnavailableError(
                f"{answer.reason} to {_shown(method, path)}",
                status=status,
                retry_after_seconds=retry_after_seconds(status, headers, _port_time(headers)),
            )
        return answer

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._transport.close()


def _shown(method: str, path: str) -> str:
    return f"{method} /v1{path.partition('?')[0]}"


def _object(document: bytes) -> Mapping[str, Json]:
    try:
        body = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return body if is_object(body) else {}


def _port_time(headers: Mapping[str, str]) -> datetime:
    """The time of day over there, which is what a date in Retry-After counts from."""
    try:
        return parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return datetime.now(UTC)
