"""Bytes as a sender could put them on the wire, in pieces, into the real protocol and the real application.

Promises: nothing is raised, no answer is a 5xx, a 202 is answered for each event that was stored and for no other, and
each stored event can be read.
"""

import asyncio
import re
import uuid
from typing import Any

from tidegate.app.clock import SystemClock
from tidegate.core.events import IncomingEvent, MalformedPayloadError, decode_payload
from tidegate.core.ports import Accepted, EnqueueOutcome
from tidegate.core.signals import Signal
from tidegate.ingress import IngressApp, IngressLimits, ListenerLimits, PathPolicy
from tidegate.ingress.connections import ConnectionLedger
from tidegate.ingress.protocol import BoundedHttpProtocol, Listening
from tidegate.verify import github

TURNS = 12
"""Turns of the event loop after each piece: more than any request that does not wait for bytes needs."""

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
LIMITS = ListenerLimits(max_header_bytes=512, max_header_count=12, max_url_bytes=128, max_pipelined=3)


class Store:
    """Keeps what was accepted."""

    def __init__(self) -> None:
        self.events: list[IncomingEvent] = []

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        self.events.append(event)
        return Accepted(len(self.events))


class Unheard:
    def emit(self, signal: Signal) -> None: ...


class Wire(asyncio.Transport):
    """A transport in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self.said = bytearray()
        self._closing = False

    def write(self, data: Any) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Listener:
    """One application for all inputs, a connection for each."""

    def __init__(self) -> None:
        self.store = Store()
        paths = {"/a": PathPolicy("/a"), "/s": PathPolicy("/s", (github("secret"),))}
        limits = IngressLimits(
            max_body_bytes=4_096, max_decoded_bytes=65_536, max_json_depth=20, max_json_values=200
        )
        new_id = lambda: str(uuid.uuid4())  # noqa: E731
        self.app = IngressApp(paths, self.store, SystemClock(), Unheard(), new_id, limits=limits)
        self.loop = asyncio.new_event_loop()
        self.broken: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.broken.append(repr(context)))

    def said_to(self, pieces: list[bytes]) -> bytes:
        return self.loop.run_until_complete(self._said_to(pieces))

    async def _said_to(self, pieces: list[bytes]) -> bytes:
        wire, ledger = Wire(), ConnectionLedger(LIMITS, 10, Unheard())
        common = Listening(self.app, LIMITS, ledger, lambda _: None, Unheard())
        protocol = BoundedHttpProtocol(common)
        protocol.connection_made(wire)
        for piece in pieces:
            if wire.is_closing():
                break
            protocol.data_received(piece)
            await self._turns()
        protocol.eof_received()
        await self._turns()
        protocol.connection_lost(None)
        await self._turns()
        tasks = list(common.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return bytes(wire.said)

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)


LISTENER = Listener()


def one(data: bytes) -> None:
    """The first byte says where the rest is cut."""
    cut = data[0] if data else 0
    rest = data[1:]
    LISTENER.store.events.clear()
    said = LISTENER.said_to([rest[:cut], rest[cut:]] if 0 < cut < len(rest) else [rest])
    statuses = [int(status) for status in STATUS.findall(said)]
    assert LISTENER.broken == [], LISTENER.broken
    assert all(status < 500 for status in statuses), said
    events = LISTENER.store.events
    assert statuses.count(202) <= len(events), said
    for event in events:
        assert event.path == "/a", "an unsigned event was stored"
        readable(event)


def readable(event: IncomingEvent) -> None:
    """Numbers beyond a double's range pass the check, as http.md says."""
    try:
        decode_payload(event.body, event.headers.get("content-type", ""))
    except MalformedPayloadError as error:
        assert "out of range" in str(error), error


SEEDS = [
    b'\0POST /integration/a HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}',
    b"\x30POST /integration/s HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"\0POST /integration/a HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1",
    b"\0GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nHEAD /integration/a HTTP/1.0\r\n\r\n",
    b"\x10POST /integration/a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
]
