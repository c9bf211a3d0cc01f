"""The limit: the same work in one loop, with the HTTP server and clients of Tidegate, and nothing else.

Receive, fetch, map by hand, write in bulk. No queue on disk, no lanes, no retries: what is in hand at a crash
is lost. Run: python -m bench.contenders.bare WORLD; without WORLD it only reads bodies and answers. The port is
the first line of the output.
"""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import uvloop

from bench.contenders.no_op import accept, no_op, read_body
from bench.work import entity
from tidegate.app.clock import SystemClock
from tidegate.app.process import set_up_interpreter
from tidegate.fetch import FetchApi, FetchClient, HostBreakers
from tidegate.ingress import HttpServer, asgi
from tidegate.targets.port.http import Exchange

AT_ONCE = 32
BULK = 20


class Quiet:
    def emit(self, signal: Any) -> None:
        pass


class BareLoop:
    """An ASGI application and its workers, which share two lists."""

    def __init__(self, http: FetchApi, port: Exchange) -> None:
        self.http, self.port = http, port
        self.received: asyncio.Queue[int] = asyncio.Queue()
        self.mapped: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.received.put_nowait(msgspec.json.decode(await read_body(receive))["id"])
        await accept(send)

    async def fetch(self) -> None:
        while True:
            number = await self.received.get()
            issue: Any = await self.http.get_json(f"issues/{number}")
            self.mapped.put_nowait(entity(issue))

    async def write(self) -> None:
        path = "/blueprints/issue/entities/bulk?upsert=true&merge=true"
        while True:
            entities = [await self.mapped.get()]
            while not self.mapped.empty() and len(entities) < BULK:
                entities.append(self.mapped.get_nowait())
            answer = await self.port.send("POST", path, msgspec.json.encode({"entities": entities}))
            assert answer.ok, answer.reason


def end_if_failed(duty: asyncio.Task[None]) -> None:
    """A loop that does half of the work is no limit of anything."""
    if not duty.cancelled():
        duty.print_stack()
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def application(world: str | None) -> AsyncIterator[Any]:
    if world is None:
        yield no_op
        return
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(FetchClient(HostBreakers(clock, Quiet()), clock))
        port = Exchange(world, "bench", 30)
        stack.push_async_callback(port.close)
        loop = BareLoop(http.api(world), port)
        duties = [
            asyncio.create_task(duty) for duty in [*(loop.fetch() for _ in range(AT_ONCE)), loop.write()]
        ]
        for duty in duties:
            duty.add_done_callback(end_if_failed)
        yield loop
        for duty in duties:
            duty.cancel()


async def serve(world: str | None) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with application(world) as app:
        set_up_interpreter()  # as Tidegate does
        server = HttpServer(asgi(app), "127.0.0.1", 0)
        await server.start()
        print(server.port, flush=True)
        await stopped.wait()
        await server.stop(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("world", nargs="?", help="where the third party and Port are; without, answer only")
    uvloop.run(serve(parser.parse_args().world))
