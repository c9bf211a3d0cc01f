"""Faults with PostgreSQL as the engine: the same as with the embedded one, and those that only a server can have."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import urlsplit

from faults.source import Loop
from faults.trial import ENGINE_URL, Reckoning, Trial, trial
from scripts.postgres_server import PostgresServer, running

Scenario: TypeAlias = Callable[[int, float], Reckoning]

RATE = 50.0
RESOURCES = 40
RESTARTS = 4
CUT_SECONDS = 9.0


@contextmanager
def engine_server() -> Generator[PostgresServer]:
    """A server that keeps what it has committed, and the trials' engine on it."""
    with running(durable=True) as server:
        os.environ[ENGINE_URL] = server.url()
        try:
            yield server
        finally:
            del os.environ[ENGINE_URL]


def on_postgres(scenario: Scenario) -> Scenario:
    """The same fault, with another engine."""

    def tried(seed: int, scale: float) -> Reckoning:
        with engine_server():
            reckoning = scenario(seed, scale)
        return replace(reckoning, fault=f"PostgreSQL: {reckoning.fault}")

    return tried


def server_restarts(seed: int, scale: float) -> Reckoning:
    """PostgreSQL is shut down, or stopped as by a crash, and comes back, while events come in."""
    with engine_server() as server, trial("PostgreSQL restarts", seed, latency_seconds=(0.0, 0.05)) as t:
        began = time.monotonic()
        restarts = max(2, round(RESTARTS * scale))
        driving = t.drive(round(RATE * restarts * 2), RATE, RESOURCES)
        refused = True
        for number in range(restarts):
            t.pause(t.rng.uniform(0.3, 0.9))
            server.stop(signal.SIGINT if number % 2 else signal.SIGQUIT)
            refused = t.await_refusal() and refused
            server.start()
            t.tried += 1
        driving.result()
        return _checked(t.reckon(began), refused=refused)


def line_cut(seed: int, scale: float) -> Reckoning:
    """Nothing gets through between the service and PostgreSQL for longer than a lease, and nobody says so."""
    with engine_server() as server:
        line = Line(server.port)
        url = urlsplit(server.url())._replace(netloc=f"tidegate@127.0.0.1:{line.port}").geturl()
        os.environ[ENGINE_URL] = url
        try:
            with trial("line to PostgreSQL cut", seed, latency_seconds=(0.0, 0.05)) as t:
                return _cut(t, line, scale)
        finally:
            line.close()


def _cut(t: Trial, line: "Line", scale: float) -> Reckoning:
    began = time.monotonic()
    driving = t.drive(round(RATE * (CUT_SECONDS * scale + 2)), RATE, RESOURCES)
    t.pause(1.0)
    line.cut()
    refused = t.await_refusal(2 * CUT_SECONDS)
    t.pause(CUT_SECONDS * scale)
    line.mend()
    t.tried = 1
    driving.result()
    return _checked(t.reckon(began), refused=refused)


def _checked(reckoning: Reckoning, *, refused: bool) -> Reckoning:
    return reckoning if refused else replace(reckoning, detail="the ingress never answered 503")


@dataclass
class Line:
    """A TCP line to a port of this machine that can be cut: what is sent then gets stuck, and nobody is told."""

    target: int
    port: int = 0
    _through: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._runner = Loop()
        self._through.set()
        self._server = self._runner.run(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._runner.soon(self._through.clear)

    def mend(self) -> None:
        self._runner.soon(self._through.set)

    def close(self) -> None:
        self._runner.soon(self._server.close)
        for end in list(self._ends):
            self._runner.soon(end.transport.abort)
        self._runner.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, here}
        await asyncio.gather(self._pump(reader, here), self._pump(there, writer))
        self._ends -= {writer, here}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._through.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


POSTGRES_ONLY: dict[str, Scenario] = {
    "postgres-restarts": server_restarts,
    "postgres-line-cut": line_cut,
}
