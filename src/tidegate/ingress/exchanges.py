"""What the listener and those who answer its requests know of each other: heads, bodies and connections."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec
from uvicorn.protocols.http.flow_control import FlowControl

from tidegate.ingress.answers import HeaderPairs


class RequestHead(msgspec.Struct, frozen=True):
    """A request without its body.

    Header names are in lower case. `raw_path` is as it was sent, `path` has its %-escapes undone.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: str
    headers: HeaderPairs
    keep_alive: bool
    expects_continue: bool


class Common(Protocol):
    """What the answers of one listener have in common."""

    @property
    def headers(self) -> HeaderPairs:
        """Headers that every answer has: Date."""
        ...

    @property
    def header_lines(self) -> bytes:
        """The same as they go over the wire."""
        ...

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What runs for requests: at the end, the listener waits for it."""
        ...


class Connection(Protocol):
    """A connection as an exchange sees it."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def flow(self) -> FlowControl: ...

    @property
    def client(self) -> tuple[str, int] | None: ...

    @property
    def server(self) -> tuple[str, int | None] | None: ...

    @property
    def common(self) -> Common: ...

    def answer(self, whole: bytes, *, last: bool) -> None:
        """Send an answer, head and body. `last`: nothing may follow on this connection."""
        ...

    def answered(self) -> None:
        """An answer was written to the transport, which is closed if nothing may follow."""
        ...


class Exchange(Protocol):
    """One request and its answer. The listener calls its methods, in the event loop, and none of them waits."""

    @property
    def begun(self) -> bool:
        """Some of the answer was written."""
        ...

    @property
    def complete(self) -> bool:
        """All of the answer was written."""
        ...

    def be_last(self) -> None:
        """The connection ends with this answer."""
        ...

    def start(self) -> None:
        """Answer: what came before has its answers. Some of the body, or all of it, may be there."""
        ...

    def feed(self, data: bytes) -> None:
        """More of the body."""
        ...

    def finish(self) -> None:
        """The body is complete."""
        ...

    def lose(self) -> None:
        """The sender is gone, or its body broke off: nobody waits for the answer."""
        ...


OpenExchange: TypeAlias = Callable[[RequestHead, Connection], Exchange]
