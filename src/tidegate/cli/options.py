"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The settings file (default: tidegate.yml, if there is one).")
]
AppDir = Annotated[Path, typer.Option("--app-dir", help="The directory that holds the integration's module.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")]
Reference = Annotated[
    str, typer.Argument(help="The integration, as module:attribute.", metavar="MODULE:ATTRIBUTE")
]
