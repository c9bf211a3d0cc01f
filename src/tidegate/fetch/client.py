"""The outgoing HTTP client: one pooled session, bounded, polite to hosts that ask us to wait.

It does not retry by itself: a failure goes back to the run, which waits without holding a claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from tidegate.core.events import Json
from tidegate.core.ports import Clock
from tidegate.fetch.errors import FetchFailedError, FetchRefusedError, FetchStatusError, HostPausedError
from tidegate.fetch.hosts import HostBreakers
from tidegate.fetch.retry_after import is_throttled, retry_after_seconds

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one request."""

    total_seconds: float = 30.0
    connect_seconds: float = 10.0
    max_response_bytes: int = 64 * 1024 * 1024
    max_connections: int = 100
    max_connections_per_host: int = 0  # 0: no bound beyond max_connections


@dataclass(frozen=True, slots=True)
class FetchResponse:
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
            host = urlsplit(self.url).hostname or ""
            message = f"{_shown(self.url)} answered {self.status} with invalid JSON: {error}"
            raise FetchFailedError(message, host=host, status=self.status) from None


class FetchClient:
    """Reads the third party's current data. Used inside one event loop; close it when done.

    All methods raise FetchStatusError (4xx), FetchFailedError (transport, time-out, 429, 5xx),
    HostPausedError (the host is left alone for now) or FetchRefusedError (answer too large).
    """

    def __init__(self, breakers: HostBreakers, clock: Clock, limits: FetchLimits | None = None) -> None:
        self._breakers = breakers
        self._clock = clock
        self._limits = limits or FetchLimits()
        self._session: aiohttp.ClientSession | None = None

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """GET a JSON document."""
        return (await self.request("GET", url, params=params, headers=headers)).json()

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Json = None,
    ) -> FetchResponse:
        """Make one request and read the answer whole."""
        host = urlsplit(url).netloc.rsplit("@", 1)[-1]
        if not self._breakers.admit(host):
            raise self._paused(host, f"{host} is paused")
        probing = self._breakers.is_paused(host)
        try:
            response = await self._follow(method, url, params, headers, json)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"{method} {_shown(url)} failed: {type(error).__name__}: {error}".rstrip(": ")
            self._breakers.failed(host, message)
            if probing:
                raise self._paused(host, message) from error
            raise FetchFailedError(message, host=host) from error
        except BaseException:
            self._breakers.abandoned(host)
            raise
        return self._judge(method, host, response, probing=probing)

    async def _follow(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        json: Json,
    ) -> FetchResponse:
        """Send, and follow redirects of safe requests within the same scheme, host and port.

        The headers may carry the integration's credentials, which are nobody else's business.
        """
        for _ in range(MAX_REDIRECTS):
            response = await self._send(method, url, params, headers, json)
            location = response.headers.get("location")
            if response.status not in REDIRECTS or location is None or method not in ("GET", "HEAD"):
                return response
            target = urljoin(response.url, location)
            if _origin(target) != _origin(response.url):
                raise FetchRefusedError(f"{_shown(url)} redirects to another host, {_shown(target)}")
            url, params = target, None
        raise FetchRefusedError(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")

    async def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        json: Json,
    ) -> FetchResponse:
        sent = dict(headers or {})
        data: bytes | None = None
        if json is not None:
            data = msgspec.json.encode(json)
            sent.setdefault("Content-Type", "application/json")
        async with self._pool().request(
            method, url, params=params, headers=sent, data=data, allow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._limits.max_response_bytes:
                    limit = self._limits.max_response_bytes
                    raise FetchRefusedError(f"{_shown(url)} answered more than {limit} bytes")
            plain = {name.lower(): value for name, value in response.headers.items()}
            return FetchResponse(response.status, str(response.url), plain, bytes(body))

    def _paused(self, host: str, message: str) -> HostPausedError:
        return HostPausedError(message, retry_after_seconds=self._breakers.wait_seconds(host), host=host)

    def _judge(self, method: str, host: str, response: FetchResponse, *, probing: bool) -> FetchResponse:
        status = response.status
        if 200 <= status < 300:
            self._breakers.succeeded(host)
            return response
        shown = f"{method} {_shown(response.url)}"
        if status >= 500 or is_throttled(status, response.headers):
            wait = retry_after_seconds(status, response.headers, self._clock.now())
            self._breakers.failed(host, f"{shown} answered {status}", wait)
            if probing:
                raise self._paused(host, f"{shown} answered {status}")
            raise FetchFailedError(
                f"{shown} answered {status}", host=host, status=status, retry_after_seconds=wait
            )
        self._breakers.succeeded(host)  # a 404 says that the host is well
        raise FetchStatusError(status, shown, response.body[:500].decode(errors="replace"))

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=limits.max_connections, limit_per_host=limits.max_connections_per_host
                ),
                timeout=aiohttp.ClientTimeout(
                    total=limits.total_seconds, sock_connect=limits.connect_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "tidegate"},
            )
        return self._session

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> "FetchClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rsplit("@", 1)[-1]


def _shown(url: str) -> str:
    """The URL without query and credentials, which may carry secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"
