"""Reads a request's body as it arrives: bounded in bytes, in time, and in memory over all requests together."""

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tidegate.ingress.answers import Refusal
from tidegate.ingress.limits import IngressLimits
from tidegate.pipeline.bounded import within

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Coroutine[Any, Any, Message]]

FREE_BYTES = 64 * 1024
"""What every body may hold uncounted, so that small deliveries go on while large ones fill the memory."""


class SenderGoneError(Exception):
    """The sender closed the connection before its request was complete: there is nobody to answer."""


class BodyMemory:
    """The bytes of all bodies in memory, counted against one limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0

    def resize(self, before: int, after: int) -> bool:
        """A body grows (or goes, with `after` 0). False, and nothing is counted, if there is no room."""
        change = max(after - FREE_BYTES, 0) - max(before - FREE_BYTES, 0)
        if change > 0 and self._held + change > self._limit:
            return False
        self._held += change
        return True


class BodyHold:
    """One request's share of the body memory; leaving the `with` block gives it back."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._size = 0

    def __enter__(self) -> "BodyHold":
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.resize(self._size, 0)

    def grow_to(self, size: int) -> bool:
        """Hold `size` bytes in all. False if there is no room for them."""
        if size > self._size:
            if not self._memory.resize(self._size, size):
                return False
            self._size = size
        return True


def declared_length(text: str | None) -> int | None:
    """Content-Length as a number; None if there is none (the listener has refused malformed ones)."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def too_large(limit: int) -> Refusal:
    """The answer to a body over the limit."""
    return Refusal(413, "too-large", f"the body is larger than {limit} bytes", close=True)


@dataclass(eq=False, slots=True)
class _Arriving:
    """A body of which some has come."""

    hold: BodyHold
    limits: IngressLimits
    max_bytes: int
    chunks: list[bytes] = field(default_factory=list[bytes])
    size: int = 0

    def add(self, message: Message) -> bytes | Refusal | None:
        """The whole body, if this is its end. Raises SenderGoneError."""
        if message["type"] == "http.disconnect":
            raise SenderGoneError
        chunk: bytes = message.get("body", b"")
        self.chunks.append(chunk)
        self.size += len(chunk)
        if self.size > self.max_bytes:
            return too_large(self.max_bytes)
        if not self.hold.grow_to(self.size):
            return _no_room(self.limits)
        if message.get("more_body", False):
            return None
        return chunk if len(self.chunks) == 1 else b"".join(self.chunks)

    @property
    def seconds(self) -> float:
        """How long it may take, for all that has come of it."""
        earned = self.limits.body_grace_seconds + self.size / self.limits.min_body_bytes_per_second
        return min(earned, self.limits.body_timeout_seconds)


async def read_body(
    receive: Receive, hold: BodyHold, limits: IngressLimits, max_bytes: int
) -> bytes | Refusal:
    """Read to the end of the body. Raises SenderGoneError if the connection ends first.

    The deadline moves with the body: every `min_body_bytes_per_second` bytes earn a second, up to the total.
    A small body has come with its headers, and needs no timer.
    """
    start = asyncio.get_running_loop().time()
    body = _Arriving(hold, limits, max_bytes)
    try:
        outcome = body.add(await within(limits.body_grace_seconds, receive()))
        if outcome is None:
            async with asyncio.timeout_at(start + body.seconds) as deadline:
                while (outcome := body.add(await receive())) is None:
                    deadline.reschedule(start + body.seconds)
    except TimeoutError:
        return Refusal(
            408,
            "slow-body",
            f"the body came too slowly: {body.size} bytes arrived in time. Send it again",
            close=True,
        )
    return outcome


def _no_room(limits: IngressLimits) -> Refusal:
    detail = "too many large bodies at once: send it again later"
    return Refusal(503, "overloaded", detail, retry_after_seconds=limits.retry_after_seconds, close=True)
