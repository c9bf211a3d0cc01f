"""A real service from webhook to entity: events a second, CPU an event, time by step.

    python -m bench.pipeline [--events 5000] [--connections 32] [--rounds 3]

One `tidegate run` (embedded engine and catalog) with a mapping of eleven properties and a relation; the third
party answers a 6 KB issue at once. Every event is of a resource of its own. CPU is that of the service's
process and its JQ worker; the third party and the sender run beside it and are not counted.
"""

import argparse
import asyncio
import os
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import msgspec
from aiohttp import web

from bench.compare.meter import cpu_seconds
from bench.contenders.processor import SOURCE
from bench.work import BLUEPRINTS, MAPPING, issue
from tests.app.service_process import Service, write_integration


@dataclass(frozen=True)
class Round:
    accept_per_second: float
    events_per_second: float
    cpu_us: float
    peak_mib: float
    steps: dict[str, float]


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


async def third_party() -> tuple[web.AppRunner, str]:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(issue(int(request.match_info["id"]))))

    app = web.Application()
    app.router.add_get("/issues/{id}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def send(url: str, numbers: range, connections: int) -> None:
    queue = iter(numbers)

    async def sender(session: aiohttp.ClientSession) -> None:
        for number in queue:
            async with session.post(url, json={"id": number, "padding": "p" * 1900}) as answer:
                assert answer.status == 202, await answer.text()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(sender(session) for _ in range(connections)))


def steps_of(admin: str) -> dict[str, float]:
    """Seconds spent in each step so far, on the wall clock."""
    with urlopen(f"{admin}/metrics") as answer:
        text = answer.read().decode()
    return {
        name: float(value) for name, value in re.findall(r'step_seconds_sum\{.*step="(\w+)"\} (\S+)', text)
    }


def measure(events: int, connections: int) -> Round:
    async def main() -> Round:
        runner, source = await third_party()
        with tempfile.TemporaryDirectory() as directory:
            integration = write_integration(Path(directory), SOURCE, MAPPING, BLUEPRINTS)
            service = Service(integration, {"TIDEGATE__INTEGRATION__CONFIG__SOURCE": source})
            await asyncio.to_thread(service.start)
            url = f"{service.webhooks}/webhook"
            await send(url, range(1, 101), connections)  # warm up
            await asyncio.to_thread(service.settle)
            before, cpu, began = steps_of(service.admin), cpu_seconds([service.process.pid]), time.monotonic()
            await send(url, range(1000, 1000 + events), connections)
            accepted = time.monotonic() - began
            await asyncio.to_thread(service.settle, 600)
            spent = time.monotonic() - began
            used = cpu_seconds([service.process.pid]) - cpu
            peak = peak_mib(service.process.pid)
            after = steps_of(service.admin)
            await asyncio.to_thread(service.terminate)
        await runner.cleanup()
        steps = {name: (after[name] - before.get(name, 0.0)) / events * 1e6 for name in after}
        return Round(events / accepted, events / spent, used / events * 1e6, peak, steps)

    return asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.pipeline")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = [measure(options.events, options.connections) for _ in range(options.rounds)]
    print(f"{options.events} events of distinct resources, {options.rounds} rounds, {os.cpu_count()} cores")
    print(f"{'':28}{'min':>10}{'median':>10}{'max':>10}")
    for name, values in (
        ("accepted/s while sending", [each.accept_per_second for each in rounds]),
        ("events/s end to end", [each.events_per_second for each in rounds]),
        ("CPU an event, µs", [each.cpu_us for each in rounds]),
        ("peak memory, MiB", [each.peak_mib for each in rounds]),
    ):
        print(f"{name:28}{min(values):10.0f}{statistics.median(values):10.0f}{max(values):10.0f}")
    print("wall-clock µs by step (waiting for others included):")
    for step in rounds[0].steps:
        print(f"  {step:26}{statistics.median([each.steps[step] for each in rounds]):10.0f}")


if __name__ == "__main__":
    main()
