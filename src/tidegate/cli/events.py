"""`tidegate events`: what came in, what became of it, and once more, please."""

from dataclasses import replace
from typing import Annotated

import typer

from tidegate.app.clock import SystemClock
from tidegate.cli.options import AsJson, ConfigFile, Limit
from tidegate.cli.output import err, out, print_json, print_table, shown_id
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import listed_time, parse_time, shown_time
from tidegate.config import Settings
from tidegate.console.documents import document, event_document, run_document
from tidegate.console.pages.queries import EventQuery, QueryError
from tidegate.core.events import Json
from tidegate.core.inspection import (
    EventDetail,
    EventRecord,
    EventsFound,
    Page,
    RunDetail,
    RunRecord,
)
from tidegate.core.lifecycle import EventState
from tidegate.core.ports import WholeEngine

SEARCH_SECONDS = 30.0
"""How long a search may take before it says how far it came."""

app = typer.Typer(no_args_is_help=True, help="What came in, and what became of it.")

EventId = Annotated[str, typer.Argument(help="The event's id, or its first eight characters or more.")]
PathOption = Annotated[str | None, typer.Option("--path", help="Only events of this path, as /webhook.")]
StateOption = Annotated[EventState | None, typer.Option("--state", help="Only events in this state.")]
Since = Annotated[str | None, typer.Option("--since", help="Not before: ISO 8601, or an age as 15m.")]
Until = Annotated[str | None, typer.Option("--until", help="Before: ISO 8601, or an age as 15m.")]
ProcessorOption = Annotated[str | None, typer.Option("--processor", help="Only events of this processor.")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only events of this kind.")]
ResourceOption = Annotated[str | None, typer.Option("--resource", help="Only events of this resource key.")]
DeliveryOption = Annotated[str | None, typer.Option("--delivery", help="Only this delivery id.")]
Before = Annotated[int | None, typer.Option("--before", help="Go on before this event, by its seq.")]
Query = Annotated[str | None, typer.Argument(help="Words and conditions, as in the console.")]
Text = Annotated[
    str | None, typer.Option("--text", help="Only events whose body or delivery id has this text.")
]
DryRun = Annotated[bool, typer.Option("--dry-run/--yes", help="Only say what would be done.")]


@app.command("list")
def list_events(
    query: Query = None,
    path: PathOption = None,
    state: StateOption = None,
    processor: ProcessorOption = None,
    kind: KindOption = None,
    resource: ResourceOption = None,
    delivery: DeliveryOption = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    before: Before = None,
    limit: Limit = 20,
    json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List events, newest first, with what became of them.

    QUERY is what the console's search takes: words that the body or the delivery id has, and conditions such as
    kind:issue, state:dead, resource:42, since:15m.
    """
    options = {
        "path": path,
        "state": state and state.value,
        "processor": processor,
        "kind": kind,
        "resource_key": resource,
        "delivery_id": delivery,
    }
    words = " ".join(part for part in (query, text) if part)
    asked = EventQuery(text=words, **{name: value for name, value in options.items() if value})
    try:
        where = asked.where(SystemClock().now())
    except QueryError as error:
        raise typer.BadParameter(str(error)) from None
    where = replace(where, since=parse_time(since) or where.since, until=parse_time(until) or where.until)

    async def find(engine: WholeEngine, _: Settings) -> EventsFound:
        return await engine.search_events(where, Page(limit, before), SEARCH_SECONDS)

    found = with_engine(config, find)
    if json:
        runs = {seq: [_run_line(run) for run in of_event] for seq, of_event in found.runs.items()}
        print_json([{**document(event), "runs": runs.get(event.seq, [])} for event in found.records])
    else:
        print_table(_EVENT_COLUMNS, [_event_row(event, found) for event in found.records], empty="no events")
    if found.cut_short:
        err.print(
            f"{found.examined} events were looked at in {SEARCH_SECONDS:g} s; go on with --before {found.resume}"
        )


_EVENT_COLUMNS = ("received", "id", "path", "state", "kind", "resource", "delivery", "reason")


def _event_row(event: EventRecord, found: EventsFound) -> tuple[object, ...]:
    runs = found.runs.get(event.seq, ())
    kinds = ", ".join(dict.fromkeys(run.kind for run in runs if run.kind))
    resources = ", ".join(dict.fromkeys(run.resource_key for run in runs if run.resource_key))
    times = (listed_time(event.received_at), shown_id(event.id))
    return (*times, event.path, event.state, kinds, resources, event.delivery_id, event.reason)


def _run_line(run: RunRecord) -> dict[str, Json]:
    names = ("id", "state", "processor", "config", "kind", "resource_key")
    return {name: document(getattr(run, name)) for name in names}


@app.command("show")
def show_event(event_id: EventId, json: AsJson = False, config: ConfigFile = None) -> None:
    """Show one event: headers and payload (secrets masked), its runs and their outcome."""

    async def find(engine: WholeEngine, _: Settings) -> EventDetail:
        return await engine.event(event_id)

    shown = event_document(with_engine(config, find))
    if json:
        print_json(shown)
        return
    for name in ("id", "path", "state", "reason", "received_at", "finished_at", "delivery_id", "replay_of"):
        if shown.get(name):
            out.print(f"[bold]{name:<12}[/] {shown[name]}", markup=True)
    out.print("[bold]headers[/]")
    for name, value in shown["headers"].items():
        out.print(f"  {name}: {value}", markup=False)
    out.print("[bold]payload[/]")
    print_json(shown["payload"])
    rows = [
        (
            run["id"],
            run["processor"],
            run["config"],
            run["resource_key"],
            run["state"],
            _part(run),
            run["detail"],
        )
        for run in shown["runs"]
    ]
    columns = ("run", "processor", "config", "resource key", "state", "this event", "detail")
    print_table(columns, rows, empty="no runs")


@app.command("why")
def why_event(event_id: EventId, json: AsJson = False, config: ConfigFile = None) -> None:
    """Explain an event: its runs with every attempt, step and write, and the reason of each decision."""

    async def find(engine: WholeEngine, _: Settings) -> tuple[EventDetail, list[RunDetail]]:
        detail = await engine.event(event_id)
        return detail, [await engine.run(run.id) for run in detail.runs]

    detail, runs = with_engine(config, find)
    if json:
        print_json({"event": event_document(detail), "runs": [run_document(run) for run in runs]})
        return
    record = detail.record
    out.print(
        f"[bold]event {record.id}[/] received {shown_time(record.received_at)} at {record.path}: {record.state}"
    )
    if record.reason:
        out.print(f"  {record.reason}", markup=False)
    for run in runs:
        explain_run(run, carried=run.record.id in detail.carried)


def explain_run(detail: RunDetail, *, carried: bool) -> None:
    """Print a run's story."""
    run = detail.record
    about = f"{run.processor}, {run.config}" + (f", resource {run.resource_key}" if run.resource_key else "")
    out.print(f"[bold]run {run.id}[/] ({about}): {run.state}")
    if run.detail:
        out.print(f"  {run.detail}", markup=False)
    if not carried:
        newest = f"the newest of its {run.event_count} events"
        out.print(f"  coalesced: the run used the payload of {run.event_id}, {newest}", markup=False)
    for attempt in detail.attempts:
        out.print(f"  attempt {attempt.number} at {shown_time(attempt.started_at)}: {attempt.outcome}")
        if attempt.detail:
            out.print(f"    {attempt.detail}", markup=False)
        for name, seconds, note in attempt.steps:
            out.print(f"    {name:<12} {seconds * 1000:8.1f} ms  {note}", markup=False)
        for warning in attempt.warnings:
            out.print(f"    warning: {warning}", markup=False)
    for write in detail.writes:
        why = f" ({write.reason})" if write.reason else ""
        out.print(f"  {shown_time(write.at)} {write.action} {write.ref}{why}", markup=False)


def _part(run: dict[str, object]) -> str:
    return "carried" if run["carried"] else f"coalesced into run {run['id']}"
