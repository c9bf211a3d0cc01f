"""`tidegate console`: the web console by itself, over an engine that others work with."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from tidegate.app.adapters import engine_path
from tidegate.app.admin import console_alone
from tidegate.cli.options import ConfigFile
from tidegate.cli.output import err
from tidegate.config import Settings, load_settings
from tidegate.core.errors import ConfigurationError


def console_command(
    engine_url: Annotated[
        str | None, typer.Option("--engine-url", help="The engine to look into, as TIDEGATE__ENGINE__URL.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 chooses one.")] = 8002,
    mapping: Annotated[
        Path, typer.Option("--mapping", help="The mapping that the playground begins with.")
    ] = Path(".port/resources/port-app-config.yml"),
    config: ConfigFile = None,
) -> None:
    """Serve the web console by itself, beside running services or without them."""
    admin = {"port": port, **({} if host is None else {"host": host})}
    engine = {} if engine_url is None else {"url": engine_url}
    settings = load_settings(config, overrides={"admin": admin, **({"engine": engine} if engine else {})})
    path = engine_path(settings)
    if path is not None and not path.exists():
        raise ConfigurationError(
            f"there is no engine at {path}: start `tidegate run` first, or name another with --engine-url"
        )
    asyncio.run(_serve(settings, mapping))


async def _serve(settings: Settings, mapping: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with console_alone(settings, mapping) as address:
        err.print(f"  console     {address}/console")
        await stop.wait()
