"""One exchange by libcurl: what is sent, and what came back. Used again for calls of the same shape."""

from collections.abc import Mapping
from typing import NamedTuple

import pycurl

from tidegate.fetch.calls import Call, FetchResponse
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.origins import shown

_ALWAYS: Mapping[int, int | str] = {
    pycurl.NOSIGNAL: 1,  # signals are the event loop's
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.PROXY: "",  # whatever the environment says
    pycurl.ACCEPT_ENCODING: "",  # all that libcurl can undo
}
_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})
_BREAKS = frozenset("\r\n\0")


class Shape(NamedTuple):
    """What cannot be taken back from a transfer once it is set."""

    method: str
    has_body: bool

    @classmethod
    def of(cls, call: Call) -> "Shape":
        """A method that usually carries a body says so even if it is empty (RFC 9110 §8.6)."""
        return cls(call.method, call.data is not None or call.method in _WITH_A_BODY)


class Transfer:
    """`curl` is to be performed once after each `prepare`. Holds no answer above `most_bytes`."""

    def __init__(self, shape: Shape, most_bytes: int) -> None:
        self.curl = curl = pycurl.Curl()
        self._most_bytes = most_bytes
        self._shape = shape
        self._size = 0
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._headers: Mapping[str, str] | None = None
        for option, value in _ALWAYS.items():
            curl.setopt(option, value)
        if shape.has_body:
            curl.setopt(pycurl.POST, 1)
        elif shape.method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        if shape.method not in ("GET", "HEAD") or shape.has_body:
            curl.setopt(pycurl.CUSTOMREQUEST, shape.method)
        curl.setopt(pycurl.MAXFILESIZE_LARGE, most_bytes)
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._take)

    def prepare(self, url: str, call: Call) -> None:
        """What is sent next. Raises FetchRefusedError for headers that would be something else to the receiver."""
        self._size = 0
        self._lines.clear()
        self._chunks.clear()
        self.curl.setopt(pycurl.URL, url)
        if call.headers != self._headers:
            lines = _lines(call, has_body=self._shape.has_body)
            self.curl.unsetopt(pycurl.HTTPHEADER)  # to set none would change nothing
            if lines:
                self.curl.setopt(pycurl.HTTPHEADER, lines)
            self._headers = dict(call.headers)
        if self._shape.has_body:
            self.curl.setopt(pycurl.POSTFIELDS, call.data or b"")

    def _take(self, chunk: bytes) -> int | None:
        """Anything but None makes libcurl give up."""
        self._size += len(chunk)
        if self.is_full:
            return 0
        self._chunks.append(chunk)
        return None

    @property
    def is_full(self) -> bool:
        """True if more came than is held."""
        return self._size > self._most_bytes

    def response(self, url: str) -> FetchResponse:
        """What was answered."""
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return FetchResponse(self.curl.getinfo(pycurl.RESPONSE_CODE), url, _headers(self._lines), body)


def _lines(call: Call, *, has_body: bool) -> list[bytes]:
    """Header lines as libcurl takes them: one without a value is none at all, unless it ends with a semicolon."""
    lines: list[str] = []
    for name, value in call.headers.items():
        if not name or not (_BREAKS | {":"}).isdisjoint(name) or not _BREAKS.isdisjoint(value):
            raise FetchRefusedError(f"a header of the request to {shown(call.url)} is none: {name!r}")
        lines.append(f"{name}: {value}" if value.strip() else f"{name};")
    if has_body:
        if not any(name.lower() == "content-type" for name in call.headers):
            lines.append("Content-Type:" if call.data is None else "Content-Type: application/json")
        lines.append("Expect:")  # a body is sent without asking before
    return [line.encode() for line in lines]


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Those of the last answer: others, with status 1xx, may come before it."""
    headers: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            headers.clear()
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    return headers
