"""`tidegate run`: serve an integration until SIGTERM or SIGINT."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import uvloop

from tidegate.app.process import Voice, serve
from tidegate.app.processes import supervise
from tidegate.app.roles import roles_of
from tidegate.app.service import Addresses
from tidegate.app.station import ALONE
from tidegate.authoring import Integration
from tidegate.cli.exits import guarded
from tidegate.cli.loading import load_integration
from tidegate.cli.options import AppDir, ConfigFile, Reference
from tidegate.cli.output import err
from tidegate.config import Settings, load_settings
from tidegate.telemetry import configure_logging


def run_command(
    reference: Reference,
    app_dir: AppDir = Path(),
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Where webhooks are taken in.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port; 0 chooses one.")] = None,
    admin_host: Annotated[str | None, typer.Option(help="Where operators look in.")] = None,
    admin_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port; 0 chooses one.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="How many runs of each worker process ask a third party at once."),
    ] = None,
    role: Annotated[Literal["all", "ingress", "worker"] | None, typer.Option(help="What runs here.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, help="How many worker processes; 0: everything in one process.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve an integration: take webhooks in, keep the catalog true. SIGTERM drains and exits with 0."""
    overrides = _given(
        {
            "event_workers_count": workers,
            "role": role,
            "processes": processes,
            "ingress": _given({"host": host, "port": port}),
            "admin": _given({"host": admin_host, "port": admin_port}),
            "log": _given({"level": log_level}),
        }
    )
    settings = load_settings(config, overrides=overrides)
    configure_logging(settings.log.level, settings.log.format)
    if settings.processes == 0:
        _run_alone(load_integration(reference, app_dir), settings)
        return
    code = supervise(
        settings,
        load=lambda: load_integration(reference, app_dir),
        started=lambda ready, addresses: _announce(ready.identifier, ready.paths, settings, addresses),
        draining=_say_draining,
        guarded=guarded,
    )
    sys.exit(code)


def _run_alone(integration: Integration, settings: Settings) -> None:
    """Everything in this process."""
    voice = Voice(
        listening=lambda addresses: _announce(
            integration.identifier,
            [registration.path for registration in integration.registrations],
            settings,
            addresses,
        ),
        draining=_say_draining,
    )
    station = replace(ALONE, name=settings.role, roles=roles_of(settings.role))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(integration, settings, voice, station))


def _say_draining() -> None:
    err.print("draining: finishing what is in hand (a second signal is ignored)")


def _announce(identifier: str, paths: Iterable[str], settings: Settings, addresses: Addresses) -> None:
    err.print(f"[bold]Tidegate[/] serves [bold]{identifier}[/]")
    if addresses.ingress:
        for path in dict.fromkeys(paths):
            err.print(f"  webhooks    POST {addresses.ingress}/integration{path}")
    err.print(f"  console     {addresses.admin}/console")
    if settings.target == "catalog":
        err.print(f"  catalog     {addresses.admin}/v1/blueprints")
    else:
        err.print(f"  target      {settings.port.base_url}")
    err.print(f"  operations  {addresses.admin}/api/status   metrics  {addresses.admin}/metrics")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != {}}
