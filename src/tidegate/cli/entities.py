"""`tidegate entities`: what the catalog holds, and why."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tidegate.app.adapters import catalog_path, open_catalog
from tidegate.cli.events import explain_run
from tidegate.cli.options import AsJson, ConfigFile, Limit
from tidegate.cli.output import out, print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import shown_time
from tidegate.config import Settings, load_settings
from tidegate.console.documents import document, run_document
from tidegate.core.entities import EntityRef
from tidegate.core.errors import ConfigurationError, NotFoundError
from tidegate.core.inspection import Page, RunDetail, WriteRecord
from tidegate.core.ports import WholeEngine
from tidegate.targets.catalog.documents import Position, Selection, entity_document, entity_slice
from tidegate.targets.catalog.sqlite import Database

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
    """List the embedded catalog's entities."""
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


@app.command("show")
def show_entity(
    blueprint: BlueprintArgument, identifier: IdentifierArgument, config: ConfigFile = None
) -> None:
    """Print one entity of the embedded catalog, in the shape of Port's API."""
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
        (shown_time(write.at), write.action, write.run_id, write.event_id, write.reason) for write in writes
    ]
    print_table(("when", "what", "run", "event", "why"), rows, empty="")
    out.print("\n[bold]the last of these in full[/]")
    explain_run(run, carried=True)
    if writes[0].document is not None:
        out.print("[bold]the entity as it was written[/]")
        print_json(document(writes[0])["document"])


def _read(config: Path | None, query: Callable[[Database], ResultT]) -> ResultT:
    settings = load_settings(config)
    if settings.target != "catalog":
        raise ConfigurationError("entities are in Port: look there, or ask `tidegate entities why`")
    path = catalog_path(settings)
    if not path.exists():
        raise ConfigurationError(f"there is no catalog at {path}: start `tidegate run` first")

    async def session() -> ResultT:
        async with AsyncExitStack() as stack:
            catalog = open_catalog(stack, settings, settings.integration.identifier)
            return await catalog.readers.read(query)

    return asyncio.run(session())
