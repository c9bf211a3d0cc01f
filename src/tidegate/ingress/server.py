"""Listens for HTTP inside a running event loop.

It installs no signal handlers, writes no access log and owns no loop: all that is the composition root's.
"""

import asyncio
import logging
import resource
import socket

from tidegate.core.signals import Signal, Telemetry
from tidegate.ingress.answers import Refusal
from tidegate.ingress.connections import ConnectionLedger
from tidegate.ingress.exchanges import OpenExchange
from tidegate.ingress.limits import ListenerLimits
from tidegate.ingress.protocol import BoundedHttpProtocol, Listening, ReportRefusal
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

    `open_exchange` answers its requests: an IngressApp, or `asgi` of an application. `host` is an address or a
    name ("::" takes IPv4 too); `port` 0 lets the system choose. `setting` names the setting that holds the port, for error
    messages. `report` hears of requests that were refused before the application saw them, `telemetry` of
    connections. `bound` is a socket that was bound before (see `bind`), and may be shared with other processes.
    """

    def __init__(
        self,
        open_exchange: OpenExchange,
        host: str,
        port: int,
        *,
        limits: ListenerLimits | None = None,
        setting: str = "port",
        report: ReportRefusal = ignore_refusal,
        telemetry: Telemetry | None = None,
        bound: socket.socket | None = None,
    ) -> None:
        self._open_exchange = open_exchange
        self._host = host
        self._port = port
        self._limits = limits or ListenerLimits()
        self._setting = setting
        self._report = report
        self._telemetry = telemetry or _Unheard()
        self._bound = bound
        self._common: Listening | None = None
        self._listener: asyncio.Server | None = None
        self._dating: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The bound port, once started."""
        return self._port

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return 0 if self._common is None else len(self._common.ledger)

    async def start(self) -> str:
        """Listen. Answers the bound address as "host:port", fit for a URL.

        Raises ConfigurationError if the address is in use, not ours, or may not be used.
        """
        bound = self._bound or await asyncio.to_thread(bind, self._host, self._port, self._setting)
        ledger = ConnectionLedger(self._limits, self._affordable_connections(), self._telemetry)
        common = Listening(self._open_exchange, self._limits, ledger, self._report, self._telemetry)
        self._common = common
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: BoundedHttpProtocol(common), sock=bound, backlog=self._limits.accept_backlog
        )
        self._dating = asyncio.create_task(_keep_dating(common), name="tidegate-http-date")
        self._port = bound.getsockname()[1]
        return address_of(bound)

    async def stop(self, grace_seconds: float = 5.0) -> bool:
        """Close the listener, let requests in flight finish for at most `grace_seconds`, then cut the rest.

        True if nothing had to be cut.
        """
        if self._listener is None or self._common is None:
            return True
        self._listener.close()
        self._common.ledger.shut_down_all()
        clean = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._common.ledger.wait_empty()
        except TimeoutError:
            clean = False
            self._common.ledger.abort_all()
            await _end_requests(self._common)
        await self._listener.wait_closed()
        self._listener = None
        if self._dating is not None:
            self._dating.cancel()
            await asyncio.gather(self._dating, return_exceptions=True)
        return clean

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


async def _end_requests(common: Listening) -> None:
    """Wait for requests whose connection was cut; cancel those that do not notice."""
    tasks = common.tasks.copy()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_LAST_CALL_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _keep_dating(common: Listening) -> None:
    """Keep the Date header right, once a second rather than once an answer."""
    while True:
        common.date()
        await asyncio.sleep(1)
