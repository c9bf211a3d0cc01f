"""Reads a request's body as it arrives: bounded in bytes, in time, and in memory over all requests together."""

import asyncio
from collections.abc import Callable

from tidegate.ingress.answers import Refusal
from tidegate.ingress.limits import IngressLimits

FREE_BYTES = 64 * 1024
"""What every body may hold uncounted, so that small deliveries go on while large ones fill the memory."""


class SenderGoneError(Exception):
    """The sender closed the connection before its request was complete: there is nobody to answer."""


class BodyMemory:
    """The bytes of all bodies in memory, those that are free left out, counted against one limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0

    def take(self, count: int) -> bool:
        """Count so many bytes. False, and nothing is counted, if there is no room."""
        if self._held + count > self._limit:
            return False
        self._held += count
        return True

    def give_back(self, count: int) -> None:
        """They are held no more."""
        self._held -= count


class BodyHold:
    """One request's share of the body memory; leaving the `with` block gives it back."""

    __slots__ = ("_memory", "_size")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._size = FREE_BYTES

    def __enter__(self) -> "BodyHold":
        return self

    def __exit__(self, *_: object) -> None:
        if self._size > FREE_BYTES:
            self._memory.give_back(self._size - FREE_BYTES)

    def grow_to(self, size: int) -> bool:
        """Hold `size` bytes in all. False if there is no room for them."""
        if size <= self._size:
            return True
        if not self._memory.take(size - self._size):
            return False
        self._size = size
        return True


def declared_length(text: str | None) -> int | None:
    """Content-Length as a number; None if there is none (the listener has refused malformed ones)."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def too_large(limit: int) -> Refusal:
    """The answer to a body over the limit."""
    return Refusal(413, "too-large", f"the body is larger than {limit} bytes", close=True)


class IncomingBody:
    """A body as it comes in: the connection adds to it, one task reads it.

    `invite` is called when the task begins to wait for what has not come (100 Continue).
    """

    __slots__ = ("_chunks", "_invite", "_more", "lost", "size", "whole")

    def __init__(self, invite: Callable[[], None] | None = None) -> None:
        self._chunks: list[bytes] = []
        self._invite = invite
        self._more: asyncio.Future[None] | None = None
        self.size = 0
        self.whole = False
        self.lost = False

    def add(self, chunk: bytes) -> None:
        """More of it came."""
        self._chunks.append(chunk)
        self.size += len(chunk)
        self._tell()

    def end(self) -> None:
        """All of it came."""
        self.whole = True
        self._tell()

    def lose(self) -> None:
        """Its sender is gone."""
        self.lost = True
        self._tell()

    async def more(self) -> None:
        """Wait until something was added, or it ended. Raises SenderGoneError."""
        if self._invite is not None:
            invite, self._invite = self._invite, None
            invite()
        self._more = asyncio.get_running_loop().create_future()
        try:
            await self._more
        finally:
            self._more = None
        if self.lost:
            raise SenderGoneError

    def take(self) -> bytes:
        """What came, which is forgotten here."""
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _tell(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


async def read_body(
    body: IncomingBody, hold: BodyHold, limits: IngressLimits, max_bytes: int
) -> bytes | Refusal:
    """Read to the end of the body. Raises SenderGoneError if the connection ends first.

    A small body has come with its headers, and needs no timer.
    """
    if body.lost:
        raise SenderGoneError
    refusal = _excess(body, hold, limits, max_bytes)
    if refusal is None and not body.whole:
        refusal = await _wait_for(body, hold, limits, max_bytes)
    return refusal or body.take()


async def _wait_for(
    body: IncomingBody, hold: BodyHold, limits: IngressLimits, max_bytes: int
) -> Refusal | None:
    """Wait for the rest of a body within its time.

    The deadline moves with the body: every `min_body_bytes_per_second` bytes earn a second, up to the total.
    """
    start = asyncio.get_running_loop().time()
    refusal: Refusal | None = None
    try:
        async with asyncio.timeout_at(start + _seconds_for(body, limits)) as deadline:
            while refusal is None and not body.whole:
                await body.more()
                refusal = _excess(body, hold, limits, max_bytes)
                deadline.reschedule(start + _seconds_for(body, limits))
    except TimeoutError:
        detail = f"the body came too slowly: {body.size} bytes arrived in time. Send it again"
        return Refusal(408, "slow-body", detail, close=True)
    return refusal


def _excess(body: IncomingBody, hold: BodyHold, limits: IngressLimits, max_bytes: int) -> Refusal | None:
    if body.size > max_bytes:
        return too_large(max_bytes)
    return None if hold.grow_to(body.size) else _no_room(limits)


def _seconds_for(body: IncomingBody, limits: IngressLimits) -> float:
    """How long a body may take, for all that has come of it."""
    earned = limits.body_grace_seconds + body.size / limits.min_body_bytes_per_second
    return min(earned, limits.body_timeout_seconds)


def _no_room(limits: IngressLimits) -> Refusal:
    detail = "too many large bodies at once: send it again later"
    return Refusal(503, "overloaded", detail, retry_after_seconds=limits.retry_after_seconds, close=True)
