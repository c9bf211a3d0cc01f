"""`tidegate entities`: what the catalog holds, and why."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.text import Text

from tidegate.app.adapters import COMMAND_PATIENCE_SECONDS, catalog_path, open_catalog
from tidegate.cli.changes import change_line
from tidegate.cli.events import SEARCH_SECONDS, explain_run
from tidegate.cli.options import AsJson, ConfigFile, Limit
from tidegate.cli.output import out, print_json, print_table, shown_id
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import listed_time, shown_time
from tidegate.config import Settings, load_settings
from tidegate.console.documents import document, run_document
from tidegate.core.differences import FieldChange, differences
from tidegate.core.entities import EntityRef
from tidegate.core.errors import ConfigurationError, NotFoundError
from tidegate.core.events import Json
from tidegate.core.inspection import EntitiesFound, EntityFilter, Page, RunDetail, WriteRecord
from tidegate.core.ports import WholeEngine
from tidegate.core.runs import WriteAction
from tidegate.targets.catalog.database import Database
from tidegate.targets.catalog.documents import Position, Selection, entity_document, entity_slice

app = typer.Typer(no_args_is_help=True, help="What the catalog holds, and why.")

ResultT = TypeVar("ResultT")

BlueprintArgument = Annotated[str, typer.Argument(help="The entity's blueprint.")]
IdentifierArgument = Annotated[str, typer.Argument(help="The entity's identifier.")]


@app.command("list")
def list_entities(
    blueprint: Annotated[str | None, typer.Argument(help="Only entities of this blueprint.")] = None,
    limit: Limit = 50,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List the catalog's entities; with another target, those that were written to it."""
    if load_settings(config).target != "catalog":
        _list_written(blueprint, limit, json, config)
        return
    found, _ = _read(
        config, lambda database: entity_slice(database, Selection(blueprint=blueprint), Position(), limit)
    )
    if json:
        print_json(found)
        return
    rows = [
        (each["blueprint"], each["identifier"], each.get("title"), each.get("updatedAt")) for each in found
    ]
    print_table(("blueprint", "identifier", "title", "updated"), rows, empty="no entities")


def _list_written(blueprint: str | None, limit: int, json: bool, config: Path | None) -> None:
    where = EntityFilter(blueprint=blueprint)

    async def find(engine: WholeEngine, _: Settings) -> EntitiesFound:
        return await engine.search_entities(where, None, limit, SEARCH_SECONDS)

    found = with_engine(config, find)
    if json:
        print_json(document(found.records))
        return
    rows = [
        (
            record.ref.blueprint,
            record.ref.identifier,
            record.last and record.last.action,
            listed_time(record.last.at if record.last else None),
        )
        for record in found.records
    ]
    print_table(("blueprint", "identifier", "last write", "at"), rows, empty="no entities")


@app.command("show")
def show_entity(
    blueprint: BlueprintArgument,
    identifier: IdentifierArgument,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Print one entity of the catalog, in the shape of Port's API: JSON in any case."""
    del json
    ref = EntityRef(blueprint, identifier)
    found = _read(config, lambda database: entity_document(database, ref))
    if found is None:
        raise NotFoundError(f"the catalog has no entity {ref}: `tidegate entities why` may tell the reason")
    print_json(found)


@app.command("why")
def why_entity(
    blueprint: BlueprintArgument,
    identifier: IdentifierArgument,
    limit: Limit = 10,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Explain an entity: what was written when, by which delivery, run, fetch and mapping."""
    ref = EntityRef(blueprint, identifier)

    async def find(engine: WholeEngine, _: Settings) -> tuple[list[WriteRecord], RunDetail | None]:
        writes = await engine.writes(ref, Page(limit=limit))
        return writes, (await engine.run(writes[0].run_id) if writes else None)

    writes, run = with_engine(config, find)
    if json:
        print_json({"writes": document(writes), "run": None if run is None else run_document(run)})
        return
    if run is None:
        raise NotFoundError(
            f"no run that is still kept wrote {ref}: see `tidegate events list` for what came in, "
            "and `tidegate deadletters list` for what failed"
        )
    rows = [
        (listed_time(write.at), write.action, write.run_id, shown_id(write.event_id), write.reason)
        for write in writes
    ]
    print_table(("when", "what", "run", "event", "why"), rows, empty="")
    out.print("\n[bold]the last of these in full[/]")
    explain_run(run, carried=True)
    if writes[0].document is not None:
        out.print("[bold]the entity as it was written[/]")
        print_json(document(writes[0])["document"])


@app.command("diff")
def diff_entity(
    blueprint: BlueprintArgument,
    identifier: IdentifierArgument,
    limit: Limit = 10,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show what each write changed, field by field, newest first."""
    ref = EntityRef(blueprint, identifier)

    async def find(engine: WholeEngine, _: Settings) -> list[WriteRecord]:
        return await engine.writes(ref, Page(limit=limit + 1))

    steps = _steps(with_engine(config, find), limit)
    if json:
        print_json([{**document(write), "changes": document(changes)} for write, changes in steps])
        return
    if not steps:
        raise NotFoundError(f"no write of {ref} is kept any more")
    for write, changes in steps:
        why = f" ({write.reason})" if write.reason else ""
        head = Text(f"{shown_time(write.at)} ", "dim").append(write.action, "bold")
        out.print(head.append(f" by run {write.run_id}, event {shown_id(write.event_id)}{why}", "dim"))
        if write.document is not None and not changes:
            out.print(Text("    nothing changed", "dim"))
        for change in document(changes):
            out.print(change_line(change))


def _steps(writes: Sequence[WriteRecord], limit: int) -> list[tuple[WriteRecord, tuple[FieldChange, ...]]]:
    """Each write with what it changed, against the write before it that left the entity there."""
    found: list[tuple[WriteRecord, tuple[FieldChange, ...]]] = []
    before: dict[str, Json] = {}
    for write in reversed(writes):
        changes: tuple[FieldChange, ...] = ()
        if write.action == WriteAction.UPSERT and write.document is not None:
            after: dict[str, Json] = msgspec.json.decode(write.document)
            changes, before = differences(before, after), after
        elif write.action == WriteAction.DELETE:
            before = {}
        found.append((write, changes))
    return found[::-1][:limit]


def _read(config: Path | None, query: Callable[[Database], ResultT]) -> ResultT:
    settings = load_settings(config)
    if settings.target != "catalog":
        raise ConfigurationError("entities are in Port: look there, or ask `tidegate entities why`")
    path = catalog_path(settings)
    if path is not None and not path.exists():
        raise ConfigurationError(f"there is no catalog at {path}: start `tidegate run` first")

    async def session() -> ResultT:
        async with AsyncExitStack() as stack:
            catalog = await open_catalog(
                stack,
                settings,
                settings.integration.identifier,
                patience_seconds=COMMAND_PATIENCE_SECONDS,
            )
            return await catalog.readers.read(query)

    return asyncio.run(session())
