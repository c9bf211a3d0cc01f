"""`tidegate run`: serve an integration until SIGTERM or SIGINT."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from tidegate.app.compose import composed
from tidegate.app.service import Addresses
from tidegate.authoring import Integration
from tidegate.cli.loading import load_integration
from tidegate.cli.options import AppDir, ConfigFile, Reference
from tidegate.cli.output import err
from tidegate.config import Settings, load_settings
from tidegate.telemetry import configure_logging

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a computing thread may keep the event loop waiting for the interpreter's lock."""


def run_command(
    reference: Reference,
    app_dir: AppDir = Path(),
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Where webhooks are taken in.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port; 0 chooses one.")] = None,
    admin_host: Annotated[str | None, typer.Option(help="Where operators look in.")] = None,
    admin_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port; 0 chooses one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="How many runs are processed at once.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve an integration: take webhooks in, keep the catalog true. SIGTERM drains and exits with 0."""
    overrides = _given(
        {
            "event_workers_count": workers,
            "ingress": _given({"host": host, "port": port}),
            "admin": _given({"host": admin_host, "port": admin_port}),
            "log": _given({"level": log_level}),
        }
    )
    settings = load_settings(config, overrides=overrides)
    configure_logging(settings.log.level, settings.log.format)
    integration = load_integration(reference, app_dir)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(integration, settings))


async def serve(integration: Integration, settings: Settings) -> None:
    """Run until a signal comes or the service cannot go on. Raises ConfigurationError in that case."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with composed(integration, settings) as service:
        addresses = await service.start()
        _announce(integration, settings, addresses)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(service.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if stop.is_set():
            err.print("draining: finishing what is in hand (a second signal is ignored)")
        await service.stop()
        if service.error is not None:
            raise service.error


def _announce(integration: Integration, settings: Settings, addresses: Addresses) -> None:
    err.print(f"[bold]Tidegate[/] serves [bold]{integration.identifier}[/]")
    for path in dict.fromkeys(registration.path for registration in integration.registrations):
        err.print(f"  webhooks    POST {addresses.ingress}/integration{path}")
    err.print(f"  console     {addresses.admin}/console")
    if settings.target == "catalog":
        err.print(f"  catalog     {addresses.admin}/v1/blueprints")
    else:
        err.print(f"  target      {settings.port.base_url}")
    err.print(f"  operations  {addresses.admin}/api/status   metrics  {addresses.admin}/metrics")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != {}}
