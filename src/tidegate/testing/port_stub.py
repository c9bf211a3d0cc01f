"""A strict Port server on a loopback socket, for tests: it refuses what Port would refuse, and fails on demand."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
from aiohttp import web

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.testing.port_stub_access import Access
from tidegate.testing.port_stub_catalog import StubCatalog
from tidegate.testing.port_stub_faults import Fault, FaultKind, FaultPlan
from tidegate.testing.port_stub_routes import StubRoutes, answer
from tidegate.testing.port_stub_rules import Document
from tidegate.testing.port_stub_shapes import StubRefusalError

_LINGER_THEN_RESET = struct.pack("ii", 1, 0)
_FAULT_BODY: Mapping[str, Json] = {"ok": False, "error": "stub_fault", "message": "failed on demand"}


@dataclass(frozen=True, slots=True)
class StubRequest:
    """A request that reached the stub. `path` is decoded; `body` is the parsed JSON, None if there was none.

    `status` is what the stub answered, 0 if it did not answer.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    status: int


class PortStub:
    """Port on a loopback socket (or another `host`): `async with PortStub() as stub`, then point the integration at `stub.url`.

    `entities` and `blueprints` show (and let a test change) what Port has; `requests` what it was asked.
    Belongs to the event loop that entered it.
    """

    def __init__(
        self,
        *,
        client_id: str = "stub-client-id",
        client_secret: str = "stub-client-secret",  # noqa: S107 - a stub's secret is no secret
        host: str = "127.0.0.1",
        token_lifetime_seconds: float = 3600,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.host = host
        self.requests: list[StubRequest] = []
        self._access = Access(client_id, client_secret, token_lifetime_seconds, monotonic)
        self._catalog = StubCatalog()
        self._faults = FaultPlan()
        self._routes = StubRoutes(self._access, self._catalog, self._faults)
        self._outage: Fault | None = None
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens, as an integration's base URL: without /v1."""
        return f"http://{self.host}:{self._port}"

    @property
    def entities(self) -> dict[EntityRef, Document]:
        """The entities as Port would answer them, plus `datasource`."""
        return self._catalog.entities

    @property
    def blueprints(self) -> dict[str, Mapping[str, Json]]:
        """The blueprints as they were sent."""
        return {name: blueprint.document for name, blueprint in self._catalog.blueprints.items()}

    @property
    def integrations(self) -> dict[str, Document]:
        """The registered integrations by identifier."""
        return self._routes.integrations

    def add_blueprint(self, document: Document) -> None:
        """Create or replace a blueprint. Raises StubRefusalError."""
        self._catalog.put_blueprint(document)

    # --- what can go wrong -----------------------------------------------------------------------------

    def fail_next(
        self,
        status: int,
        count: int = 1,
        *,
        retry_after: str | float | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "",
    ) -> None:
        """Answer the next `count` requests whose path matches the pattern with `status`."""
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = str(retry_after)
        self._faults.faults.append(Fault(FaultKind.ANSWER, count, status, sent, path))

    def hang_next(self, count: int = 1, *, path: str = "") -> None:
        """Never answer the next `count` requests."""
        self._faults.faults.append(Fault(FaultKind.HANG, count, path=path))

    def reset_next(self, count: int = 1, *, path: str = "") -> None:
        """Reset the connection of the next `count` requests before anything is done."""
        self._faults.faults.append(Fault(FaultKind.RESET, count, path=path))

    def lose_answer(self, count: int = 1, *, path: str = "") -> None:
        """Carry out the next `count` requests, but reset the connection instead of answering."""
        self._faults.faults.append(Fault(FaultKind.LOSE_ANSWER, count, path=path))

    def slow_down(self, delay_seconds: float) -> None:
        """Take this long for every request from now on."""
        self._faults.delay_seconds = delay_seconds

    def outage(self, on: bool = True, *, status: int = 503) -> None:
        """Answer every request with `status` until it is switched off."""
        if self._outage is not None:
            self._faults.faults.remove(self._outage)
            self._outage = None
        if on:
            self._outage = Fault(FaultKind.ANSWER, None, status)
            self._faults.faults.insert(0, self._outage)

    def refuse(
        self, blueprint: str, identifier: str, message: str = "refused on demand", *, status: int = 422
    ) -> None:
        """Refuse upserts of this entity until `accept` is called."""
        self._faults.refused[blueprint, identifier] = (status, message)

    def accept(self, blueprint: str, identifier: str) -> None:
        """Undo `refuse`."""
        self._faults.refused.pop((blueprint, identifier), None)

    def expire_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._access.expire_all()

    # --- what happened ---------------------------------------------------------------------------------

    def asked(self, method: str, path: str = "") -> list[StubRequest]:
        """The requests of this method whose path ends so."""
        return [
            request for request in self.requests if request.method == method and request.path.endswith(path)
        ]

    async def until(self, condition: Callable[["PortStub"], bool]) -> None:
        """Wait until the condition holds; it is asked after every request. Bound it with a time-out."""
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()

    # --- life ------------------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> None:
        """Listen on `host`; port 0 chooses a free one."""
        app = web.Application(middlewares=[self._handle], client_max_size=16 * 1024 * 1024)
        app.add_routes(self._routes.table())
        self._closing.clear()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening and drop hanging requests. What it knows stays; `start` may be called again."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @web.middleware
    async def _handle(
        self, request: web.Request, handler: Callable[[web.Request], Json]
    ) -> web.StreamResponse:
        await request.read()
        if self._faults.delay_seconds:
            await asyncio.sleep(self._faults.delay_seconds)
        fault = self._faults.take(request.path)
        match fault.kind if fault is not None else None:
            case None:
                response = await _answered(handler, request)
                await self._record(request, response.status)
                return response
            case FaultKind.ANSWER if fault is not None:
                await self._record(request, fault.status)
                return answer(_FAULT_BODY, fault.status, fault.headers)
            case FaultKind.LOSE_ANSWER:
                await _answered(handler, request)
                await self._record(request, 0)
            case FaultKind.HANG:
                await self._record(request, 0)
                await self._closing.wait()
            case _:
                await self._record(request, 0)
        return _reset(request)

    async def _record(self, request: web.Request, status: int) -> None:
        body = await request.read()
        try:
            parsed: Json = msgspec.json.decode(body) if body else None
        except msgspec.DecodeError:
            parsed = None
        recorded = StubRequest(
            request.method, request.path, dict(request.query), dict(request.headers), parsed, status
        )
        self.requests.append(recorded)
        self._changed.set()


async def _answered(handler: Callable[[web.Request], Json], request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except StubRefusalError as refusal:
        return answer({"ok": False, "error": refusal.error, "message": refusal.message}, refusal.status)


def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_THEN_RESET)
        transport.abort()
    return web.Response()  # nobody is there to read it
