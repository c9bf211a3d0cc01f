"""Tidegate with a backlog in its file: what an event costs then, how much memory it takes, how long it starts."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

from bench.compare.contenders import ROOT, Contender, Running, tidegate
from bench.compare.meter import MemoryWatch, cpu_seconds
from bench.compare.workloads import World
from bench.work import webhook
from tidegate.app.clock import SystemClock, new_id
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.engines.sqlite import SqliteEngine

_WARM_UP = 1000
_HEADERS = EventHeaders({"content-type": "application/json", "user-agent": "bench", "x-event": "issues"})


async def fill(path: Path, events: int) -> None:
    """Put events of distinct resources into an engine's file."""
    numbers = iter(range(10_000_000, 10_000_000 + events))
    async with SqliteEngine.open(path, clock=SystemClock(), max_backlog=10_000_000) as engine:

        async def caller() -> None:
            for number in numbers:
                event_id = new_id()
                await engine.enqueue(
                    IncomingEvent(
                        event_id, "/webhook", _HEADERS, webhook(number), datetime.now(UTC), "0" * 32, event_id
                    )
                )

        await asyncio.gather(*(caller() for _ in range(256)))


def measure_backlog(world: World, folder: Path, events: int, sample: int) -> dict[str, float]:
    """Drain a backlog, or the first `sample` events of it after the first thousand."""
    folder.mkdir(parents=True)
    file = folder / "engine.db"
    filling = [sys.executable, "-m", "bench.compare.backlog", str(file), str(events)]
    subprocess.run(filling, check=True, cwd=ROOT)
    settings = {"TIDEGATE__ENGINE__URL": f"sqlite:///{file}", "TIDEGATE__ENGINE__MAX_BACKLOG": "10000000"}
    world.ask("/bench/reset", {"delay_seconds": 0})
    contender = Contender("backlog", "", lambda url, path: tidegate(url, path, settings))
    with contender.running(world.url, folder / "service") as running, MemoryWatch(running.pids) as memory:
        began = _reach(world, running, _WARM_UP)
        ended = _reach(world, running, _WARM_UP + min(sample, events - _WARM_UP))
    counted = ended[0] - began[0]
    return {
        "backlog": events,
        "sample": counted,
        "cpu_ms_per_event": (ended[1] - began[1]) / counted * 1e3,
        "events_per_second": counted / (ended[2] - began[2]),
        "peak_mib": memory.peak_mib,
    }


def _reach(world: World, running: Running, writes: int) -> tuple[int, float, float]:
    """Writes, CPU and time when so much is written."""
    while True:
        counts = world.counts()
        if counts["writes"] >= writes:
            return counts["writes"], cpu_seconds(running.pids), time.monotonic()
        time.sleep(0.02)


def measure_start(world: World, folder: Path) -> dict[str, float]:
    """From the command to the first 202."""
    folder.mkdir(parents=True)
    generator = tidegate(world.url, folder, wait=False)
    began = time.monotonic()
    try:
        request = Request(next(generator).url, webhook(1), {"Content-Type": "application/json"})
        while not _accepted(request):
            time.sleep(0.005)
        return {"start_seconds": time.monotonic() - began}
    finally:
        generator.close()


def _accepted(request: Request) -> bool:
    with suppress(OSError), urlopen(request, timeout=5) as answer:
        return answer.status == 202
    return False


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
