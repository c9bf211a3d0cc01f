"""A large backlog: put into the engine as the ingress would, and what a service takes to live with it."""

import asyncio
import os
import shutil
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from faults.memory import mebibytes_of
from faults.trial import ENGINE_URL, Reckoning
from tests.app.service_process import Service, eventually, write_integration
from tidegate.app.clock import SystemClock, new_id
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.ports import Engine
from tidegate.engines.postgres import PostgresEngine, PostgresOptions
from tidegate.engines.sqlite import SqliteEngine

EVENTS = 1_000_000
SMALL = 1_000
BODY_BYTES = 500
AT_ONCE = 2_000
WATCH_SECONDS = 30.0
MOST_GROWTH_MEBIBYTES = 60.0
"""The page caches of SQLite, which are bounded, fill with a large file and not with a small one."""


def backlog(seed: int, scale: float) -> Reckoning:
    """Live with a million waiting events: take in more, process, and take no more memory than with few."""
    del seed
    began = time.monotonic()
    events = max(SMALL * 2, round(EVENTS * scale))
    watch_seconds = WATCH_SECONDS * max(scale, 0.2)
    small, _ = _live_with(SMALL, watch_seconds)
    large, problems = _live_with(events, watch_seconds)
    if large - small > MOST_GROWTH_MEBIBYTES:
        problems += f"memory grew by {large - small:.0f} MiB"
    note = f"{large:.0f} MiB at most, {small:.0f} MiB with a backlog of {SMALL:,}"
    name = f"backlog of {events:,}"
    return Reckoning(name, 1, events, 0, 0, 0, time.monotonic() - began, problems, note)


def _live_with(events: int, seconds: float) -> tuple[float, str]:
    """The most memory that was taken, and what went wrong."""
    directory = Path(tempfile.mkdtemp(prefix="tidegate-faults-"))
    try:
        integration = write_integration(directory / "integration")
        opened, env = _engine(integration, events)
        asyncio.run(_fill(opened, events))
        with Service(integration, env) as service:
            eventually(lambda: service.ready()["status"] == "ready")
            most, sent = 0.0, 0
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                body = {"id": events + sent, "title": "more", "state": "x" * BODY_BYTES}
                if service.post(body) != 202:
                    return most, "a webhook was refused; "
                sent += 1
                most = max(most, mebibytes_of(service.process.pid))
            return most, _checked(service, events + sent)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _engine(integration: Path, events: int) -> tuple[AbstractAsyncContextManager[Engine], dict[str, str]]:
    """The engine of a service, still empty, and the service's settings."""
    env = {"TIDEGATE__ENGINE__MAX_BACKLOG": "10000000", "TIDEGATE__LOG__LEVEL": "error"}
    url = os.environ.get(ENGINE_URL)
    if url is None:
        path = integration / ".tidegate" / "tidegate.db"
        return SqliteEngine.open(path, clock=SystemClock(), max_backlog=events * 2), env
    options = PostgresOptions(schema=f"backlog_{events}", max_backlog=events * 2)
    env |= {
        "TIDEGATE__ENGINE__URL": url,
        "TIDEGATE__ENGINE__POSTGRES_SCHEMA": options.schema,
        "TIDEGATE__CATALOG__PATH": str(integration / "catalog.db"),
    }
    return PostgresEngine.open(url, clock=SystemClock(), options=options), env


def _checked(service: Service, accepted: int) -> str:
    """Every event waits or has become an entity."""
    left = service.get("/api/status")["backlog"]
    waiting = left["queued_events"] + left["ready_runs"] + left["claimed_runs"] + left["held_runs"]
    if left["dead_runs"]:
        return f"{left['dead_runs']} runs are dead; "
    return "" if waiting < accepted else "nothing was processed meanwhile; "


async def _fill(opened: AbstractAsyncContextManager[Engine], events: int) -> None:
    async with opened as engine:
        for first in range(0, events, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, events))
            await asyncio.gather(*(engine.enqueue(_event(number)) for number in numbers))


def _event(number: int) -> IncomingEvent:
    body = msgspec.json.encode({"id": number, "title": f"Issue {number}", "state": "x" * BODY_BYTES})
    headers = EventHeaders({"content-type": "application/json"})
    return IncomingEvent(new_id(), "/webhook", headers, body, datetime.now(UTC), "0" * 32, None)
