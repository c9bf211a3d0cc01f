"""Costs of the server engine at several backlogs, in one process beside a real server on the same machine.

Run: .venv/bin/python -m bench.postgres [--backlogs 1000,100000,1000000] [--events 5000]

The columns: µs of CPU per event in this process and in the server, and events a second. The server writes all to disk
(fsync on). A backlog is made by the server itself, half of it waiting for a router, half for a worker.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import psutil
import psycopg

from bench.engine import Load, SystemClock, spread
from scripts.postgres_server import PostgresServer, running
from tidegate.engines.postgres import PostgresEngine, PostgresOptions

BACKLOG = """
SET search_path = {schema};
CREATE TEMP TABLE made AS SELECT nextval('event_seqs') AS seq, number FROM generate_series(1, {events}) AS number;
INSERT INTO events (seq, received_us, size_bytes, id, path, trace_id, headers, body)
    SELECT seq, 1764000000000000 + number, 2048, md5(number::text) || number, '/webhook', '0',
        '{{"content-type": "application/json"}}', convert_to('{{"text": "' || repeat('x', 2000) || '"}}', 'UTF8')
    FROM made;
INSERT INTO event_states (seq, due_us, state)
    SELECT seq, CASE WHEN number % 2 = 0 THEN 0 END, CASE WHEN number % 2 = 0 THEN 'queued' ELSE 'routed' END FROM made;
INSERT INTO runs (id, due_us, created_us, changed_us, newest_seq, holds_lane, state, processor, config, kind,
    resource_key, lane, path, detail)
    SELECT nextval('run_ids'), 1764000000000000 + number, 0, 0, seq, true, 'ready', 'IssueProcessor', 'issue', 'issue',
        'OLD-' || number, md5(number::text), '/webhook', '' FROM made WHERE number % 2 = 1;
INSERT INTO event_runs (event_seq, run_id) SELECT newest_seq, id FROM runs WHERE state = 'ready';
INSERT INTO counters (backend, queued_events, ready_runs) VALUES (0, {events} / 2, {events} / 2);
DROP TABLE made;
"""


@dataclass
class Meter:
    """CPU here and in the server, and time, per unit of work."""

    server: PostgresServer
    backlog: int
    rows: dict[str, float] = field(default_factory=dict)

    def _server_seconds(self) -> dict[int, float]:
        """By process: those that serve connections come and go."""
        assert self.server.process is not None
        times = {child.pid: child.cpu_times() for child in psutil.Process(self.server.process.pid).children()}
        return {pid: used.user + used.system for pid, used in times.items()}

    async def measure(self, name: str, count: int, work: Awaitable[object]) -> None:
        here, before, wall = time.process_time(), self._server_seconds(), time.perf_counter()
        await work
        here, after = time.process_time() - here, self._server_seconds()
        wall = time.perf_counter() - wall
        there = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
        self.rows[name] = there / count * 1e6
        print(
            f"{self.backlog:>9,} {name:<30} {here / count * 1e6:>8.1f} µs {there / count * 1e6:>8.1f} µs in the server"
            f" {count / wall:>9,.0f}/s",
            flush=True,
        )


async def measure_at(server: PostgresServer, backlog: int, args: argparse.Namespace) -> float:
    """Answers the server's CPU for a claim with its settlement."""
    name = f"b{backlog}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    options = PostgresOptions(max_backlog=10_000_000)
    async with PostgresEngine.open(server.url(name), clock=SystemClock(), options=options) as engine:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            connection.execute(BACKLOG.format(schema="tidegate", events=backlog))  # type: ignore[arg-type]
            connection.execute("VACUUM ANALYZE events, event_states, runs, event_runs")
        load, meter = Load(engine, args.producers, args.workers), Meter(server, backlog)
        await meter.measure("enqueue (2 KB)", args.events, load.enqueue(args.events))
        await meter.measure("claim_events + route", args.events, load.route(args.events))
        await meter.measure("claim_runs + stage + settle", args.events, load.process(args.events))
        await meter.measure("backlog()", 200, spread(200, 1, lambda _: engine.backlog()))
        with psycopg.connect(server.url(name)) as connection:
            [(size,)] = connection.execute("SELECT pg_database_size(current_database())").fetchall()
            print(f"{backlog:>9,} database {size / (backlog + args.events):,.0f} bytes an event", flush=True)
    return meter.rows["claim_runs + stage + settle"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--backlogs", default="1000,100000,1000000")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--producers", type=int, default=64)
    parser.add_argument("--workers", type=int, default=64)
    args = parser.parse_args()
    with running(durable=True, shared_buffers="256MB") as server:
        costs = [asyncio.run(measure_at(server, int(backlog), args)) for backlog in args.backlogs.split(",")]
    print(f"claim and settle at the largest backlog: {costs[-1] / costs[0]:.2f} times the smallest's")


if __name__ == "__main__":
    main()
