"""What the ingress costs: requests a second and µs of CPU a request, beside servers that do nothing.

    python -m bench.ingress [--requests 20000] [--connections 64] [--size 2048] [--rounds 3]

Each server runs in a process of its own and is measured by that process's CPU time; the best round counts.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from bench.contenders.no_op import no_op
from tidegate.app.clock import new_id
from tidegate.app.process import set_up_interpreter
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted
from tidegate.ingress import HttpServer, IngressApp, PathPolicy, asgi
from tidegate.ingress.answers import Answer, json_answer
from tidegate.ingress.bodies import IncomingBody
from tidegate.ingress.exchanges import RequestHead
from tidegate.ingress.webhooks import WebhookExchange
from tidegate.verify import github

SECRET = b"bench"
TICKS = os.sysconf("SC_CLK_TCK")
SERVERS = {
    "uvicorn, no-op": "stock",
    "listener, no-op": "noop",
    "listener, no-op without ASGI": "bare",
    "ingress, list": "list",
    "ingress, list, HMAC verified": "signed",
    "ingress, MemoryEngine": "memory",
    "ingress, SqliteEngine": "sqlite",
}


# --- The servers ----------------------------------------------------------------------------------------


async def bare(head: RequestHead, peer: str, body: IncomingBody) -> Answer:
    """Answer 202 as the ingress does, whose body has come with its head."""
    return json_answer(202, {})


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Quiet:
    def emit(self, signal: Any) -> None:
        pass


class Heap:
    """Accepts everything and forgets it."""

    def __init__(self) -> None:
        self.count = 0

    async def enqueue(self, event: IncomingEvent) -> Accepted:
        self.count += 1
        return Accepted(self.count)


@asynccontextmanager
async def engine_of(kind: str) -> AsyncIterator[Any]:
    """The engine of one kind. Raises ImportError if this version has none."""
    if kind == "memory":
        from tidegate.engines.memory import MemoryEngine

        yield MemoryEngine(clock=Clock())
    elif kind == "sqlite":
        from tidegate.engines.sqlite import SqliteEngine

        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            async with SqliteEngine.open(Path(folder) / "bench.db", clock=Clock()) as engine:
                yield engine
    else:
        yield Heap()


async def serve(kind: str) -> None:
    """Serve until SIGTERM; the port is the first line of the output."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    if kind == "stock":
        config = uvicorn.Config(no_op, port=0, access_log=False, log_config=None, lifespan="off", ws="none")
        stock = uvicorn.Server(config)
        config.load()
        stock.lifespan = config.lifespan_class(config)
        await stock.startup()
        ticking = asyncio.create_task(stock.main_loop())
        print(stock.servers[0].sockets[0].getsockname()[1], flush=True)
        await stopped.wait()
        ticking.cancel()
        return
    async with AsyncExitStack() as stack:
        try:
            engine = await stack.enter_async_context(engine_of(kind))
        except ImportError:
            return
        policy = PathPolicy("/webhook", verifiers=(github(SECRET),) if kind == "signed" else ())
        app = IngressApp({"/webhook": policy}, engine, Clock(), Quiet(), new_id)
        set_up_interpreter()  # as in a service, whoever serves
        answering = {"noop": asgi(no_op), "bare": partial(WebhookExchange, bare)}.get(kind, app)
        server = HttpServer(answering, "127.0.0.1", 0)
        await server.start()
        print(server.port, flush=True)
        await stopped.wait()
        await server.stop(1)


# --- The load -------------------------------------------------------------------------------------------


class Sender(asyncio.Protocol):
    """Keeps one connection busy, one request after the other."""

    def __init__(self, requests: list[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._transport: Any = None
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self._done.set_exception(RuntimeError(head.decode()))
            self._transport.close()
            return
        self._buffer = b""
        self._next()

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())
        else:
            self._transport.close()
            self._done.set_result(None)


def delivery(size: int) -> bytes:
    """A request as GitHub would send it: a unique delivery id, a dozen headers, a signed body."""
    labels = [{"id": n, "name": f"label {n}", "url": f"https://api.example.org/labels/{n}"} for n in range(8)]
    issue = {"id": 1, "title": "A title", "state": "open", "labels": labels, "user": {"login": "someone"}}
    body = json.dumps({"action": "edited", "issue": issue, "pad": ""}).encode()
    body = body[:-2] + b"x" * max(size - len(body), 0) + body[-2:]
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    headers = {
        "Host": "hooks.example.org",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-GitHub-Delivery": secrets.token_hex(16),
        "X-GitHub-Event": "issues",
        "X-GitHub-Hook-ID": "123456789",
        "X-GitHub-Hook-Installation-Target-ID": "987654321",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /integration/webhook HTTP/1.1\r\n{lines}\r\n".encode() + body


async def drive(port: int, requests: list[bytes], connections: int) -> None:
    loop = asyncio.get_running_loop()
    waits: list[asyncio.Future[None]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)
        await loop.create_connection(lambda done=done: Sender(requests, done), "127.0.0.1", port)
    await asyncio.gather(*waits)


# --- The measurement ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    per_second: float
    cpu_us: float


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(kind: str, options: argparse.Namespace) -> Result | None:
    """One round against a fresh server; None if the server cannot run here."""
    command = [sys.executable, "-m", "bench.ingress", "--serve", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            return None
        warm = [delivery(options.size) for _ in range(options.connections * 5)]
        requests = [delivery(options.size) for _ in range(options.requests)]
        uvloop.run(drive(int(line), warm, options.connections))
        cpu, start = cpu_seconds(server.pid), time.perf_counter()
        uvloop.run(drive(int(line), requests, options.connections))
        wall, cpu = time.perf_counter() - start, cpu_seconds(server.pid) - cpu
        server.terminate()
    return Result(options.requests / wall, cpu / options.requests * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--size", type=int, default=2_048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=SERVERS.values(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve))
        return
    best: dict[str, Result] = {}
    for _ in range(options.rounds):
        for title, kind in SERVERS.items():
            result = measure(kind, options)
            if result is not None:
                best[title] = min(best.get(title, result), result, key=lambda each: each.cpu_us)
    floor = best["uvicorn, no-op"]
    print(f"{options.requests} requests of {options.size} bytes over {options.connections} connections")
    print(f"{'':32}{'requests/s':>12}{'µs CPU':>9}{'over no-op':>12}{'rate ratio':>12}")
    for title, result in best.items():
        over, ratio = result.cpu_us - floor.cpu_us, result.per_second / floor.per_second
        print(f"{title:32}{result.per_second:12,.0f}{result.cpu_us:9.1f}{over:12.1f}{ratio:12.2f}")


if __name__ == "__main__":
    main()
