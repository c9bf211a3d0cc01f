"""From the inside: URLs of payloads that lead into our networks, and mappings that reach for what is not theirs."""

import asyncio
import os
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from attacks.tally import Tally
from tests.mapping.test_hostile_expressions import CLOSED, ESCAPES, LIMITS, RUNAWAYS, SECRET, config_of
from tidegate.app.clock import SystemClock
from tidegate.fetch import (
    FetchClient,
    FetchFailedError,
    FetchLimits,
    FetchRefusedError,
    HostBreakers,
    HostPausedError,
)
from tidegate.mapping import JqMapper
from tidegate.telemetry import Fanout

PRIVATE = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "0.0.0.0/8",
)
"""The first of them is where the attacked server listens, so that a connection would be seen."""


class Metadata(BaseHTTPRequestHandler):
    """What an attacker would like to read."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def private_urls(seed: int, scale: float) -> Tally:
    tally, rng = Tally("URLs of payloads into private networks"), random.Random(seed)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    asyncio.run(fetch_all(tally, [url for _ in range(round(60 * scale)) for url in urls(rng, port)]))
    server.shutdown()
    server.server_close()
    return tally


async def fetch_all(tally: Tally, addresses: list[str]) -> None:
    clock = SystemClock()
    async with FetchClient(HostBreakers(clock, Fanout()), clock, FetchLimits(connect_seconds=2)) as client:
        for url in addresses:
            asked = Metadata.asked
            try:
                await client.request("GET", url)
                tally.accept_wrongly(url)
            except (
                FetchRefusedError,
                FetchFailedError,
                HostPausedError,
            ):  # the others: a name that leads nowhere
                tally.refuse()
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                tally.crash((url, repr(error)))
            if Metadata.asked > asked:
                tally.accept_wrongly(f"{url} was connected to")


def urls(rng: random.Random, port: int) -> Iterator[str]:
    """One address of each private network in every spelling."""
    for network in PRIVATE:
        base, _, length = network.partition("/")
        number = int(IPv4Address(base)) + rng.randrange(2 ** (32 - int(length)))
        if network == PRIVATE[0] and rng.random() < 0.5:
            number = int(IPv4Address("127.0.0.1"))
        for host in spellings(number):
            yield f"http://{host}:{port}/latest/meta-data"
    for host in ("localhost", "localhost.", "LOCALHOST", "[::1]", "[::]", "[fd00:ec2::254]", "[fe80::1]"):
        yield f"http://{host}:{port}/"
    yield from (
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "http://",
        "//127.0.0.1/",
        f"ftp://127.0.0.1:{port}/",
    )
    yield f"http://user@127.0.0.1:{port}/"


def spellings(number: int) -> Iterator[str]:
    packed = number.to_bytes(4)
    high, low = packed[:2].hex(), packed[2:].hex()
    yield str(IPv4Address(number))
    yield str(number)
    yield hex(number)
    yield ".".join(f"0{byte:o}" for byte in packed)
    yield f"[::ffff:{high}:{low}]"
    yield f"[::{high}:{low}]"
    yield f"[64:ff9b::{high}:{low}]"
    yield f"[2002:{high}:{low}::]"


def hostile_mappings(seed: int, scale: float) -> Tally:
    """Every expression beside a good one: the good one must keep its value, and nobody may see the secret."""
    tally = Tally("hostile mapping expressions")
    expressions = {name: text for table in (CLOSED, ESCAPES) for name, (text, _) in table.items()} | RUNAWAYS
    with TemporaryDirectory() as directory:
        plant(Path(directory))
        for _ in range(max(1, round(scale))):
            for name, text in expressions.items():
                try:
                    judge(tally, name, asyncio.run(map_beside_a_good_one(text)))
                except Exception as error:  # noqa: BLE001 - that is what is looked for
                    tally.crash((name, repr(error)))
    tally.detail = f"{len(expressions)} expressions; the service's own process read and lost nothing"
    return tally


def plant(directory: Path) -> None:
    """A secret wherever jq would look for one."""
    os.environ["TIDEGATE_TEST_SECRET"] = SECRET
    os.environ["HOME"] = str(directory)
    for name in ("secret.jq", ".jq"):
        (directory / name).write_text(f'def secret: "{SECRET}";')
    os.chdir(directory)


async def map_beside_a_good_one(text: str) -> Any:
    config = config_of("hostile", {"good": '.id + "!"', "hostile": text})
    mapper = JqMapper([config], LIMITS)
    try:
        return await mapper.map(config, [{"id": "1"}])
    finally:
        await mapper.close()


def judge(tally: Tally, name: str, mapped: Any) -> None:
    (entity,) = mapped.passed
    if SECRET in repr(mapped) or entity.properties["good"] != "1!":
        tally.accept_wrongly((name, mapped))
    else:
        tally.refuse()
