"""HTTP/1.1 on httptools, with bounds: headers in time and size, connections counted, closed so that answers arrive.

What httptools leaves open and is closed here: it buffers a header or trailer of any size; it adds trailers to the
headers; it drops the body of a request that asks for an upgrade. A half-closed sender gets its answer, an early
answer is not lost in a reset, and no byte disarms a deadline for good.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TypeAlias, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from tidegate.core.signals import ConnectionCut, Telemetry
from tidegate.ingress.answers import HeaderPairs, Refusal, lines_of, refusal_bytes
from tidegate.ingress.connections import ConnectionLedger
from tidegate.ingress.deadlines import Deadline
from tidegate.ingress.exchanges import Exchange, OpenExchange, RequestHead
from tidegate.ingress.limits import ListenerLimits
from tidegate.ingress.transports import LingeringTransport

ReportRefusal: TypeAlias = Callable[[Refusal], None]

_MALFORMED = Refusal(400, "bad-request", "this is not valid HTTP/1.1", close=True)
_SLOW_HEADERS = Refusal(408, "slow-headers", "the request's headers came too slowly", close=True)
_LONG_URL = Refusal(414, "url-too-long", "the URL is too long", close=True)
_LARGE_HEADERS = Refusal(431, "headers-too-large", "the headers are too large or too many", close=True)
_WRONG_VERSION = Refusal(400, "bad-request", "the HTTP version must be 1.0 or 1.1", close=True)


class _RequestRefusedError(Exception):
    """Raised in a parser callback to stop the parser, which then cannot go on."""


@dataclass(eq=False)
class Listening:
    """What the connections of one listener share."""

    open_exchange: OpenExchange
    limits: ListenerLimits
    ledger: ConnectionLedger
    report: ReportRefusal
    telemetry: Telemetry
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    headers: HeaderPairs = field(default_factory=HeaderPairs)
    header_lines: bytes = b""

    def date(self) -> None:
        """Let answers have the time of now as their Date (RFC 9110 §6.6.1)."""
        self.headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self.header_lines = lines_of(self.headers)


class BoundedHttpProtocol(asyncio.Protocol):
    """One connection. Its states: idle, headers arriving, request open, draining (answered early), lingering."""

    def __init__(self, common: Listening) -> None:
        self.common = common
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self._limits = common.limits
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop)
        self._write_deadline = Deadline(self._loop)
        self._resting = False
        self._in_headers = False
        self._body_open = False
        self._upgrade_ignored = False
        self._deaf = False
        self._url = b""
        self._headers: HeaderPairs = []
        self._expects_continue = False
        self._header_bytes = 0
        self._silent_bytes = 0
        self._refusal: Refusal | None = None
        self._newest: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._unanswered = 0  # those that wait, and the one in hand
        self._renew_parser()

    def _renew_parser(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # what follows a request after which the connection ends is not read; the request gets its answer
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    # --- Connection ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._raw: asyncio.Transport | None = transport
        self.transport = LingeringTransport(transport, self._close, self._loop)
        self.flow = FlowControl(transport)
        self.client, self.server = get_remote_addr(transport), get_local_addr(transport)
        refusal = self.common.ledger.admit(self, self.client[0] if self.client else "")
        if refusal is not None:
            self.common.report(refusal)
            self._deaf = True
            transport.write(refusal_bytes(refusal, self.common.header_lines))
            transport.close()
            return
        self._deadline.set(self._limits.header_timeout_seconds, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.close()
        self._write_deadline.close()
        self.common.ledger.release(self)
        self._raw = None
        if self._newest is not None:
            self._newest.lose()
        self.flow.resume_writing()
        self._deaf = True
        del self._parser  # it holds this connection

    def eof_received(self) -> bool | None:
        """A sender that closed its half after a whole request still gets its answer (RFC 9112 §9.6)."""
        whole = not self._body_open and not self._in_headers
        if self._unanswered and whole and self._newest and not self.transport.is_closing():
            self._newest.be_last()
            self._deaf = True
            return True
        return None

    def shut_down(self) -> None:
        """Close once what has begun is answered."""
        if self._newest is None or self._newest.complete:
            self.transport.close()
        else:
            self._newest.be_last()

    def close_idle(self) -> None:
        """Close before a request is there."""
        self.transport.close()

    def abort(self) -> None:
        """Cut the connection: whatever is in flight is told that the sender is gone."""
        if self._raw is not None:
            self._raw.abort()

    # --- Bytes --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._resting:
            self._wake()
        self._silent_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or _MALFORMED)
            return
        self._start_next()
        if self._silent_bytes > self._limits.max_header_bytes:
            self._refuse(_LARGE_HEADERS)
        elif (self._in_headers or self._is_idle()) and not self._deadline.is_set:
            self._deadline.set(self._limits.header_timeout_seconds, self._headers_late)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast("int", upgrade.args[0]) :]
            self._feed(self._without_upgrade() + rest)

    def _without_upgrade(self) -> bytes:
        """The request's head again, the wish for an upgrade left out, for a parser that will read its body.

        A server may ignore the wish (RFC 9110 §7.8). Java's HTTP client asks for h2c with every first POST.
        """
        version = self._parser.get_http_version().encode()
        head = b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._url, version)
        kept = [pair for pair in self._headers if pair[0] != b"upgrade"]
        self._upgrade_ignored = False
        self._renew_parser()
        return head + lines_of(kept) + b"\r\n"

    # --- Parser callbacks ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._expects_continue = False
        self._in_headers = True
        self._header_bytes = 0
        self._silent_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.max_url_bytes:
            self._stop(_LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # a trailer: it must not pass for a header (RFC 9110 §6.5.1)
        self._header_bytes += len(name) + len(value)
        if (
            self._header_bytes > self._limits.max_header_bytes
            or len(self._headers) >= self._limits.max_header_count
        ):
            self._stop(_LARGE_HEADERS)
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._stop(_WRONG_VERSION)
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                self._stop(_MALFORMED)
            self._upgrade_ignored = True
            return
        if self._unanswered > self._limits.max_pipelined:
            self._stop(_MALFORMED)
        self._newest = self.common.open_exchange(self._head(version), self)
        self._waiting.append(self._newest)
        self._deadline.clear()
        self._in_headers = False
        self._body_open = True
        self._unanswered += 1
        if self._unanswered == 1:
            self.common.ledger.reading(self)
        else:  # an earlier request is still in hand
            self.flow.pause_reading()
        self._silent_bytes = 0

    def _head(self, version: str) -> RequestHead:
        url = httptools.parse_url(self._url)
        if not url.path:  # pyright: ignore[reportUnnecessaryComparison] - its stub knows no URL without
            self._stop(_MALFORMED)
        path = url.path.decode("ascii")
        return RequestHead(
            self._parser.get_method().decode("ascii"),
            unquote(path) if "%" in path else path,
            url.path,
            url.query or b"",
            version,
            self._headers,
            keep_alive=version != "1.0" and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue,
        )

    def on_body(self, body: bytes) -> None:
        if self._newest is not None:
            self._newest.feed(body)
        self._silent_bytes = 0

    def on_message_complete(self) -> None:
        if self._upgrade_ignored or self._newest is None:
            return
        self._newest.finish()
        self.common.ledger.busy(self)
        self._body_open = False
        self._silent_bytes = 0
        if self._newest.complete:  # answered before its body had come
            self._rest()

    # --- Answers ------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        """Let the next request be answered, unless an earlier one still is."""
        if self._waiting and len(self._waiting) == self._unanswered:
            self._waiting.popleft().start()

    def answer(self, whole: bytes, *, last: bool) -> None:
        """Send an answer, head and body. `last`: nothing may follow on this connection."""
        if self._raw is not None and not self.transport.is_closing():
            self._raw.write(whole)
        if last:
            self.transport.close()
        self.answered()

    def answered(self) -> None:
        """An answer was written to the transport, which is closed if nothing may follow."""
        self.transport.flush()
        self._unanswered -= 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._start_next()
        if self._unanswered:
            return
        if self._deaf:
            self.transport.close()
        elif self._body_open:
            self._deadline.set(self._limits.linger_seconds, self.transport.close)
        elif not self._in_headers:
            self._rest()

    def pause_writing(self) -> None:
        self.flow.pause_writing()
        self._write_deadline.set(self._limits.write_timeout_seconds, self._answer_unread)

    def resume_writing(self) -> None:
        self._write_deadline.clear()
        self.flow.resume_writing()

    # --- States -------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return not self._unanswered and not self._body_open

    def _rest(self) -> None:
        """Wait for the next request."""
        self.common.ledger.idle(self)
        self._resting = True
        self._deadline.set(self._limits.keep_alive_seconds, self.transport.close)

    def _wake(self) -> None:
        """Something came."""
        self._resting = False
        self._deadline.clear()

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _RequestRefusedError(refusal.reason)

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection over bytes that cannot be read; earlier requests get their answers first."""
        self._deadline.clear()
        self._deaf = True
        broken = self._newest if self._body_open else None
        begun = broken is not None and broken.begun
        if broken is not None and not broken.complete:
            self._drop(broken)
        if not begun:
            self.common.report(refusal)
        if self._unanswered:
            self._start_next()
            return
        if not begun:
            self.transport.write(refusal_bytes(refusal, self.common.header_lines))
        self._linger()

    def _drop(self, broken: Exchange) -> None:
        """The request whose body broke off: who answers it is told that its sender is gone."""
        if broken in self._waiting:
            self._waiting.remove(broken)
        broken.lose()
        self._unanswered -= 1

    def _close(self) -> None:
        """Close; if the sender is still sending, let it find the answer first."""
        if self._body_open:
            self._linger()
        elif self._raw is not None:
            self._raw.close()

    def _linger(self) -> None:
        """Say that no more comes, read and drop what does, and close when the sender does or time is up.

        Closing with unread data would reset the connection and could destroy the answer (RFC 9112 §9.6).
        """
        raw = self._raw
        if raw is None or raw.is_closing():
            return
        self._deaf = True
        self.transport.flush()
        self.transport.closing = True
        self._resting = False
        self._deadline.set(self._limits.linger_seconds, raw.abort)
        self.flow.resume_reading()
        if raw.can_write_eof():
            raw.write_eof()

    def _headers_late(self) -> None:
        if self._in_headers:
            self._refuse(_SLOW_HEADERS)
        else:
            self.common.telemetry.emit(ConnectionCut("no-request"))
            self.transport.close()

    def _answer_unread(self) -> None:
        self.common.telemetry.emit(ConnectionCut("answer-unread"))
        self.abort()
