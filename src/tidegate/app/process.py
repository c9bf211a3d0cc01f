"""The life of one process: compose its parts, run until a signal comes, drain. And what it tells others meanwhile."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.app.compose import composed
from tidegate.app.service import Addresses, Service
from tidegate.app.station import ALONE, Station
from tidegate.authoring import Integration
from tidegate.config import Settings
from tidegate.worker.stalls import StallGuard

BEAT_SECONDS = 1.0
SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a computing thread may keep the event loop waiting for the interpreter's lock."""

GARBAGE_THRESHOLD = 20_000
"""How many more objects than before there must be until Python looks for cycles among the young ones.

Its own 700 are passed several times a turn of a busy loop, and what it then looks at is all in use.
"""


def _silent() -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Whom a process tells: `listening` once, with its addresses; `ready` once; `beat` while its loop turns;
    `draining` when it was told to stop.
    """

    listening: Callable[[Addresses], None]
    ready: Callable[[], None] = _silent
    beat: Callable[[], None] = _silent
    draining: Callable[[], None] = _silent


def set_up_interpreter() -> None:
    """For a loop that is busy, once all is loaded and composed."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.freeze()  # what is there stays: no collection needs to look at it again
    gc.set_threshold(GARBAGE_THRESHOLD)


async def serve(integration: Integration, settings: Settings, voice: Voice, station: Station = ALONE) -> None:
    """Run until SIGTERM, or SIGINT if it is alone. Raises ConfigurationError if it cannot go on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if station.board is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    guard = StallGuard(settings.stall_seconds + BEAT_SECONDS)
    guard.install()
    async with composed(integration, settings, station) as service:

        def ready() -> None:
            _post(service, station)
            voice.ready()

        if service.work is not None:
            service.work.on_prepared = ready
        voice.listening(await service.start())
        beating = asyncio.create_task(_keep_beating(service, station, voice, guard), name="tidegate-beat")
        if service.work is None:
            ready()
        set_up_interpreter()
        await _until(stop, service)
        if stop.is_set():
            voice.draining()
        await service.stop()
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        guard.remove()
        if service.work is not None and service.work.error is not None:
            raise service.work.error


async def _until(stop: asyncio.Event, service: Service) -> None:
    waits = [asyncio.create_task(stop.wait())]
    if service.work is not None:
        waits.append(asyncio.create_task(service.work.failed.wait()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _keep_beating(service: Service, station: Station, voice: Voice, guard: StallGuard) -> None:
    """Say that the loop turns, and post how this process is."""
    while True:
        voice.beat()
        guard.arm()
        _post(service, station)
        await asyncio.sleep(BEAT_SECONDS)


def _post(service: Service, station: Station) -> None:
    if station.board is not None:
        condition = service.condition
        station.board.post(station.name, *condition.texts(), paused=condition.paused())
