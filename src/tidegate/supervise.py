"""Keeps a background duty going: what it raises is told and the duty begins again after a pause."""

import asyncio
from collections.abc import Awaitable, Callable

from tidegate.core.signals import DutyFailed, Telemetry

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


async def keep_going(name: str, duty: Callable[[], Awaitable[None]], telemetry: Telemetry) -> None:
    """Call `duty` until it returns. After an error: a signal, a growing pause, and again."""
    pause_seconds = FIRST_PAUSE_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await duty()
        except Exception as error:  # noqa: BLE001 - a duty must survive whatever went wrong once
            telemetry.emit(DutyFailed(name, f"{type(error).__name__}: {error}"))
        else:
            return
        if loop.time() - began > LONGEST_PAUSE_SECONDS:
            pause_seconds = FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
