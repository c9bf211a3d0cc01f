"""`tidegate map`: what a mapping makes of items, without anything being written anywhere."""

import asyncio
import json as json_library
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer

from tidegate.cli.options import AsJson
from tidegate.cli.output import EXIT_FAILED, print_json
from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.core.ports import Mapped
from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, MappingFile, read_mapping

MappingPath = Annotated[
    Path, typer.Option("--mapping", help="The mapping file (port-app-config.yml).", metavar="FILE")
]
Kind = Annotated[
    str,
    typer.Option("--kind", help="Which of the mapping's entries: a kind, or an entry's id.", metavar="KIND"),
]
AsLines = Annotated[bool, typer.Option("--jsonl", help="Print one entity a line.")]


@dataclass(slots=True)
class _Result:
    """What came of the items, over all entries of the kind."""

    entities: list[Entity] = field(default_factory=list[Entity])
    not_selected: list[Entity] = field(default_factory=list[Entity])
    warnings: list[str] = field(default_factory=list[str])
    skipped: int = 0

    def add(self, config: ResourceConfig, mapped: Mapped) -> None:
        self.entities.extend(mapped.passed)
        self.not_selected.extend(mapped.failed)
        self.warnings.extend(f"{config.id}: {warning}" for warning in mapped.warnings)
        self.skipped += mapped.skipped


def map_command(mapping: MappingPath, kind: Kind, jsonl: AsLines = False, json: AsJson = False) -> None:
    """Show which entities a mapping makes of the items on the standard input.

    The input is a JSON list of items, one item, or one item a line. Entities go to the standard output,
    warnings to the standard error; with --json, both go into one object. Exits with 1 if an item was skipped.
    """
    if jsonl and json:
        raise ConfigurationError("choose one of --jsonl and --json")
    configs = _configs(read_mapping(mapping), kind, mapping)
    if sys.stdin.isatty():
        raise ConfigurationError("give the items on the standard input: tidegate map … < items.json")
    result = asyncio.run(_map(configs, _read_items(sys.stdin)))
    if json:
        print_json(result)
    else:
        _print(result, as_lines=jsonl)
    if result.skipped:
        raise typer.Exit(EXIT_FAILED)


def _configs(file: MappingFile, kind: str, source: Path) -> list[ResourceConfig]:
    configs = [config for config in file.configs if kind in (config.kind, config.id)]
    if not configs:
        known = ", ".join(dict.fromkeys(config.kind for config in file.configs)) or "none"
        raise ConfigurationError(f"{source} has no entry of kind {kind}; it has {known}")
    return configs


def _read_items(source: TextIO) -> list[Json]:
    """A JSON list of items, one item, or one item a line. Raises ConfigurationError."""
    try:
        text = source.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the items are not UTF-8 text: {error}") from error
    if not text.strip():
        raise ConfigurationError("there are no items on the standard input")
    try:
        items = json_library.loads(text)
    except (ValueError, RecursionError) as error:
        return _read_lines(text, error)
    return cast(list[Json], items) if isinstance(items, list) else [items]


def _read_lines(text: str, whole: Exception) -> list[Json]:
    """One item a line. If not even the first line is one, the complaint is of the text as a whole."""
    items: list[Json] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            items.append(json_library.loads(line))
        except (ValueError, RecursionError) as error:
            complaint = f"line {number} of the items is no JSON: {error}" if items else f"no JSON: {whole}"
            raise ConfigurationError(f"the items cannot be read: {complaint}") from error
    return items


async def _map(configs: Sequence[ResourceConfig], items: Sequence[Json]) -> _Result:
    result = _Result()
    mapper = JqMapper(configs)
    try:
        for config in configs:
            result.add(config, await mapper.map(config, items))
    finally:
        await mapper.close()
    return result


def _print(result: _Result, *, as_lines: bool) -> None:
    if as_lines:
        for entity in result.entities:
            sys.stdout.write(entity.to_json().decode() + "\n")
    else:
        print_json(result.entities)
    for warning in result.warnings:
        typer.echo(warning, err=True)
    for entity in result.not_selected:
        typer.echo(f"not selected: {entity.ref} (a live event would delete it)", err=True)
