"""Asks origins that are trusted, by libcurl, in the event loop.

A client with threads of its own, however quick, makes each answer wait for the interpreter's lock, and the loop hand it
over again and again: that cost more than the asking.
"""

import os
import ssl
from collections import defaultdict
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import certifi
import pycurl

from tidegate.fetch.calls import Call, FetchLimits, FetchResponse, NotAnsweredError
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.origins import shown
from tidegate.fetch.transfers import Shape, Transfer

IDLE_SECONDS = 30
"""A connection is not used again after this long without a request: load balancers close it, mostly after 60."""

_SCHEMES = ("http://", "https://")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class QuickTransport:
    """Leads anywhere. No proxy, no cookies, no redirects: what the call says, and nothing else."""

    def __init__(self, limits: FetchLimits, user_agent: str = "tidegate") -> None:
        self._limits = limits
        self._user_agent = user_agent
        self._multi: pycurl.AsyncCurlMulti | None = None
        self._idle: defaultdict[Shape, list[Transfer]] = defaultdict(list)

    async def send(self, call: Call) -> FetchResponse:
        """As Transport.send."""
        url = _asked(call)
        idle = self._idle[Shape.of(call)]
        transfer = idle.pop() if idle else self._transfer(Shape.of(call))
        transfer.prepare(url, call)
        try:
            await self._pool().add_handle(transfer.curl)
        except pycurl.error as error:  # such a transfer is not used again, nor is one that was cancelled
            transfer.curl.close()
            raise self._reason(error, transfer, call) from None
        response = transfer.response(url)
        idle.append(transfer)
        return response

    def _transfer(self, shape: Shape) -> Transfer:
        limits, transfer = self._limits, Transfer(shape, self._limits.max_response_bytes)
        options: dict[int, int | str] = {
            pycurl.USERAGENT: self._user_agent,
            pycurl.TIMEOUT_MS: _milliseconds(limits.total_seconds),
            pycurl.CONNECTTIMEOUT_MS: _milliseconds(limits.connect_seconds),
            pycurl.MAXAGE_CONN: IDLE_SECONDS,
            **_authorities(),
        }
        for option, value in options.items():
            transfer.curl.setopt(option, value)
        return transfer

    def _pool(self) -> pycurl.AsyncCurlMulti:
        if self._multi is None:
            self._multi = pycurl.AsyncCurlMulti()
            self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._limits.max_connections)
            self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self._limits.max_connections_per_host)
        return self._multi

    def _reason(self, error: pycurl.error, transfer: Transfer, call: Call) -> Exception:
        code, message = error.args
        if code == pycurl.E_URL_MALFORMAT:
            return FetchRefusedError(f"{shown(call.url)} is no URL that can be asked")
        if code == pycurl.E_FILESIZE_EXCEEDED or transfer.is_full:
            return self._limits.excess(call.url)
        return NotAnsweredError(message)

    async def close(self) -> None:
        """As Transport.close."""
        self._idle.clear()
        if self._multi is not None:
            await self._multi.aclose()
            self._multi = None


def _asked(call: Call) -> str:
    """The URL as libcurl takes it. Raises FetchRefusedError."""
    url, _, _ = call.url.partition("#")
    if call.params:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(call.params)}"
    if not url.lower().startswith(_SCHEMES) or "\\" in url:
        # A backslash is a slash to some, and part of a name to others: the origin would be in doubt.
        raise FetchRefusedError(f"{shown(call.url)} is no URL that can be asked")
    return quote(url, safe=_PRINTABLE)


def _authorities() -> Mapping[int, str]:
    """Who may say who a server is: SSL_CERT_FILE and SSL_CERT_DIR, else the machine's list, else Mozilla's."""
    bundle = {pycurl.CAINFO: ssl.get_default_verify_paths().cafile or certifi.where()}
    folder = os.environ.get("SSL_CERT_DIR")
    return {**bundle, pycurl.CAPATH: folder} if folder else bundle


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)  # 0 would be no limit
