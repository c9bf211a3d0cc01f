"""A sender that retries: takes MLflow's deliveries and hands each on, again and again, until it is answered 2xx.

MLflow itself gives up after three tries, so what it lost while nobody listened would be its loss; with this in
between, whatever is missing in the end is the receiver's.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

RETRY_SECONDS = 0.1
CONNECTION_HEADERS = frozenset({"host", "connection", "content-length", "accept-encoding"})


class Redelivery:
    """Hands deliveries on to `receiver`. `taken`, `delivered` and `attempts` count."""

    def __init__(self, receiver: str) -> None:
        self._receiver = receiver
        self._waiting: set[asyncio.Task[None]] = set()
        self._came = asyncio.Event()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0))
        self.url = ""
        self.taken = 0
        self.delivered = 0
        self.attempts = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in CONNECTION_HEADERS
        }
        task = asyncio.create_task(self._hand_on(headers, body))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        self.taken += 1
        self._came.set()
        return web.Response(status=202)

    async def _hand_on(self, headers: dict[str, str], body: bytes) -> None:
        while not await self._accepted(headers, body):  # noqa: ASYNC110 - the receiver gives no sign
            await asyncio.sleep(RETRY_SECONDS)
        self.delivered += 1

    async def _accepted(self, headers: dict[str, str], body: bytes) -> bool:
        self.attempts += 1
        try:
            async with self._session.post(self._receiver, headers=headers, data=body) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def all_delivered(self, count: int) -> None:
        """Wait until `count` deliveries were taken, and nothing is left to hand on.

        MLflow sends from threads of its own: a call about the registry returns before its webhook leaves.
        """
        while self.taken < count:
            self._came.clear()
            await self._came.wait()
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def close(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        await self._session.close()


@asynccontextmanager
async def redelivery(receiver: str) -> AsyncGenerator[Redelivery]:
    """Listen on a free port (`url`) while the block runs."""
    sender = Redelivery(receiver)
    app = web.Application()
    app.router.add_post("/", sender.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        sender.url = f"http://127.0.0.1:{port}/"
        yield sender
    finally:
        await runner.cleanup()
        await sender.close()
