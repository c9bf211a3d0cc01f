"""Runs an ASGI application on uvicorn's protocol, inside a running event loop.

It installs no signal handlers, writes no access log and owns no loop: all that is the composition root's.
"""

import asyncio
import logging
import resource
import socket
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from tidegate.core.signals import Signal, Telemetry
from tidegate.ingress.answers import Refusal
from tidegate.ingress.connections import ConnectionLedger
from tidegate.ingress.limits import ListenerLimits
from tidegate.ingress.protocol import BoundedHttpProtocol, ReportRefusal
from tidegate.ingress.sockets import address_of, bind

_SPARE_FILES = 128
"""File descriptors kept for the engine, the target and everything else that is no incoming connection."""

_LAST_CALL_SECONDS = 1.0
"""How long requests whose connection was cut may take to notice, before they are cancelled."""

_log = logging.getLogger(__name__)


def ignore_refusal(_: Refusal) -> None:
    """Count nothing."""


class _Unheard:
    """Telemetry that nobody listens to."""

    def emit(self, signal: Signal) -> None: ...


class HttpServer:
    """One listener. `start` once, `stop` once.

    `app` is any ASGI 3 application; it gets no lifespan events. `host` is an address or a name ("::" takes
    IPv4 too); `port` 0 lets the system choose. `setting` names the setting that holds the port, for error
    messages. `report` hears of requests that were refused before the application saw them, `telemetry` of
    connections. `bound` is a socket that was bound before (see `bind`), and may be shared with other processes.
    """

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        *,
        limits: ListenerLimits | None = None,
        setting: str = "port",
        report: ReportRefusal = ignore_refusal,
        telemetry: Telemetry | None = None,
        bound: socket.socket | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._limits = limits or ListenerLimits()
        self._setting = setting
        self._report = report
        self._telemetry = telemetry or _Unheard()
        self._bound = bound
        self._state = ServerState()
        self._ledger: ConnectionLedger | None = None
        self._listener: asyncio.Server | None = None
        self._dating: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The bound port, once started."""
        return self._port

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return 0 if self._ledger is None else len(self._ledger)

    async def start(self) -> str:
        """Listen. Answers the bound address as "host:port", fit for a URL.

        Raises ConfigurationError if the address is in use, not ours, or may not be used.
        """
        bound = self._bound or await asyncio.to_thread(bind, self._host, self._port, self._setting)
        ledger = self._ledger = ConnectionLedger(
            self._limits, self._affordable_connections(), self._telemetry
        )
        config = Config(
            self._app,
            http=BoundedHttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        config.load()

        def protocol() -> BoundedHttpProtocol:
            return BoundedHttpProtocol(
                config, self._state, self._limits, ledger, self._report, self._telemetry
            )

        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(protocol, sock=bound, backlog=self._limits.accept_backlog)
        self._dating = asyncio.create_task(self._keep_dating(), name="tidegate-http-date")
        self._port = bound.getsockname()[1]
        return address_of(bound)

    async def stop(self, grace_seconds: float = 5.0) -> bool:
        """Close the listener, let requests in flight finish for at most `grace_seconds`, then cut the rest.

        True if nothing had to be cut.
        """
        if self._listener is None or self._ledger is None:
            return True
        self._listener.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        clean = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._ledger.wait_empty()
        except TimeoutError:
            clean = False
            self._ledger.abort_all()
            await self._end_requests()
        await self._listener.wait_closed()
        self._listener = None
        if self._dating is not None:
            self._dating.cancel()
            await asyncio.gather(self._dating, return_exceptions=True)
        return clean

    async def _end_requests(self) -> None:
        """Wait for requests whose connection was cut; cancel those that do not notice."""
        tasks = set(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_LAST_CALL_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _affordable_connections(self) -> int:
        """The configured number, or what the process's limit of open files leaves room for."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self._limits.max_connections
        if most == resource.RLIM_INFINITY or wanted + _SPARE_FILES <= most:
            return wanted
        allowed = max(most - _SPARE_FILES, 16)
        _log.warning(
            "%d connections are allowed, but only %d open files (ulimit -n): %d will be taken",
            wanted,
            most,
            allowed,
        )
        return allowed

    async def _keep_dating(self) -> None:
        """Keep the Date header right (RFC 9110 §6.6.1), once a second rather than once an answer."""
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
            await asyncio.sleep(1)
