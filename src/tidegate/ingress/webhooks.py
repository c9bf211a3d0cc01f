"""One webhook on its connection: its body as it comes, a task that answers it, the answer in one piece."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tidegate.ingress.answers import Answer
from tidegate.ingress.bodies import IncomingBody, SenderGoneError
from tidegate.ingress.exchanges import Connection, RequestHead

AnswerWebhook: TypeAlias = Callable[[RequestHead, str, IncomingBody], Awaitable[Answer]]
"""Answers a request, given the peer's address and the body. Raises SenderGoneError."""

_log = logging.getLogger(__name__)


class WebhookExchange:
    """A request that is answered in one piece, once."""

    __slots__ = ("_answer", "_body", "_connection", "_head", "_last", "_task", "complete")

    def __init__(self, answer: AnswerWebhook, head: RequestHead, connection: Connection) -> None:
        self._answer = answer
        self._head = head
        self._connection = connection
        self._body = IncomingBody(self._go_on if head.expects_continue else None)
        self._task: asyncio.Task[None] | None = None
        self._last = not head.keep_alive
        self.complete = False

    @property
    def begun(self) -> bool:
        return self.complete

    def be_last(self) -> None:
        self._last = True

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._connection.common.tasks.add(self._task)

    def feed(self, data: bytes) -> None:
        if not self.complete:
            self._body.add(data)

    def finish(self) -> None:
        self._body.end()

    def lose(self) -> None:
        self._body.lose()

    async def _run(self) -> None:
        connection = self._connection
        try:
            client = connection.client
            answer = await self._answer(self._head, client[0] if client else "", self._body)
            if connection.flow.write_paused:
                await connection.flow.drain()
            if not self._body.lost:
                self._end(answer)
        except SenderGoneError:
            pass
        except Exception:  # noqa: BLE001 - whatever broke, the connection is of no more use
            _log.exception("a request could not be answered")
            connection.transport.close()
        finally:
            if self._task is not None:
                connection.common.tasks.discard(self._task)

    def _end(self, answer: Answer) -> None:
        last = answer.close or self._last
        bodiless = self._head.method == "HEAD"
        whole = answer.wire(self._connection.common.header_lines, close=last, bodiless=bodiless)
        self.complete = True
        self._body.take()
        self._connection.answer(whole, last=last)

    def _go_on(self) -> None:
        self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
