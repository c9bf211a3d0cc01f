"""The senders of webhooks: as fast as answers come, or at a steady rate; what was sent and answered, and when."""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit

from bench.work import webhook


@dataclass(slots=True)
class Sent:
    """A webhook. `due_ns` is when it should have been sent, 0 if at once: latencies count from there, so that
    no late answer hides how long the next webhook had to wait for a connection.
    """

    number: int
    due_ns: int = 0
    sent_ns: int = 0
    answered_ns: int = 0
    status: int = 0

    @property
    def answer_seconds(self) -> float:
        return (self.answered_ns - (self.due_ns or self.sent_ns)) / 1e9


class Sender(asyncio.Protocol):
    """One connection: takes the next webhook that waits whenever it is free."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: Any = None
        self._sent: Sent | None = None
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.done.done():
            self._load.done.set_exception(exc or ConnectionError("the contender closed a connection"))

    def next(self) -> None:
        if not self._load.waiting:
            self._load.idle.append(self)
            return
        self._sent = sent = self._load.waiting.popleft()
        sent.sent_ns = monotonic_ns()
        self._transport.write(self._load.request(sent.number))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length or 0):
            return
        self._buffer = b""
        assert self._sent is not None
        self._sent.answered_ns, self._sent.status = monotonic_ns(), int(head[9:12])
        self._load.answered()
        self.next()

    def close(self) -> None:
        self._transport.close()


@dataclass(eq=False)
class Load:
    """Webhooks for one URL over so many connections."""

    url: str
    connections: int
    waiting: deque[Sent] = field(default_factory=deque[Sent])
    idle: deque[Sender] = field(default_factory=deque[Sender])
    _expected: int = 0
    _answered: int = 0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deliveries = itertools.count(monotonic_ns())
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: hooks.example.org\r\nUser-Agent: GitHub-Hookshot/044aadd\r\n"
            "Accept: */*\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
            "X-GitHub-Hook-ID: 123456789\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n"
        ).encode()

    def request(self, number: int) -> bytes:
        body = webhook(number)
        return b"%sX-GitHub-Delivery: %x\r\nContent-Length: %d\r\n\r\n%s" % (
            self._head,
            next(self._deliveries),
            len(body),
            body,
        )

    def answered(self) -> None:
        self._answered += 1
        if self._answered == self._expected and not self.done.done():
            self.done.set_result(None)

    async def send(self, numbers: Sequence[int], per_second: float | None) -> list[Sent]:
        """Send all of them, at once or at this rate; returns when the last is answered."""
        if not numbers:
            return []
        self._expected = len(numbers)
        parts, loop = urlsplit(self.url), asyncio.get_running_loop()
        sent = [Sent(number) for number in numbers]
        if per_second is None:
            self.waiting.extend(sent)
        senders = [
            (await loop.create_connection(lambda: Sender(self), parts.hostname, parts.port))[1]
            for _ in range(min(self.connections, len(numbers)))
        ]
        if per_second is not None:
            await self._pace(sent, 1e9 / per_second)
        await self.done
        for sender in senders:
            sender.close()
        return sent

    async def _pace(self, sent: list[Sent], step_ns: float) -> None:
        start = monotonic_ns()
        for index, each in enumerate(sent):
            each.due_ns = start + int(index * step_ns)
            early = each.due_ns - monotonic_ns()
            if early > 0:
                await asyncio.sleep(early / 1e9)
            self.waiting.append(each)
            if self.idle:
                self.idle.popleft().next()  # in turn, so that none is silent for so long that it is closed
