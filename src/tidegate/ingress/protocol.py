"""uvicorn's httptools protocol with bounds: headers in time and size, connections counted, closed so that answers arrive.

What httptools leaves open and is closed here: it buffers a header or trailer of any size; it adds trailers to the
headers; it drops the body of a request that asks for an upgrade. What uvicorn leaves open: after an answer, one
byte disarms the keep-alive timer for good; a half-closed sender gets no answer; an early answer is lost in a reset.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tidegate.core.signals import ConnectionCut, Telemetry
from tidegate.ingress.answers import Refusal, wire_bytes
from tidegate.ingress.connections import ConnectionLedger
from tidegate.ingress.limits import ListenerLimits

ReportRefusal: TypeAlias = Callable[[Refusal], None]

_MALFORMED = Refusal(400, "bad-request", "this is not valid HTTP/1.1", close=True)
_SLOW_HEADERS = Refusal(408, "slow-headers", "the request's headers came too slowly", close=True)
_LONG_URL = Refusal(414, "url-too-long", "the URL is too long", close=True)
_LARGE_HEADERS = Refusal(431, "headers-too-large", "the headers are too large or too many", close=True)
_WRONG_VERSION = Refusal(400, "bad-request", "the HTTP version must be 1.0 or 1.1", close=True)


_HELD_BYTES = 64 * 1024
"""More is sent at once, so that whoever writes it notices when the other side does not read."""


class _RequestRefusedError(Exception):
    """Raised in a parser callback to stop the parser, which then cannot go on."""


class _LingeringTransport(asyncio.Transport):
    """What requests write to: its `close` leaves the sender time to read the answer.

    What is written in one turn of the loop leaves in one piece: an answer's head and body cost one call of the
    system, and one packet.
    """

    def __init__(
        self, raw: asyncio.Transport, close: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self.raw = raw
        self._close = close
        self._loop = loop
        self._held = b""
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing():
            return
        if self._held:
            self._held += data
        elif data:
            self._held = bytes(data)
            self._loop.call_soon(self.flush)
        if len(self._held) > _HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, b""
        if held and not self.raw.is_closing():
            self.raw.write(held)

    def is_closing(self) -> bool:
        return self.closing or self.raw.is_closing()

    def close(self) -> None:
        self.flush()
        self._close()


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Its states: idle, headers arriving, request open, draining (answered early), lingering."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        limits: ListenerLimits,
        ledger: ConnectionLedger,
        report: ReportRefusal,
        telemetry: Telemetry,
    ) -> None:
        super().__init__(config, server_state, {}, asyncio.get_running_loop())
        self._limits = limits
        self._ledger = ledger
        self._report = report
        self._telemetry = telemetry
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._in_headers = False
        self._body_open = False
        self._unanswered = 0
        self._upgrade_ignored = False
        self._deaf = False
        self._header_bytes = 0
        self._silent_bytes = 0
        self._refusal: Refusal | None = None
        self._raw: asyncio.Transport | None = None

    # --- Connection ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._raw = transport
        self.transport = _LingeringTransport(transport, self._close, self.loop)
        refusal = self._ledger.admit(self, self.client[0] if self.client else "")
        if refusal is not None:
            self._report(refusal)
            self._deaf = True
            transport.write(wire_bytes(refusal, self.server_state.default_headers))
            transport.close()
            return
        self._arm(self._limits.header_timeout_seconds, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._disarm_write()
        self._ledger.release(self)
        self._raw = None
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A sender that closed its half after a whole request still gets its answer (RFC 9112 §9.6)."""
        whole = not self._body_open and not self._in_headers
        if self._unanswered and whole and not self.transport.is_closing():
            self.cycle.keep_alive = False
            self._deaf = True
            return True
        return None

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
        self._unset_keepalive_if_required()
        self._silent_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or _MALFORMED)
            return
        if self._silent_bytes > self._limits.max_header_bytes:
            self._refuse(_LARGE_HEADERS)
        elif self._deadline is None and (self._in_headers or self._is_idle()):
            self._arm(self._limits.header_timeout_seconds, self._headers_late)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast("int", upgrade.args[0]) :]
            self._feed(self._without_upgrade() + rest)

    def _without_upgrade(self) -> bytes:
        """The request's head again, the wish for an upgrade left out, for a parser that will read its body.

        A server may ignore the wish (RFC 9110 §7.8). Java's HTTP client asks for h2c with every first POST.
        """
        head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self._version().encode())]
        head += [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        self._upgrade_ignored = False
        self.parser = httptools.HttpRequestParser(self)
        return b"".join([*head, b"\r\n"])

    def _version(self) -> str:
        return self.parser.get_http_version()

    # --- Parser callbacks ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self._silent_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.max_url_bytes:
            self._stop(_LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # a trailer: it must not pass for a header (RFC 9110 §6.5.1)
        self._header_bytes += len(name) + len(value)
        if (
            self._header_bytes > self._limits.max_header_bytes
            or len(self.headers) >= self._limits.max_header_count
        ):
            self._stop(_LARGE_HEADERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._version() not in ("1.1", "1.0"):
            self._stop(_WRONG_VERSION)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._stop(_MALFORMED)
            self._upgrade_ignored = True
            return
        if len(self.pipeline) >= self._limits.max_pipelined:
            self._stop(_MALFORMED)
        super().on_headers_complete()
        self._disarm()
        self._in_headers = False
        self._body_open = True
        self._unanswered += 1
        if self._unanswered == 1:  # else an earlier request is still in hand
            self._ledger.reading(self)
        self._silent_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._silent_bytes = 0

    def on_message_complete(self) -> None:
        if self._upgrade_ignored:
            return
        super().on_message_complete()
        self._ledger.busy(self)
        self._body_open = False
        self._silent_bytes = 0
        if self.cycle.response_complete:  # answered before its body had come
            self._disarm()
            self._rest()

    def on_response_complete(self) -> None:
        if isinstance(self.transport, _LingeringTransport):
            self.transport.flush()
        self._unanswered -= 1
        super().on_response_complete()
        if self.transport.is_closing() or self._unanswered:
            return
        if self._deaf:
            self.transport.close()
        elif self._body_open:
            self._unset_keepalive_if_required()
            self._arm(self._limits.linger_seconds, self.transport.close)
        elif self._in_headers:
            self._unset_keepalive_if_required()
        else:
            self._rest()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self._limits.write_timeout_seconds, self._answer_unread)

    def resume_writing(self) -> None:
        self._disarm_write()
        super().resume_writing()

    # --- States -------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return not self._unanswered and not self._body_open

    def _rest(self) -> None:
        """Wait for the next request."""
        self._ledger.idle(self)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self._limits.keep_alive_seconds, self.timeout_keep_alive_handler
        )

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _RequestRefusedError(refusal.reason)

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection over bytes that cannot be read; earlier requests get their answers first."""
        self._disarm()
        self._deaf = True
        begun = self._body_open and self.cycle.response_started
        if self._body_open and not self.cycle.response_complete:
            self._drop_request()
        if not begun:
            self._report(refusal)
        if self._unanswered:
            return
        if not begun:
            self.transport.write(wire_bytes(refusal, self.server_state.default_headers))
        self._linger()

    def _drop_request(self) -> None:
        """The request whose body broke off: the application is told that its sender is gone."""
        broken = self.cycle
        self.pipeline = deque(each for each in self.pipeline if each[0] is not broken)
        broken.disconnected = True
        broken.message_event.set()
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
        if raw is None or raw.is_closing() or not isinstance(self.transport, _LingeringTransport):
            return
        self._deaf = True
        self.transport.flush()
        self.transport.closing = True
        self._unset_keepalive_if_required()
        self._arm(self._limits.linger_seconds, raw.abort)
        self.flow.resume_reading()
        if raw.can_write_eof():
            raw.write_eof()

    def _headers_late(self) -> None:
        self._deadline = None
        if self._in_headers:
            self._refuse(_SLOW_HEADERS)
        else:
            self._telemetry.emit(ConnectionCut("no-request"))
            self.transport.close()

    def _answer_unread(self) -> None:
        self._telemetry.emit(ConnectionCut("answer-unread"))
        self.abort()

    def _arm(self, seconds: float, then: Callable[[], None]) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _disarm_write(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
