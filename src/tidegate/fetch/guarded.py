"""Asks URLs that may come from anybody, by aiohttp: each address is looked at right before it is connected to."""

import aiohttp

from tidegate.fetch.calls import Call, FetchLimits, FetchResponse, NotAnsweredError
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.origins import shown
from tidegate.fetch.policy import public_socket


class GuardedTransport:
    """Leads to public addresses only."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def send(self, call: Call) -> FetchResponse:
        """As Transport.send."""
        sent = dict(call.headers)
        if call.data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            async with self._pool().request(
                call.method, call.url, params=call.params, headers=sent, data=call.data, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    self._limits.check_size(len(body), call.url)
                plain = {name.lower(): value for name, value in response.headers.items()}
                return FetchResponse(response.status, str(response.url), plain, bytes(body))
        except aiohttp.InvalidURL:
            raise FetchRefusedError(f"{shown(call.url)} is no URL that can be asked") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotAnsweredError(f"{type(error).__name__}: {_said(error)}".rstrip(": ")) from None

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            connector = aiohttp.TCPConnector(
                limit=limits.max_connections,
                limit_per_host=limits.max_connections_per_host,
                socket_factory=public_socket,
                happy_eyeballs_delay=None,  # one address at a time, so that a refusal is seen
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(
                    total=limits.total_seconds, sock_connect=limits.connect_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "tidegate"},
            )
        return self._session

    async def close(self) -> None:
        """As Transport.close."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _said(error: Exception) -> str:
    """What went wrong, without the URL, whose query may hold secrets: these two sorts quote it, and so not chained."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message
    return "" if isinstance(error, TimeoutError) else str(error)
