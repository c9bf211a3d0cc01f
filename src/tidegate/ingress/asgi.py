"""Lets an ASGI application answer, by uvicorn's request and response cycle."""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tidegate.ingress.exchanges import Connection, OpenExchange, RequestHead

_log = logging.getLogger(__name__)


def asgi(app: Any) -> OpenExchange:
    """Exchanges of an ASGI 3 application. It gets no lifespan events."""
    return lambda head, connection: AsgiExchange(app, head, connection)


class AsgiExchange:
    """One request that an ASGI application answers."""

    def __init__(self, app: Any, head: RequestHead, connection: Connection) -> None:
        self._app = app
        self._flow = connection.flow
        self._tasks = connection.common.tasks
        self._cycle = RequestResponseCycle(
            scope=_scope(head, connection),  # pyright: ignore[reportArgumentType]
            transport=connection.transport,
            flow=connection.flow,
            logger=_log,
            access_logger=_log,
            access_log=False,
            default_headers=connection.common.headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue,
            keep_alive=head.keep_alive,
            on_response=connection.answered,
        )

    @property
    def begun(self) -> bool:
        return self._cycle.response_started

    @property
    def complete(self) -> bool:
        return self._cycle.response_complete

    def be_last(self) -> None:
        self._cycle.keep_alive = False

    def start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._cycle.run_asgi(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def feed(self, data: bytes) -> None:
        cycle = self._cycle
        if cycle.response_complete:
            return
        cycle.body += data
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        cycle.message_event.set()

    def finish(self) -> None:
        self._cycle.more_body = False
        self._cycle.message_event.set()

    def lose(self) -> None:
        if not self._cycle.response_complete:
            self._cycle.disconnected = True
        self._cycle.message_event.set()


def _scope(head: RequestHead, connection: Connection) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "server": connection.server,
        "client": connection.client,
        "scheme": "http",
        "root_path": "",
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": {},
    }
