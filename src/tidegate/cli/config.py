"""`tidegate config`: the effective settings, secrets masked."""

from collections.abc import Iterator
from typing import Any

from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import print_json, print_table
from tidegate.config import load_settings, masked, origin_of


def config_command(config: ConfigFile = None, json: AsJson = False) -> None:
    """Print the effective settings, with secrets masked."""
    shown = masked(load_settings(config))
    if json:
        print_json(shown)
        return
    rows = [(origin_of(name), value) for name, value in _flat(shown)]
    print_table(("setting", "value"), rows, empty="")


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{prefix}{name}", value  # pyright: ignore[reportUnknownArgumentType]
