"""Asks origins that are trusted, by pyreqwest, which takes half of the CPU that aiohttp takes."""

from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from tidegate.fetch.calls import Call, FetchLimits, FetchResponse, NotAnsweredError
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.origins import shown

IDLE_SECONDS = 30.0
"""A connection is closed after this long without a request: before load balancers do it, mostly after 60."""


class QuickTransport:
    """Leads anywhere. No proxy, no cookies, no redirects: what the call says, and nothing else."""

    def __init__(self, limits: FetchLimits, user_agent: str = "tidegate") -> None:
        self._limits = limits
        self._user_agent = user_agent
        self._client: Client | None = None

    async def send(self, call: Call) -> FetchResponse:
        """As Transport.send."""
        request = self._request(call)
        url = str(request.url) if call.params else call.url
        try:
            async with request as response:
                headers = dict(response.headers.items())
                body = await self._body(response, headers.get("content-length", ""), call.url)
                return FetchResponse(response.status, url, headers, body)
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise NotAnsweredError(f"{type(error).__name__}: {_said(error)}".rstrip(": ")) from None

    def _request(self, call: Call) -> StreamRequest:
        if "\\" in call.url:  # a slash to some, part of a name to others: the origin would be in doubt
            raise FetchRefusedError(f"{shown(call.url)} is no URL that can be asked")
        try:
            request = self._pool().request(call.method, call.url)
            if call.headers:
                request = request.headers(dict(call.headers))
            if call.params:
                request = request.query(dict(call.params))
            if call.data is not None:
                if not any(name.lower() == "content-type" for name in call.headers):
                    request = request.header("Content-Type", "application/json")
                request = request.body_bytes(call.data)
            return request.build_streamed()
        except (PyreqwestError, ValueError):
            raise FetchRefusedError(f"{shown(call.url)} is no URL that can be asked") from None

    async def _body(self, response: Response, declared: str, url: str) -> bytes:
        """Read to the end, at once if it is known to be small enough. Raises FetchRefusedError."""
        if declared.isdigit():
            self._limits.check_size(int(declared), url)
            return (await response.bytes()).to_bytes()
        body = bytearray()
        while (chunk := await response.body_reader.read_chunk()) is not None:
            body += chunk
            self._limits.check_size(len(body), url)
        return bytes(body)

    def _pool(self) -> Client:
        if self._client is None:
            limits = self._limits
            total = timedelta(seconds=limits.total_seconds)
            self._client = (
                ClientBuilder()
                .max_connections(limits.max_connections)
                .timeout(total)
                .pool_timeout(total)
                .connect_timeout(timedelta(seconds=limits.connect_seconds))
                .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
                .follow_redirects(False)
                .default_cookie_store(False)
                .no_proxy()
                .http1_only()
                .user_agent(self._user_agent)
                .build()
            )
        return self._client

    async def close(self) -> None:
        """As Transport.close."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def _said(error: Exception) -> str:
    """What went wrong. Without the cause that quotes the URL, whose query may hold secrets, and so not chained."""
    if not isinstance(error, DetailedPyreqwestError):
        return str(error)
    causes = [cause["message"] for cause in error.details.get("causes") or ()]
    return ": ".join([cause for cause in causes if " for url (" not in cause][-2:]) or error.message
