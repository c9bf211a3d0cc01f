"""How events a second grow with worker processes on one PostgreSQL, with a third party that takes 50 ms.

Run: .venv/bin/python -m bench.scaling [--processes 1,2,4] [--workers 8] [--seconds 10]

Each worker process has the same number of runs at the third party (`--workers`), so that one process can do that many fetches in
50 ms at most. The backlog is there before the workers start; what is settled between two moments is counted in the
database. Everything runs on this machine: server, workers, third party and catalog share its cores.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from bench.engine import SystemClock, event, spread
from faults.integration import MAIN
from scripts.postgres_server import running
from tests.app.service_process import Service, write_integration
from tidegate.engines.postgres import PostgresEngine, PostgresOptions

THIRD_PARTY = """
import asyncio, sys
from aiohttp import web

async def issue(request):
    await asyncio.sleep(0.05)
    number = request.match_info["number"]
    return web.json_response({"id": int(number), "title": "An issue", "state": "open"})

app = web.Application()
app.router.add_get("/issues/{number}", issue)

async def main():
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
_SETTLED = "SELECT count(*) FROM tidegate.attempts"


async def fill(url: str, events: int) -> None:
    """Store events of distinct resources."""
    options = PostgresOptions(max_backlog=10_000_000)
    async with PostgresEngine.open(url, clock=SystemClock(), options=options) as engine:

        async def store(number: int) -> None:
            made = event(number)
            await engine.enqueue(
                type(made)(
                    made.id,
                    made.path,
                    made.headers,
                    b'{"id": %d}' % number,
                    made.received_at,
                    made.trace_id,
                    made.delivery_id,
                )
            )

        await spread(events, 64, store)


def measure(url: str, source: str, processes: int, args: argparse.Namespace) -> float:
    """Events a second of so many worker processes."""
    asyncio.run(fill(url, round(processes * args.workers / 0.05 * (args.seconds + 8))))
    with tempfile.TemporaryDirectory(prefix="tidegate-scaling-") as folder:
        settings = {
            "TIDEGATE__ENGINE__URL": url,
            "TIDEGATE__CATALOG__PATH": f"{folder}/catalog.db",
            "TIDEGATE__INTEGRATION__CONFIG__SOURCE": source,
            "TIDEGATE__INTEGRATION__CONFIG__KEYED": "yes",
            "TIDEGATE__EVENT_WORKERS_COUNT": str(args.workers),
            "TIDEGATE__PROCESSES": str(processes),
            "TIDEGATE__ROLE": "worker",
            "TIDEGATE__LOG__LEVEL": "error",
        }
        integration = write_integration(Path(folder) / "integration", MAIN)
        with Service(integration, settings), psycopg.connect(url, autocommit=True) as connection:

            def settled() -> int:
                return connection.execute(_SETTLED).fetchall()[0][0]

            while settled() < args.workers * processes * 20:
                threading.Event().wait(0.05)
            first, began = settled(), time.perf_counter()
            threading.Event().wait(args.seconds)
            last, ended = settled(), time.perf_counter()
    return (last - first) / (ended - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--processes", default="1,2,4")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    third_party = subprocess.Popen([sys.executable, "-c", THIRD_PARTY], stdout=subprocess.PIPE, text=True)
    try:
        assert third_party.stdout is not None
        source = f"http://127.0.0.1:{third_party.stdout.readline().strip()}"
        least = 0.0
        for processes in map(int, args.processes.split(",")):
            with running(durable=True, shared_buffers="256MB") as server:
                rate = measure(server.url(), source, processes, args)
            least = least or rate
            print(f"{processes} processes {rate:>8,.0f} events/s {rate / least:>6.2f} times", flush=True)
    finally:
        third_party.terminate()
        third_party.wait()
        assert third_party.stdout is not None
        third_party.stdout.close()


if __name__ == "__main__":
    main()
