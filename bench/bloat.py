"""What the server engine costs while somebody holds a snapshot open, so that nothing dead can be swept away.

Run: .venv/bin/python -m bench.bloat [--rounds 10] [--events 10000]

A round is so many events from enqueue to settlement, one at a time in small claims. The snapshot is taken after the
first. The last round comes after it has ended and the server has tidied up. The columns: µs of the server's CPU per
event, by step, and the size of the database.
"""

import argparse
import asyncio
from typing import NamedTuple

import psycopg

from bench.engine import Load, SystemClock
from bench.postgres import Meter
from scripts.postgres_server import PostgresServer, running
from tidegate.engines.postgres import PostgresEngine, PostgresOptions

PRODUCERS = 64
WORKERS = 16
STEPS = ("enqueue", "claim_events + route", "claim_runs + stage + settle")


class Round(NamedTuple):
    """Costs by step, and the database's bytes afterwards."""

    costs: dict[str, float]
    size: int


async def one_round(server: PostgresServer, engine: PostgresEngine, load: Load, events: int) -> Round:
    meter = Meter(server, 0)
    for step, work in zip(STEPS, (load.enqueue, load.route, load.process), strict=True):
        await meter.measure(step, events, work(events))
    return Round(dict(meter.rows), _size(server))


def _size(server: PostgresServer) -> int:
    with psycopg.connect(server.url()) as connection:
        [(size,)] = connection.execute("SELECT pg_database_size(current_database())").fetchall()
        return size


async def measure(server: PostgresServer, rounds: int, events: int) -> list[Round]:
    options = PostgresOptions(max_backlog=10_000_000)
    async with PostgresEngine.open(server.url(), clock=SystemClock(), options=options) as engine:
        load = Load(engine, PRODUCERS, WORKERS)
        done = [await one_round(server, engine, load, events)]
        with psycopg.connect(server.url()) as holder:
            holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT 1")
            done += [await one_round(server, engine, load, events) for _ in range(rounds)]
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("VACUUM")
        done.append(await one_round(server, engine, load, events))
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--events", type=int, default=10_000)
    args = parser.parse_args()
    with running(durable=True, shared_buffers="256MB") as server:
        done = asyncio.run(measure(server, args.rounds, args.events))
    for number, (costs, size) in enumerate(done):
        held = "held" if 0 < number < len(done) - 1 else "free"
        print(
            f"{number * args.events:>9,} {held}",
            *(f"{costs[step]:>7.1f}" for step in STEPS),
            f"{size / 1e6:>7.0f} MB",
        )


if __name__ == "__main__":
    main()
