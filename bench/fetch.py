"""CPU per GET of a 6 KB issue: the outgoing client for origins that are trusted and that are not, beside bare aiohttp.

    python -m bench.fetch [--requests 5000] [--at-once 16] [--rounds 3]

The third party runs in a process of its own and is not counted; the best round counts.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from bench.compare.contenders import world_running
from bench.contenders.bare import Quiet
from tidegate.app.clock import SystemClock
from tidegate.fetch.calls import Call, FetchLimits
from tidegate.fetch.client import FetchClient
from tidegate.fetch.hosts import HostBreakers
from tidegate.fetch.quick import QuickTransport

Get = Callable[[int], Awaitable[object]]


async def cpu_us(get: Get, requests: int, at_once: int) -> float:
    numbers = iter(range(requests))

    async def caller() -> None:
        for number in numbers:
            await get(number)

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return (time.process_time() - began) / requests * 1e6


async def measure(url: str, options: argparse.Namespace) -> dict[str, float]:
    clock = SystemClock()
    quick = QuickTransport(FetchLimits())
    best: dict[str, float] = {}
    async with (
        FetchClient(HostBreakers(clock, Quiet()), clock) as client,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        api = client.api(url)

        async def by_aiohttp(number: int) -> object:
            async with session.get(f"{url}/issues/{number}") as response:
                return msgspec.json.decode(await response.read())

        async def by_transport(number: int) -> object:
            call = Call("GET", f"{url}/issues/{number}")
            return (await quick.send(call)).json()

        ways: dict[str, Get] = {
            "integration.http.api(…).get_json": lambda number: api.get_json(f"issues/{number}"),
            "its transport (pyreqwest) alone": by_transport,
            "aiohttp alone": by_aiohttp,
        }
        for _ in range(options.rounds + 1):  # the first warms up
            for name, get in ways.items():
                spent = await cpu_us(get, options.requests, options.at_once)
                best[name] = min(best.get(name, spent), spent)
    await quick.close()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, world_running(Path(folder) / "world") as url:
        best = uvloop.run(measure(url, options))
    print(f"{options.requests} requests, {options.at_once} at once, best of {options.rounds} rounds")
    for name, spent in best.items():
        print(f"{name:36}{spent:8.1f} µs CPU")


if __name__ == "__main__":
    main()
