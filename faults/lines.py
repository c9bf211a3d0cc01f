"""A line between two programs of this machine that can be cut."""

import asyncio
from dataclasses import dataclass, field

from faults.source import Loop


@dataclass
class Line:
    """A TCP line to a port of this machine that can be cut: what is sent then gets stuck, and nobody is told."""

    target: int
    port: int = 0
    _through: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._runner = Loop()
        self._through.set()
        self._server = self._runner.run(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._runner.soon(self._through.clear)

    def mend(self) -> None:
        self._runner.soon(self._through.set)

    def close(self) -> None:
        self._runner.soon(self._server.close)
        for end in list(self._ends):
            self._runner.soon(end.transport.abort)
        self._runner.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, here}
        await asyncio.gather(self._pump(reader, here), self._pump(there, writer))
        self._ends -= {writer, here}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._through.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
