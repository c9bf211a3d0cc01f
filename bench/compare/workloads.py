"""What is sent, and what is measured of it: rates, CPU, memory, freshness."""

import array
import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import uvloop

from bench.compare.contenders import Running
from bench.compare.load import Load, Sent
from bench.compare.meter import MemoryWatch, cpu_seconds

_POLL_SECONDS = 0.05
_numbers = itertools.count(1000)


@dataclass(frozen=True)
class Workload:
    """`events` webhooks, at `per_second` or as fast as they are answered; fewer for contenders that are slow."""

    name: str
    title: str
    events: int
    kind: str = "distinct"
    per_second: float | None = None
    delay_seconds: float = 0.0
    least: int = 20
    connections: int = 32
    patience_seconds: float = 300.0

    def numbers(self, share: float) -> list[int]:
        """Which issues, in order. No workload touches another's."""
        count = max(int(self.events * share), min(self.least, self.events))
        if self.kind == "one":
            return [next(_numbers)] * count
        if self.kind == "distinct":
            return [next(_numbers) for _ in range(count)]
        hot = [next(_numbers) for _ in range(max(count // 10, 1))]
        weights = [1 / rank for rank in range(1, len(hot) + 1)]  # Zipf's law
        return random.Random(4).choices(hot, weights, k=count)


@dataclass(frozen=True)
class World:
    """The world's process, as the bench talks to it."""

    url: str

    def ask(self, path: str, document: Any = None) -> bytes:
        body = None if document is None else msgspec.json.encode(document)
        with urlopen(Request(self.url + path, body), timeout=60) as answer:
            return answer.read()

    def counts(self) -> dict[str, int]:
        return msgspec.json.decode(self.ask("/bench/counts"))

    def writes(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Resources, the stamps of what was written of them, and when, in order of time."""
        flat = array.array("q", self.ask("/bench/writes"))
        third = len(flat) // 3
        return flat[:third], flat[third : 2 * third], flat[2 * third :]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def measure(
    running: Running, world: World, workload: Workload, share: float, *, works: bool, quiet_seconds: float
) -> dict[str, float]:
    """Run one workload against a contender that has nothing else to do.

    It is over when the catalog is true and nothing was asked of the world for `quiet_seconds`.
    """
    numbers = workload.numbers(share)
    world.ask("/bench/reset", {"delay_seconds": workload.delay_seconds})
    cpu = cpu_seconds(running.pids)
    with MemoryWatch(running.pids) as memory:
        sent = uvloop.run(_send(running.url, numbers, workload))
        finished = not works or _settle(world, sent, workload.patience_seconds)
        _rest(world, quiet_seconds)
    cpu = cpu_seconds(running.pids) - cpu
    refused = sum(each.status not in (200, 202) for each in sent)
    if refused:
        raise RuntimeError(f"{refused} of {len(sent)} webhooks of {workload.name} were refused")
    began = min(each.sent_ns for each in sent)
    accepting = (max(each.answered_ns for each in sent) - began) / 1e9
    answers = [each.answer_seconds * 1e3 for each in sent]
    result = {
        "events": len(sent),
        "accepted_per_second": len(sent) / accepting,
        "answer_p50_ms": percentile(answers, 0.5),
        "answer_p99_ms": percentile(answers, 0.99),
        "cpu_ms_per_event": cpu / len(sent) * 1e3,
        "peak_mib": memory.peak_mib,
    }
    return result | (_ends(world, sent, began, finished) if works else {})


async def _send(url: str, numbers: list[int], workload: Workload) -> list[Sent]:
    return await asyncio.wait_for(
        Load(url, workload.connections).send(numbers, workload.per_second), workload.patience_seconds
    )


def _settle(world: World, sent: list[Sent], patience_seconds: float) -> bool:
    """Wait until every resource was written as it was after its last webhook, or for so long."""
    world.ask("/bench/want", {str(each.number): each.sent_ns for each in sent})
    deadline = time.monotonic() + patience_seconds
    while world.counts()["pending"]:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _rest(world: World, quiet_seconds: float) -> None:
    """Wait until nothing has been asked of the world for a while: what is superfluous has its cost too."""
    seen, since = world.counts(), time.monotonic()
    while time.monotonic() - since < quiet_seconds:
        time.sleep(_POLL_SECONDS)
        counts = world.counts()
        if counts != seen:
            seen, since = counts, time.monotonic()


def _ends(world: World, sent: list[Sent], began: int, finished: bool) -> dict[str, float]:
    counts, (resources, stamps, times) = world.counts(), world.writes()
    if counts["wrong"]:
        raise RuntimeError(f"{counts['wrong']} entities were written wrong")
    if not times:
        raise RuntimeError("nothing was written at all")
    fresh = freshness_seconds(sent, resources, stamps, times)
    spent = (max(times) - began) / 1e9
    return {
        "unfinished": 0 if finished else counts["pending"],
        "events_per_second": len(sent) / spent,
        "fresh_p50_ms": percentile(fresh, 0.5) * 1e3,
        "fresh_p99_ms": percentile(fresh, 0.99) * 1e3,
        "fetches_per_event": counts["fetches"] / len(sent),
        "writes_per_event": counts["writes"] / len(sent),
        "requests_per_event": counts["requests"] / len(sent),
    }


def freshness_seconds(
    sent: list[Sent], resources: Sequence[int], stamps: Sequence[int], times: Sequence[int]
) -> list[float]:
    """How long after each webhook the catalog first showed what was fetched after it was due."""
    writes: dict[int, list[tuple[int, int]]] = {}
    for resource, stamp, when in zip(resources, stamps, times, strict=True):
        writes.setdefault(resource, []).append((stamp, when))
    position: dict[int, int] = {}
    fresh: list[float] = []
    for each in sent:  # in the order of time, so that a resource's writes are passed through once
        of_resource, at = writes.get(each.number, []), position.get(each.number, 0)
        while at < len(of_resource) and of_resource[at][0] < each.sent_ns:
            at += 1
        position[each.number] = at
        if at < len(of_resource):
            fresh.append((of_resource[at][1] - (each.due_ns or each.sent_ns)) / 1e9)
    return fresh or [float("nan")]
