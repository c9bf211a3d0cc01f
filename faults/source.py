"""A third party in a thread of its own: issues with a state, an API that can be slow or out, and webhooks
that are sent again until they are accepted.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

ResultT = TypeVar("ResultT")

RESEND_SECONDS = 0.05


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, ResultT], timeout_seconds: float = 300) -> ResultT:
        """Run a coroutine to its end."""
        return self.begin(work).result(timeout_seconds)

    def begin(self, work: Coroutine[Any, Any, ResultT]) -> "Future[ResultT]":
        """Start a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def soon(self, call: Callable[[], object]) -> None:
        """Call something in the thread."""
        self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Source:
    """Issues by number: each is its revision, or None once it is gone."""

    seed: int
    latency_seconds: tuple[float, float] = (0.0, 0.0)
    fault: str = ""
    host: str = "127.0.0.1"
    issues: dict[int, int | None] = field(default_factory=dict)
    fetches: int = 0
    url: str = ""
    accepted: int = 0
    ingress: Callable[[], str] = lambda: ""
    _sends: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self.rng = random.Random(self.seed)
        self._released = asyncio.Event()
        app = web.Application()
        app.router.add_get("/issues/{number}", self._issue)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def stop(self) -> None:
        self.fault = ""
        self._released.set()
        await self._session.close()
        await self._runner.cleanup()

    async def _issue(self, request: web.Request) -> web.StreamResponse:
        """The state as it was when the request came in, told after a while: a read that overlaps changes."""
        self.fetches += 1
        number = int(request.match_info["number"])
        revision = self.issues.get(number)
        await asyncio.sleep(self.rng.uniform(*self.latency_seconds))
        match self.fault:
            case "":
                pass
            case "hang":
                await self._released.wait()
            case "reset":
                if request.transport is not None:
                    request.transport.abort()
            case status:
                headers = {"Retry-After": "1"} if status == "429" else {}
                return web.Response(status=int(status), headers=headers)
        if revision is None:
            return web.Response(status=404)
        return web.json_response({"id": number, "title": f"Issue {number}", "state": f"revision {revision}"})

    async def change(self, number: int, *, gone: bool = False) -> None:
        """Change an issue, and send its webhook without waiting for the answer."""
        self.issues[number] = None if gone else (self.issues.get(number) or 0) + 1
        self.revision = getattr(self, "revision", 0) + 1
        send = asyncio.create_task(self._send(number, f"delivery-{self.seed}-{self.revision}"))
        self._sends.add(send)
        send.add_done_callback(self._sends.discard)

    async def _send(self, number: int, delivery: str) -> None:
        """As a sender that retries: until the answer is 2xx."""
        headers = {"X-GitHub-Delivery": delivery}
        while True:
            try:
                url = f"{self.ingress()}/webhook"
                async with self._session.post(url, json={"id": number}, headers=headers) as answer:
                    if answer.status == 202:
                        self.accepted += 1
                        return
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            await asyncio.sleep(RESEND_SECONDS)

    async def drive(self, changes: int, per_second: float, resources: int) -> None:
        """Change random issues at a rate; one in twenty changes removes one."""
        for _ in range(changes):
            await self.change(self.rng.randint(1, resources), gone=self.rng.random() < 0.05)
            await asyncio.sleep(1 / per_second)

    async def burst(self, number: int, changes: int) -> None:
        """Change one issue many times at once."""
        for _ in range(changes):
            await self.change(number)

    async def all_sent(self) -> None:
        """Wait until every webhook is accepted."""
        while self._sends:
            await asyncio.wait(set(self._sends))

    def expected(self) -> dict[str, str]:
        """What the catalog should hold: state by identifier."""
        return {
            str(number): f"revision {revision}"
            for number, revision in self.issues.items()
            if revision is not None
        }
