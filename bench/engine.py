"""Costs of the embedded engine, in µs of CPU (all threads) per event, at several backlogs.

Run: .venv/bin/python bench/engine.py [--backlogs 1000,100000] [--events 5000] [--folder DIR]

`producers` callers enqueue at once, `workers` claim, stage and settle at once, as many as one service has.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from tidegate.core.entities import Entity
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.runs import (
    Completed,
    EntityWrite,
    EventClaim,
    Routing,
    RunClaim,
    RunRequest,
    Step,
    StepName,
    Trail,
    WriteAction,
    lane_of,
)
from tidegate.engines.sqlite import SqliteEngine

HEADERS = EventHeaders(
    {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "issues",
        "x-hub-signature-256": "***",
        "accept": "*/*",
        "content-length": "2048",
        "host": "tidegate.example.com",
    }
)
TRAIL = Trail(tuple(Step(name, 0.001, "1 selected, 0 not, 0 deleted") for name in StepName))


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def event(number: int) -> IncomingEvent:
    body = b'{"issue": %d, "text": "%s"}' % (number, b"x" * 2000)
    event_id = f"{number:012x}-7000-8000-0123456789ab"
    delivery = f"{number * 2654435761 % 2**64:016x}-delivery"
    return IncomingEvent(event_id, "/webhook", HEADERS, body, datetime.now(UTC), "0" * 32, delivery)


async def spread(count: int, callers: int, call: Callable[[int], Awaitable[object]]) -> None:
    """`count` calls by so many concurrent callers."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(caller() for _ in range(callers)))


class Meter:
    """CPU of the whole process and time, per unit of work."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    async def measure(self, name: str, count: int, work: Awaitable[object]) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        await work
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.rows.append((name, cpu / count * 1e6, count / wall))


def request(number: int) -> RunRequest:
    key = f"ISSUE-{number}"
    return RunRequest("IssueProcessor", "issue", "issue", key, lane_of("IssueProcessor", "issue", key))


class Load:
    """Works on one engine. Resource keys are all different, the costly case."""

    def __init__(self, engine: SqliteEngine, producers: int, workers: int) -> None:
        self.engine = engine
        self.producers = producers
        self.workers = workers
        self.next_event = 0

    async def enqueue(self, count: int) -> None:
        first, self.next_event = self.next_event, self.next_event + count
        await spread(count, self.producers, lambda number: self.engine.enqueue(event(first + number)))

    async def route(self, count: int) -> None:
        routed = 0
        while routed < count:
            claims = await self.engine.claim_events(min(64, count - routed))
            await asyncio.gather(*(self._route(claim) for claim in claims))
            routed += len(claims)

    async def _route(self, claim: EventClaim) -> None:
        assert await self.engine.route(claim, Routing((request(claim.event.seq),)))

    async def process(self, count: int) -> None:
        done = 0
        while done < count:
            claims = await self.engine.claim_runs(min(self.workers, count - done))
            await asyncio.gather(*(self._process(claim) for claim in claims))
            done += len(claims)

    async def _process(self, claim: RunClaim) -> None:
        properties = {f"p{number}": f"value {claim.run_id}" for number in range(11)}
        entity = Entity(claim.resource_key, "issue", title="An issue", properties=properties)
        await self.engine.stage(claim, {entity.ref}, ())
        write = EntityWrite(entity.ref, WriteAction.UPSERT, entity=entity)
        assert await self.engine.settle(claim, Completed((write,), trail=TRAIL))


async def measure_at(backlog: int, events: int, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "engine.db"
        async with SqliteEngine.open(path, clock=SystemClock(), max_backlog=10_000_000) as engine:
            load, meter = Load(engine, args.producers, args.workers), Meter()
            await load.enqueue(backlog)
            await load.route(backlog // 2)  # half of the backlog waits for a router, half for a worker
            await meter.measure("enqueue (2 KB)", events, load.enqueue(events))
            await meter.measure("claim_events + route", events, load.route(events))
            await meter.measure("claim_runs + stage + settle", events, load.process(events))
            await meter.measure("backlog()", 200, spread(200, 1, lambda _: engine.backlog()))
            for name, cpu_us, rate in meter.rows:
                print(f"{backlog:>9,} {name:<30} {cpu_us:>8.1f} µs CPU {rate:>10,.0f}/s", flush=True)
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{backlog:>9,} file {size / (backlog + events):,.0f} bytes an event, peak memory {peak} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backlogs", default="1000,100000")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--producers", type=int, default=64)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--folder", default=".")
    args = parser.parse_args()
    for backlog in args.backlogs.split(","):
        asyncio.run(measure_at(int(backlog), args.events, args))


if __name__ == "__main__":
    main()
