"""The console over a million stored events: how soon each page answers, and what open pages cost the ingest.

    python -m bench.console [--events 1000000] [--rounds 7] [--seconds 4] [--tabs 5] [--file FILE]

A real `tidegate run`. Pages are timed from the request to the last byte of the answer, while webhooks come in.
The ingest is measured with and without tabs that renew themselves as the pages' script does, in turns.
`--file` keeps the filled engine for another time.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.compare.meter import cpu_seconds
from bench.stored import fill
from tests.app.service_process import Service, write_integration

TABS = (
    ("/console", 2.0),
    ("/console/events", 2.0),
    ("/console/dead-letters", 3.0),
    ("/console/entities", 4.0),
    ("/console/events?state=dead", 2.0),
)
"""What is open, and every how many seconds it renews itself."""

CONNECTIONS = 32


def pages(events: int) -> dict[str, str]:
    """What is timed: the pages, and searches from the kindest to the worst."""
    middle = events // 2
    resource = "PROJ-77"
    return {
        "overview": "/console",
        "events, newest": "/console/events",
        "events, deep page": f"/console/events?before={middle}",
        "events, dead": "/console/events?state=dead",
        "events, rejected (none)": "/console/events?state=rejected",
        "events, of a kind": "/console/events?kind=issue",
        "events, of no kind there is": "/console/events?kind=nothing",
        "events, a resource": f"/console/events?resource_key={resource}",
        "events, a delivery": f"/console/events?delivery_id={middle:016x}",
        "events, a day ago": "/console/events?until=24h",
        "events, text that is there": "/console/events?text=Event",
        "events, text that is rare": f"/console/events?text=Event+{middle}%22",
        "events, text that is not there": "/console/events?text=nowhere",
        "an event": f"/console/events/{middle:08x}-{middle % 65536:04x}-7000-8000-{middle:012x}",
        "entities": "/console/entities",
        "entities, a part of the name": "/console/entities?text=PROJ-9999",
        "an entity": f"/console/entities/issue/{resource}",
        "dead letters": "/console/dead-letters",
        "playground": "/console/playground",
    }


async def timed(session: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with session.get(url) as answer:
        await answer.read()
        assert answer.status == 200, (url, answer.status)
    return time.perf_counter() - began


async def ingest(service: Service, seconds: float, pace: float | None = None) -> float:
    """Webhooks accepted a second: as many as will go, or `pace` a second."""
    ends_at, sent = time.monotonic() + seconds, 0

    async def sender(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal sent
        while time.monotonic() < ends_at:
            sent += 1
            body = {"id": sent * CONNECTIONS + number, "title": "t", "state": "open", "padding": "p" * 1000}
            async with session.post(f"{service.webhooks}/webhook", json=body) as answer:
                assert answer.status in (202, 503), answer.status
            if pace is not None:
                await asyncio.sleep(CONNECTIONS / pace)

    began = time.monotonic()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(sender(session, number) for number in range(CONNECTIONS)))
    return sent / (time.monotonic() - began)


async def tab(service: Service, path: str, every: float) -> None:
    async with aiohttp.ClientSession(headers={"HX-Request": "true"}) as session:
        while True:
            await timed(session, service.admin + path)
            await asyncio.sleep(every)


async def measure(service: Service, options: argparse.Namespace) -> None:
    print(f"{'page, ms':34}{'median':>9}{'slowest':>9}   while 50 webhooks a second come in")
    load = asyncio.create_task(ingest(service, 3600, pace=50))
    async with aiohttp.ClientSession() as session:
        for name, path in pages(options.events).items():
            took = [await timed(session, service.admin + path) * 1000 for _ in range(options.repeats)]
            print(f"{name:34}{statistics.median(took):9.0f}{max(took):9.0f}", flush=True)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    await asyncio.to_thread(service.settle, 600)
    await _compare(service, options)


async def _compare(service: Service, options: argparse.Namespace) -> None:
    """The ingest alone and with tabs open, in turns. Neighbours on the machine disturb both; pairs even that out."""
    open_tabs = (TABS * options.tabs)[: options.tabs]
    idle = await _cpu_of(service, options.seconds)
    rates: dict[str, list[float]] = {"no console open": [], f"{options.tabs} tabs open": []}
    drops: list[float] = []
    watched_cpu = 0.0
    for _ in range(options.rounds):
        alone = await ingest(service, options.seconds)
        await asyncio.to_thread(service.settle, 600)
        tabs = [asyncio.create_task(tab(service, path, every)) for path, every in open_tabs]
        watched = await ingest(service, options.seconds)
        await asyncio.to_thread(service.settle, 600)
        watched_cpu += await _cpu_of(service, options.seconds) / options.rounds
        for each in tabs:
            each.cancel()
        await asyncio.gather(*tabs, return_exceptions=True)
        for kept, rate in zip(rates.values(), (alone, watched), strict=True):
            kept.append(rate)
        drops.append(1 - watched / alone)
    print(f"\n{'accepted a second':34}{'min':>9}{'median':>9}{'max':>9}")
    for name, found in rates.items():
        print(f"{name:34}{min(found):9.0f}{statistics.median(found):9.0f}{max(found):9.0f}")
    print(f"{'drop, median of pairs':34}{statistics.median(drops):18.1%}")
    print(f"{'CPU of the open tabs, of one core':34}{watched_cpu - idle:18.1%}")


async def _cpu_of(service: Service, seconds: float) -> float:
    """How much of a core the service uses while no webhook comes in."""
    pids = [service.process.pid]
    began, before = time.monotonic(), cpu_seconds(pids)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pids) - before) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--tabs", type=int, default=5)
    parser.add_argument("--file", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        kept: Path = options.file or Path(directory) / "filled.db"
        if not kept.exists():
            began = time.monotonic()
            fill(kept, options.events)
            print(f"filled with {options.events:,} events in {time.monotonic() - began:.0f} s", flush=True)
        print(f"{options.events:,} events, {kept.stat().st_size / 1e9:.1f} GB, {os.cpu_count()} cores\n")
        home = write_integration(Path(directory) / "home")
        (home / ".tidegate").mkdir()
        shutil.copyfile(kept, home / ".tidegate" / "tidegate.db")
        environment = {"TIDEGATE__ENGINE__MAX_BACKLOG": "10000000", "TIDEGATE__LOG__LEVEL": "error"}
        service = Service(home, environment).start()
        try:
            asyncio.run(measure(service, options))
        finally:
            service.kill()


if __name__ == "__main__":
    main()
