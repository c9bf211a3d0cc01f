"""The real listener over sockets, with a small engine in memory and a clock that tests advance."""

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import uvloop

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted, BacklogFull, Duplicate, EnqueueOutcome
from tidegate.core.signals import ConnectionCut, EventAccepted, EventRefused, Signal
from tidegate.core.verification import Refused, SignedRequest, Verification, Verified
from tidegate.ingress import HttpServer, IngressApp, IngressLimits, ListenerLimits, PathPolicy

SECRET = b"the-secret-of-the-tests"


@dataclass
class MemoryStore:
    """Keeps events and knows duplicates. `gate`, if set, is waited for before each commit."""

    backlog_limit: int = 1_000_000
    events: list[IncomingEvent] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        self.asked.set()
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if len(self.events) >= self.backlog_limit:
            return BacklogFull(self.backlog_limit)
        if event.delivery_id is not None:
            for known in self.events:
                if (known.path, known.delivery_id) == (event.path, event.delivery_id):
                    return Duplicate(known.id)
        self.events.append(event)
        return Accepted(len(self.events))


@dataclass
class HandClock:
    """Stands still until a test moves it."""

    seconds: float = 1_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_700_000_000 + self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Signals:
    """Remembers what was told."""

    seen: list[Signal] = field(default_factory=list)

    def emit(self, signal: Signal) -> None:
        self.seen.append(signal)

    @property
    def refused(self) -> list[tuple[str, int, str]]:
        return [(s.path, s.status, s.reason) for s in self.seen if isinstance(s, EventRefused)]

    @property
    def cut(self) -> list[str]:
        return [s.reason for s in self.seen if isinstance(s, ConnectionCut)]

    @property
    def accepted(self) -> list[EventAccepted]:
        return [s for s in self.seen if isinstance(s, EventAccepted)]


@dataclass(frozen=True)
class Hmac:
    """A sender's scheme in small: HMAC-SHA256 of the body, in hex, in a header of the verifier's name."""

    name: str = "x-signature"
    secret: bytes = SECRET

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset({self.name})

    def verify(self, request: SignedRequest) -> Verification:
        sent = request.headers.get(self.name)
        if sent is None:
            return Refused("no signature")
        if not hmac.compare_digest(sent.encode(), self.sign(request.body).encode()):
            return Refused("the signature does not match")
        return Verified()

    def sign(self, body: bytes) -> str:
        return hmac.new(self.secret, body, hashlib.sha256).hexdigest()


@dataclass
class Reply:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A raw connection: what is written is what is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def finish_sending(self) -> None:
        self.writer.write_eof()

    async def reply(self, head: bool = False) -> Reply:
        """Read one response, any `100 Continue` before it included in none."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if head else int(headers.get("content-length", "0"))
        return Reply(int(status_line.split()[1]), headers, await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as an end."""
        pieces: list[bytes] = []
        try:
            while piece := await self.reader.read(65_536):
                pieces.append(piece)
        except ConnectionError:
            pass
        return b"".join(pieces)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@dataclass
class Edge:
    """A running listener and everything around it."""

    app: IngressApp
    server: HttpServer
    engine: MemoryStore
    clock: HandClock
    signals: Signals
    client: aiohttp.ClientSession
    address: str
    wires: list[Wire] = field(default_factory=list)

    def url(self, path: str = "/webhook") -> str:
        return f"http://{self.address}/integration{path}"

    async def post(self, body: Any = b'{"a": 1}', path: str = "/webhook", **headers: str) -> Reply:
        """POST with aiohttp; underscores in header names become hyphens. JSON unless content_type says else."""
        named = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.request("POST", path, data=body, headers=named)

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        async with self.client.request(method, self.url(path), **options) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.read())

    async def get(self, path: str) -> Reply:
        async with self.client.get(f"http://{self.address}{path}") as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.read())

    async def wire(self, source: str = "127.0.0.1") -> Wire:
        host, _, port = self.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
        self.wires.append(Wire(reader, writer))
        return self.wires[-1]

    async def exchange(self, data: bytes) -> Reply:
        """Send bytes on a connection of their own, and read one response."""
        wire = await self.wire()
        await wire.send(data)
        return await wire.reply()


@asynccontextmanager
async def open_edge(
    *,
    policies: tuple[PathPolicy, ...] = (PathPolicy("/webhook"),),
    engine: MemoryStore | None = None,
    limits: IngressLimits | None = None,
    listener: ListenerLimits | None = None,
    host: str = "127.0.0.1",
    **options: Any,
) -> AsyncIterator[Edge]:
    engine, clock, signals = engine or MemoryStore(), HandClock(), Signals()
    app = IngressApp(
        {policy.path: policy for policy in policies},
        engine,
        clock,
        signals,
        lambda: str(uuid.uuid4()),
        limits=limits,
        **options,
    )
    server = HttpServer(app, host, 0, limits=listener, report=app.count_refusal, telemetry=signals)
    address = await server.start()
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        edge = Edge(app, server, engine, clock, signals, client, address)
        try:
            yield edge
        finally:
            await asyncio.gather(*(wire.close() for wire in edge.wires))
            await client.close()
            await server.stop(0.2)


Scenario = Callable[[Edge], Coroutine[Any, Any, None]]
Serve = Callable[..., None]


def _serve_on(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Serve:
    def serve(scenario: Scenario, **options: Any) -> None:
        async def run() -> None:
            async with asyncio.timeout(20), open_edge(**options) as edge:
                await scenario(edge)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(run())

    return serve


@pytest.fixture
def serve() -> Serve:
    """Run a scenario against a listener of its own."""
    return _serve_on(uvloop.new_event_loop)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def serve_on_each_loop(request: pytest.FixtureRequest) -> Serve:
    """The same on both event loops, for what depends on the transport."""
    return _serve_on(request.param)


@pytest.fixture
def edge_of() -> Callable[..., Any]:
    """The listener as an async context manager, for tests that bring their own loop."""
    return open_edge


@pytest.fixture
def store() -> type[MemoryStore]:
    return MemoryStore


@pytest.fixture
def unavailable() -> EngineUnavailableError:
    return EngineUnavailableError("disk full at /var/secret/place", retry_after_seconds=7)


@pytest.fixture
def signed() -> type[Hmac]:
    """A verifier class."""
    return Hmac
