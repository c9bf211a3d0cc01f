"""`tidegate mapping`: what a mapping would do, before it is deployed."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from tidegate.app.adapters import has_catalog, mapper_limits, open_catalog
from tidegate.app.clock import SystemClock
from tidegate.app.previews import open_dry_runs
from tidegate.cli.changes import change_line
from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import EXIT_DIFFERENT, err, out, print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.config import Settings
from tidegate.console.documents import document
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import WholeEngine
from tidegate.core.previews import DryRun, EntityFate, EntityPreview, ItemsPreview
from tidegate.pipeline.dry_runs import DryRuns

app = typer.Typer(no_args_is_help=True, help="What a mapping would do, before it is deployed.")

SHOWN_ENTITIES = 20

_MARKS = {
    EntityFate.CREATED: ("+", "green"),
    EntityFate.CHANGED: ("~", "yellow"),
    EntityFate.UNCHANGED: ("=", "dim"),
    EntityFate.DELETED: ("-", "red"),
    EntityFate.ABSENT: (" ", "dim"),
}

NewFile = Annotated[
    Path, typer.Argument(help="A mapping (port-app-config.yml), or one resource config.", metavar="NEW_FILE")
]
Last = Annotated[
    int, typer.Option("--last", min=1, max=10_000, help="By how many runs to judge, one for each resource.")
]
Seconds = Annotated[float, typer.Option("--seconds", min=0.1, help="Stop after so long, and say so.")]


@app.command("diff")
def diff_command(
    new_file: NewFile,
    last: Last = 500,
    seconds: Seconds = 60.0,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Tell what would change if a mapping were deployed: a dry run over the newest recorded items.

    Nothing is written. Exits with 0 if nothing would change, and with 4 if something would.
    """
    text = _read(new_file)

    async def dry_run(engine: WholeEngine, settings: Settings) -> DryRun:
        async with AsyncExitStack() as stack:
            runs = await _open(stack, engine, settings)
            with _progress(quiet=json) as progress:
                task = progress.add_task("trying the mapping", total=None)
                return await runs.deploy(
                    text,
                    last,
                    seconds,
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                )

    found = with_engine(config, dry_run)
    if json:
        print_json({**document(found), "differs": found.differs})
    else:
        _print_dry_run(found)
    if found.differs:
        raise typer.Exit(EXIT_DIFFERENT)


@app.command("preview")
def preview_command(
    new_file: NewFile,
    event: Annotated[str | None, typer.Option("--event", help="Of what was fetched for this event.")] = None,
    run: Annotated[int | None, typer.Option("--run", help="Of what this run fetched.")] = None,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show what a mapping makes of recorded items, and how it differs from what was written.

    Nothing is written. Exits with 4 if an entity would change.
    """
    text = _read(new_file)
    if (event is None) == (run is None):
        raise typer.BadParameter("name an event (--event) or a run (--run)")

    async def preview(engine: WholeEngine, settings: Settings) -> list[ItemsPreview]:
        async with AsyncExitStack() as stack:
            previews = (await _open(stack, engine, settings)).previews
            if event is not None:
                return await previews.of_event(text, event)
            return [await previews.of_run(text, run or 0)]

    found = with_engine(config, preview)
    if json:
        print_json(document(found))
    else:
        for each in found:
            _print_preview(each)
    same = (EntityFate.UNCHANGED, EntityFate.ABSENT)
    if any(entity.fate not in same for each in found for entity in each.entities):
        raise typer.Exit(EXIT_DIFFERENT)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as UTF-8 text: {error}") from error


async def _open(stack: AsyncExitStack, engine: WholeEngine, settings: Settings) -> DryRuns:
    catalog = None
    if has_catalog(settings):
        catalog = await open_catalog(stack, settings, settings.integration.identifier)
    return open_dry_runs(engine, mapper_limits(settings), catalog, SystemClock())


def _progress(*, quiet: bool) -> Progress:
    """On standard error, and only on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal)


def _print_dry_run(found: DryRun) -> None:
    counts = (
        (found.created, "created", "green"),
        (found.changed, "changed", "yellow"),
        (found.deleted, "deleted", "red"),
        (found.unchanged, "unchanged", "dim"),
    )
    out.print(
        Text("  ").join(Text(f"{count} {name}", style if count else "dim") for count, name, style in counts)
    )
    out.print(f"judged by {found.items} items of {found.runs} runs{_left_out(found)}")
    for name in found.gone:
        out.print(
            f"entry {name} is gone: what it wrote stays as it is, and is not brought up to date", style="red"
        )
    if found.fields:
        out.print()
        rows = [(each.blueprint, each.field, each.count) for each in found.fields]
        print_table(("blueprint", "field", "entities"), rows, empty="")
    if found.warnings:
        out.print()
        rows = [(each.config, each.field, each.count, each.example) for each in found.warnings]
        print_table(("entry", "warning at", "times", "the first of them"), rows, empty="")
    if found.entities:
        out.print()
    for entity in found.entities[:SHOWN_ENTITIES]:
        _print_entity(entity)
    more = found.created + found.changed + found.deleted - min(len(found.entities), SHOWN_ENTITIES)
    if more > 0:
        out.print(f"… and {more} more", style="dim")
    if found.cut_short:
        out.print("the time was over before the end: give it more with --seconds", style="yellow")


def _left_out(found: DryRun) -> str:
    parts = (
        (found.unrecorded, "more had no items kept"),
        (found.skipped, "items came to nothing"),
        (found.warned, "warnings"),
    )
    return "".join(f"; {count} {what}" for count, what in parts if count)


def _print_preview(found: ItemsPreview) -> None:
    out.print(f"[bold]run {found.run_id}[/] (event {found.event_id}), by entry {', '.join(found.configs)}")
    for entity in found.entities:
        _print_entity(entity)
    for each in found.warnings:
        out.print(f"  warning: {each.config}: {each.warning}", style="yellow", markup=False)


def _print_entity(entity: EntityPreview) -> None:
    mark, style = _MARKS[entity.fate]
    line = Text(f"{mark} {entity.ref}", style)
    line.append(f"  {entity.fate}" + (f": {entity.reason}" if entity.reason else ""), "dim")
    out.print(line)
    for change in document(entity)["changes"]:
        out.print(change_line(change))
