"""`tidegate events replay`: process stored events again."""

from typing import Annotated

import typer

from tidegate.app.clock import SystemClock, new_id
from tidegate.cli.batches import progress
from tidegate.cli.events import DryRun, PathOption, Since, StateOption, Text, Until
from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import out, print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import parse_time
from tidegate.config import Settings
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.ports import WholeEngine
from tidegate.pipeline.replaying import replay

PAGE = 500
SHOWN = 50

EventIds = Annotated[
    list[str] | None, typer.Argument(help="Which events; none: those that the filter finds.")
]
Processor = Annotated[str | None, typer.Option("--processor", help="Only events that this processor had.")]
Kind = Annotated[str | None, typer.Option("--kind", help="Only events of this kind.")]
Resource = Annotated[str | None, typer.Option("--resource", help="Only events of this resource key.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="How many at most.")]


def replay_events(
    event_ids: EventIds = None,
    path: PathOption = None,
    state: StateOption = None,
    processor: Processor = None,
    kind: Kind = None,
    resource: Resource = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    limit: Limit = 1000,
    dry_run: DryRun = True,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Process stored events again, as new events, oldest first. Without --yes it only says which."""
    where = EventFilter(
        path=path,
        state=state,
        processor=processor,
        kind=kind,
        resource_key=resource,
        since=parse_time(since),
        until=parse_time(until),
        text=text,
    )
    if not event_ids and where == EventFilter():
        raise typer.BadParameter("name events, or at least one condition")

    async def again(engine: WholeEngine, _: Settings) -> list[tuple[str, str]]:
        ids = event_ids or await _found(engine, where, limit)
        if dry_run:
            return [(await _whole_id(engine, event_id), "") for event_id in ids]
        clock, replayed = SystemClock(), list[tuple[str, str]]()
        with progress(quiet=json) as bar:
            for event_id in bar.track(list(reversed(ids)), description="replayed"):
                replayed.append((event_id, await replay(engine, event_id, clock, new_id)))
        return replayed

    replayed = with_engine(config, again)
    if json:
        print_json([{"id": old, "replayed_as": new or None} for old, new in replayed])
        return
    print_table(("event", "replayed as"), replayed[:SHOWN], empty="no events")
    if len(replayed) > SHOWN:
        out.print(f"and {len(replayed) - SHOWN} more")
    if dry_run and replayed:
        out.print(f"{len(replayed)} events would be replayed: add --yes to do it")


async def _found(engine: WholeEngine, where: EventFilter, limit: int) -> list[str]:
    """The ids of those that match, newest first, a page at a time."""
    ids: list[str] = []
    before: int | None = None
    while len(ids) < limit:
        page = await engine.find_events(where, Page(min(PAGE, limit - len(ids)), before))
        ids += [record.id for record in page]
        if len(page) < PAGE:
            break
        before = page[-1].seq
    return ids


async def _whole_id(engine: WholeEngine, event_id: str) -> str:
    """Raises NotFoundError: a dry run is wrong about what it does not know."""
    return (await engine.event(event_id)).record.id
