"""CPU per GET of a 6 KB issue by the outgoing client, beside bare aiohttp; and per run that writes an issue to Port.

    python -m bench.fetch [--requests 5000] [--at-once 16] [--rounds 3]

The third party and Port are one process of its own and not counted; the best round counts.
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
from bench.work import entity, issue
from tidegate.app.clock import SystemClock
from tidegate.core.entities import Entity
from tidegate.core.ports import Upsert
from tidegate.core.resources import TargetOptions
from tidegate.fetch.calls import Call, FetchLimits
from tidegate.fetch.client import FetchClient
from tidegate.fetch.hosts import HostBreakers
from tidegate.fetch.quick import QuickTransport
from tidegate.pipeline.applying import StateApplier
from tidegate.targets.port import PortTarget

Ask = Callable[[int], Awaitable[object]]

Spent = tuple[float, float]
"""Microseconds of CPU a request: all, and on the main thread."""


async def cpu_us(ask: Ask, requests: int, at_once: int) -> Spent:
    numbers = iter(range(requests))

    async def caller() -> None:
        for number in numbers:
            await ask(number)

    everywhere, here = time.process_time(), time.thread_time()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    everywhere, here = time.process_time() - everywhere, time.thread_time() - here
    return everywhere / requests * 1e6, here / requests * 1e6


async def measure(url: str, options: argparse.Namespace) -> dict[str, Spent]:
    clock = SystemClock()
    quick = QuickTransport(FetchLimits())
    port = PortTarget(
        url, "id", "secret", integration_identifier="bench", integration_type="bench", options=TargetOptions()
    )
    applier = StateApplier(port, clock, Quiet())
    best: dict[str, Spent] = {}
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

        async def write(number: int) -> object:
            return await applier.apply([Upsert(entities[number], fence=1)])

        entities = [msgspec.convert(entity(issue(number, "1")), Entity) for number in range(options.requests)]
        ways: dict[str, Ask] = {
            "integration.http.api(…).get_json": lambda number: api.get_json(f"issues/{number}"),
            "its transport (libcurl) alone": by_transport,
            "aiohttp alone": by_aiohttp,
            "an upsert for Port, by its applier": write,
        }
        for _ in range(options.rounds + 1):  # the first warms up
            for name, ask in ways.items():
                spent = await cpu_us(ask, options.requests, options.at_once)
                best[name] = min(best.get(name, spent), spent)
    await quick.close()
    await port.close()
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
        print(f"{name:36}{spent[0]:8.1f} µs CPU, {spent[1]:.1f} of them on the main thread")


if __name__ == "__main__":
    main()
