"""One HTTP exchange with Port: an answer about the request, or PortUnavailableError. Nothing is retried here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from yarl import URL

from tidegate.core.events import Json
from tidegate.fetch.retry_after import retry_after_seconds
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.shapes import is_object

MAX_CONNECTIONS = 16
CONNECT_SECONDS = 10.0


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
        self._user_agent = user_agent
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, path: str, body: bytes | None = None, authorization: str | None = None
    ) -> PortAnswer:
        """Send one request. `path` begins after /v1, quoted, with its query. 401 is an answer here.

        Raises PortUnavailableError for 403, 429, 5xx, time-outs and transport errors.
        """
        shown = f"{method} /v1{path.partition('?')[0]}"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        url = URL(f"{self._base_url}/v1{path}", encoded=True)
        try:
            async with self._pool().request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                document = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = f"{type(error).__name__}: {error}".rstrip(": ")
            raise PortUnavailableError(f"{shown} failed: {detail}") from None
        if 300 <= response.status < 400:  # the client secret must not follow it
            raise PortUnavailableError(
                f"{shown} is redirected ({response.status}): set TIDEGATE__PORT__BASE_URL to where Port is"
            )
        answer = PortAnswer(response.status, _object(document))
        if answer.status >= 500 or answer.status in (403, 408, 429):
            plain = {name.lower(): value for name, value in response.headers.items()}
            raise PortUnavailableError(
                f"{answer.reason} to {shown}",
                status=answer.status,
                retry_after_seconds=retry_after_seconds(answer.status, plain, _port_time(plain)),
            )
        return answer

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
            )
        return self._session

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None


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
