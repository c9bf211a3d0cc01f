"""`tidegate status`: how the pipeline stands, once or live."""

import asyncio
import sys
from contextlib import suppress
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from tidegate.app.clock import SystemClock
from tidegate.cli.dashboard import Dashboard
from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import out, print_json
from tidegate.cli.sessions import with_engine
from tidegate.config import Settings
from tidegate.config.show import without_password
from tidegate.console.documents import document
from tidegate.core.errors import ConfigurationError, EngineUnavailableError
from tidegate.core.overviews import Overview
from tidegate.core.ports import WholeEngine
from tidegate.telemetry import OverviewReader

HINT = "Ctrl-C ends"

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show it live.")]
Interval = Annotated[float, typer.Option("--interval", min=0.2, help="Seconds between two looks of --watch.")]


def status_command(
    watch: Watch = False, interval: Interval = 1.0, json: AsJson = False, config: ConfigFile = None
) -> None:
    """Show how the pipeline stands: rates, backlog, freshness, errors, pauses, processes.

    With --watch it stays and shows it live; with --json too, it prints one JSON document a line.
    """

    async def show(engine: WholeEngine, settings: Settings) -> None:
        reader = OverviewReader(engine, SystemClock())
        title = _title(settings)
        if watch:
            with suppress(asyncio.CancelledError):
                await (_stream(reader, interval) if json else _live(reader, title, interval))
            return
        overview = await reader.read()
        if json:
            print_json(document(overview))
        else:
            out.print(Dashboard(overview, title))

    with suppress(KeyboardInterrupt):
        with_engine(config, show)


async def _stream(reader: OverviewReader, interval: float) -> None:
    while True:
        sys.stdout.buffer.write(msgspec.json.encode(document(await reader.read())) + b"\n")
        sys.stdout.buffer.flush()
        await asyncio.sleep(interval)


async def _live(reader: OverviewReader, title: str, interval: float) -> None:
    """A screen of its own, so that what stood there before comes back."""
    console = Console(highlight=False)
    if not console.is_terminal:
        raise ConfigurationError("--watch needs a terminal: for programs there is --watch --json")
    with Live(console=console, screen=True, auto_refresh=False) as live:
        last: Overview | None = None
        while True:
            hint = HINT
            try:
                last = await reader.read()
            except EngineUnavailableError as error:
                hint = f"{error}; shown is what was known before"
            if last is not None:
                live.update(Dashboard(last, title, hint), refresh=True)
            await asyncio.sleep(interval)


def _title(settings: Settings) -> str:
    return without_password(settings.engine.url).removeprefix("sqlite:///")
