"""`tidegate deadletters`: runs that failed for good, and what to do about them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from tidegate.app.clock import SystemClock
from tidegate.cli.batches import in_batches
from tidegate.cli.events import DryRun, PathOption, Since, Until, explain_run
from tidegate.cli.options import AsJson, ConfigFile, Limit
from tidegate.cli.output import out, print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import listed_time, parse_time, shown_time
from tidegate.config import Settings
from tidegate.console.documents import document, run_document
from tidegate.core.inspection import Page, RunDetail, RunFilter, RunRecord
from tidegate.core.lifecycle import RunState
from tidegate.core.ports import WholeEngine

MOST_FORETOLD = 10_000
SHOWN = 50

app = typer.Typer(no_args_is_help=True, help="Runs that failed for good: look, redrive, discard.")

RunIds = Annotated[list[int] | None, typer.Argument(help="Which runs; none: those that the filter finds.")]
Processor = Annotated[str | None, typer.Option("--processor", help="Only runs of this processor.")]
Kind = Annotated[str | None, typer.Option("--kind", help="Only runs of this kind.")]
ErrorText = Annotated[str | None, typer.Option("--error", help="Only runs whose error has this text.")]
MendLimit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="How many at most.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@app.command("list")
def list_dead(
    path: PathOption = None,
    processor: Processor = None,
    kind: Kind = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List dead letters, newest first."""
    records = with_engine(config, _find(_where(None, path, processor, kind, error, since, until), limit))
    if json:
        print_json(document(records))
        return
    print_table(_COLUMNS, [_row(record) for record in records], empty="no dead letters")


@app.command("show")
def show_dead(
    run_id: Annotated[int, typer.Argument(help="The run's id.")],
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show one run: its attempts with their errors, and the events that it stands for."""

    async def find(engine: WholeEngine, _: Settings) -> RunDetail:
        return await engine.run(run_id)

    detail = with_engine(config, find)
    if json:
        print_json(run_document(detail))
        return
    explain_run(detail, carried=True)
    rows = [(shown_time(event.received_at), event.id, event.delivery_id) for event in detail.events]
    print_table(("received", "event", "delivery"), rows, empty="no events")


@app.command("redrive")
def redrive_dead(
    run_ids: RunIds = None,
    path: PathOption = None,
    processor: Processor = None,
    kind: Kind = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    all_dead: All = False,
    limit: MendLimit = 1_000_000,
    dry_run: DryRun = True,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Put dead runs back to be processed. Without --yes it only says which."""
    where = _where(run_ids, path, processor, kind, error, since, until)
    order = _Order("redriven", where, limit, all_dead, dry_run, json)
    _mend(order, lambda engine: engine.redrive, config)


@app.command("discard")
def discard_dead(
    run_ids: RunIds = None,
    path: PathOption = None,
    processor: Processor = None,
    kind: Kind = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    all_dead: All = False,
    limit: MendLimit = 1_000_000,
    dry_run: DryRun = True,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Give dead runs up; they stay visible as discarded. Without --yes it only says which."""
    where = _where(run_ids, path, processor, kind, error, since, until)
    order = _Order("discarded", where, limit, all_dead, dry_run, json)
    _mend(order, lambda engine: engine.discard, config)


_COLUMNS = ("run", "finished", "processor", "kind", "resource key", "events", "error")


def _row(record: RunRecord) -> tuple[object, ...]:
    return (
        record.id,
        listed_time(record.finished_at),
        record.processor,
        record.kind,
        record.resource_key,
        record.event_count,
        record.detail,
    )


def _where(
    run_ids: list[int] | None,
    path: str | None,
    processor: str | None,
    kind: str | None,
    error: str | None,
    since: str | None,
    until: str | None,
) -> RunFilter:
    return RunFilter(
        ids=tuple(run_ids or ()),
        state=RunState.DEAD,
        path=path,
        processor=processor,
        kind=kind,
        error=error,
        since=parse_time(since),
        until=parse_time(until),
    )


def _find(where: RunFilter, limit: int) -> Callable[[WholeEngine, Settings], Awaitable[list[RunRecord]]]:
    async def find(engine: WholeEngine, _: Settings) -> list[RunRecord]:
        return await engine.find_runs(where, Page(limit=limit))

    return find


@dataclass(frozen=True, slots=True)
class _Order:
    """What is asked for: `done` names it, once done."""

    done: str
    where: RunFilter
    limit: int
    all_dead: bool
    dry_run: bool
    json: bool


def _mend(
    order: _Order,
    verb_of: Callable[[WholeEngine], Callable[[RunFilter, int], Awaitable[int]]],
    config: Path | None,
) -> None:
    if order.where == RunFilter(state=RunState.DEAD) and not order.all_dead:
        raise typer.BadParameter("name runs, or at least one condition, or --all")
    if order.dry_run:
        _foretell(order, config)
        return

    async def mend(engine: WholeEngine, _: Settings) -> int:
        verb, where = verb_of(engine), _until_now(order.where)
        total = (await engine.backlog()).dead_runs if order.all_dead else None
        return await in_batches(
            order.done, lambda room: verb(where, room), order.limit, total, quiet=order.json
        )

    count = with_engine(config, mend)
    if order.json:
        print_json({"dry_run": False, "count": count})
    else:
        out.print(f"{count} runs {order.done}")


def _until_now(where: RunFilter) -> RunFilter:
    """What dies again meanwhile is not put back again and again."""
    now = SystemClock().now()
    return replace(where, until=min(where.until, now) if where.until else now)


def _foretell(order: _Order, config: Path | None) -> None:
    """Say what would be done."""
    records = with_engine(config, _find(order.where, min(order.limit, MOST_FORETOLD)))
    if order.json:
        print_json({"dry_run": True, "runs": document(records)})
        return
    print_table(_COLUMNS, [_row(record) for record in records[:SHOWN]], empty="no dead letters match")
    if len(records) > SHOWN:
        out.print(f"and {len(records) - SHOWN} more")
    if records:
        least = "at least " if len(records) == MOST_FORETOLD else ""
        out.print(f"{least}{len(records)} runs would be {order.done}: add --yes to do it")
