"""The world outside of a contender, in a process of its own: the third party, and Port.

Both are as quick as they can be made in Python, so that the contender is what is measured. The third party
stamps each answer with the time; Port notes which stamp of which resource was written when. From that follows
how fresh the catalog is, whatever a contender coalesces or repeats. Run: python -m bench.compare.world FILE,
where FILE holds the mapping and the blueprints; the port is the first line of the output.
"""

import array
import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.work import issue

STAMP = "0000000000000000000"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TOKEN = b'{"accessToken":"bench","expiresIn":86400,"tokenType":"Bearer"}'
_WANTED_PROPERTIES = 11


class Written(msgspec.Struct):
    """The part of an entity that is looked at."""

    identifier: str
    properties: dict[str, Any]
    relations: dict[str, Any]


class Bulk(msgspec.Struct):
    entities: list[Written]


class World:
    """What the third party and Port know. Times are nanoseconds of the machine's monotonic clock."""

    def __init__(self, integration: dict[str, Any], blueprints: list[dict[str, Any]]) -> None:
        self.integration = integration
        self.blueprints = {blueprint["identifier"]: blueprint for blueprint in blueprints}
        head, tail = msgspec.json.encode(issue(7_777_777, STAMP)).split(STAMP.encode())
        self._issue = head.replace(b"7777777", b"%(id)d") + b"%(stamp)d" + tail.replace(b"7777777", b"%(id)d")
        self._bulk = msgspec.json.Decoder(Bulk)
        self._single = msgspec.json.Decoder(Written)
        self.delay_seconds = 0.0
        self.reset()

    def reset(self) -> None:
        self.fetches = self.requests = self.writes = self.wrong = 0
        self.resources, self.stamps, self.times = (array.array("q") for _ in range(3))
        self.pending: dict[int, int] = {}
        self.latest: dict[int, int] = {}

    def issue(self, number: int) -> bytes:
        self.fetches += 1
        return self._issue % {b"id": number, b"stamp": time.monotonic_ns()}

    def want(self, wanted: dict[int, int]) -> None:
        """From now on, `pending` are the resources not yet written with a stamp as new as this."""
        self.pending = {each: stamp for each, stamp in wanted.items() if self.latest.get(each, 0) < stamp}

    def write(self, entity: Written, now: int) -> None:
        resource, stamp = int(entity.identifier), int(entity.properties["updatedAt"])
        self.writes += 1
        if len(entity.properties) != _WANTED_PROPERTIES or not entity.relations:
            self.wrong += 1
        self.resources.append(resource)
        self.stamps.append(stamp)
        self.times.append(now)
        if stamp > self.latest.get(resource, 0):
            self.latest[resource] = stamp
        if self.pending.get(resource, stamp + 1) <= stamp:
            del self.pending[resource]

    # --- Port ------------------------------------------------------------------------------------------

    def port(self, method: str, path: str, body: bytes) -> bytes:
        """Port's answer, as far as the contenders ask."""
        if method == "POST" and path.endswith("/entities/bulk"):
            self.requests += 1
            now = time.monotonic_ns()
            entities = self._bulk.decode(body).entities
            for entity in entities:
                self.write(entity, now)
            done = ",".join(
                f'{{"index":{n},"identifier":"{each.identifier}","created":true}}'
                for n, each in enumerate(entities)
            )
            return f'{{"ok":true,"entities":[{done}],"errors":[]}}'.encode()
        if method == "POST" and path.endswith("/entities"):
            self.requests += 1
            entity = self._single.decode(body)
            self.write(entity, time.monotonic_ns())
            return msgspec.json.encode({"ok": True, "entity": entity})
        return self._preparation(path)

    def _preparation(self, path: str) -> bytes:
        parts = path.split("/")
        if path == "/v1/auth/access_token":
            return _TOKEN
        if path.startswith("/v1/integration"):
            return msgspec.json.encode({"ok": True, "integration": self.integration, "request": {}})
        if parts[2] == "blueprints" and len(parts) == 4:
            return msgspec.json.encode({"ok": True, "blueprint": self.blueprints.get(parts[3], {})})
        if path == "/v1/organization":
            return b'{"ok":true,"organization":{"id":"bench","featureFlags":[]}}'
        return b'{"ok":true,"entities":[],"errors":[]}'

    # --- the bench -------------------------------------------------------------------------------------

    def control(self, path: str, body: bytes) -> bytes:
        if path == "/bench/reset":
            self.reset()
            self.delay_seconds = msgspec.json.decode(body)["delay_seconds"]
        elif path == "/bench/want":
            self.want(msgspec.json.decode(body, type=dict[int, int]))
        elif path == "/bench/writes":
            return b"".join(part.tobytes() for part in (self.resources, self.stamps, self.times))
        counts = ("fetches", "requests", "writes", "wrong")
        return msgspec.json.encode(
            {**{name: getattr(self, name) for name in counts}, "pending": len(self.pending)}
        )


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, of requests that have a Content-Length or no body."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = b""
        self._transport: Any = None
        self._call_later: Callable[..., Any] = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, end)
            stop = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < stop:
                return
            method, target, _ = self._buffer[: self._buffer.index(b"\r\n")].decode().split(" ", 2)
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            path = target.partition("?")[0]
            if path.startswith("/issues/"):
                self._fetched(int(path[8:]))
            elif path.startswith("/bench/"):
                self._answer(self._world.control(path, body))
            else:
                self._answer(self._world.port(method, path, body))

    def _fetched(self, number: int) -> None:
        if self._world.delay_seconds:
            self._call_later(self._world.delay_seconds, lambda: self._answer(self._world.issue(number)))
        else:
            self._answer(self._world.issue(number))

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def serve(file: Path) -> None:
    known = msgspec.json.decode(file.read_bytes())
    world = World(known["integration"], known["blueprints"])
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    for sink in ("logAttributes", "metricAttributes"):
        world.integration[sink] = {"ingestUrl": f"http://127.0.0.1:{port}/v1/{sink}"}
    print(port, flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
