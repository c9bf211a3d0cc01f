"""The transport that exchanges write to: closing it leaves the sender time to read the answer."""

import asyncio
from collections.abc import Callable

_HELD_BYTES = 64 * 1024
"""More is sent at once, so that whoever writes it notices when the other side does not read."""


class LingeringTransport(asyncio.Transport):
    """What is written in one turn of the loop leaves in one piece: one call of the system, and one packet."""

    def __init__(
        self, raw: asyncio.Transport, close: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self.raw = raw
        self._close = close
        self._loop = loop
        self._held = b""
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing():
            return
        if self._held:
            self._held += data
        elif data:
            self._held = bytes(data)
            self._loop.call_soon(self.flush)
        if len(self._held) > _HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, b""
        if held and not self.raw.is_closing():
            self.raw.write(held)

    def is_closing(self) -> bool:
        return self.closing or self.raw.is_closing()

    def close(self) -> None:
        self.flush()
        self._close()
