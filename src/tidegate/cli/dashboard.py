"""The overview on a terminal: what the console's first page shows, in as many columns and lines as there are."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tidegate.cli.sparklines import sparkline
from tidegate.console.pages.humane import age_text, ago_text, count_text, duration_text, rate_text
from tidegate.core.overviews import Overview, Timing
from tidegate.core.samples import Stage

WIDE = 100
"""From so many columns on, tables stand beside each other."""

SHOWN_KINDS = 8
SHOWN_ERRORS = 6
SHOWN_PROCESSES = 8
MAX_SPARKS = 120

_BAD = "bold red"
_DIM = "dim"


class Dashboard:
    """An overview, rendered anew for each size of the terminal.

    With a `hint`, which is its last line, it keeps to the height of the terminal.
    """

    def __init__(self, overview: Overview, title: str, hint: str = "") -> None:
        self._overview = overview
        self._title = title
        self._hint = hint

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        shown = list(self._sections(width))
        if self._hint:
            shown = _fitting(console, options, shown, options.max_height - 2)
        yield from shown
        if self._hint:
            yield Text("")
            yield Text(self._hint, _DIM, no_wrap=True, overflow="ellipsis")

    def _sections(self, width: int) -> Iterable[RenderableType]:
        """The most important first: what does not fit is left out from the end."""
        overview = self._overview
        yield _heading(overview, self._title, width)
        yield from _paused(overview)
        yield Group(Text(""), _pipeline(overview, width), _backlog(overview))
        yield Group(Text(""), _trends(overview, width))
        freshness, processes = _freshness(overview), _processes(overview)
        if freshness is not None and processes is not None and width >= WIDE:
            freshness, processes = _beside([freshness, processes]), None
        for table in (freshness, _errors(overview, width), processes, _steps(overview)):
            if table is not None:
                yield Group(Text(""), table)


def _fitting(
    console: Console, options: ConsoleOptions, sections: Sequence[RenderableType], height: int
) -> list[RenderableType]:
    shown: list[RenderableType] = []
    left = height
    for section in sections:
        lines = len(console.render_lines(section, options.update(height=None), pad=False))
        if lines > left and shown:
            continue  # a smaller one may fit
        shown.append(section)
        left -= lines
    return shown


def _heading(overview: Overview, title: str, width: int) -> Text:
    alive = sum(process.state == "alive" for process in overview.processes)
    silent = sum(process.state == "silent" for process in overview.processes)
    line = Text("tidegate ", "bold")
    at = overview.at.astimezone().strftime("%H:%M:%S")
    state = f"{alive} processes" if alive != 1 else "1 process"
    room = width - len(f"tidegate  · {state} · {at}") - (len(f", {silent} silent") if silent else 0)
    line.append(title if len(title) <= room else f"…{title[-max(room - 1, 1) :]}", _DIM)
    line.append(" · ", _DIM).append(state, "" if alive else _BAD)
    if silent:
        line.append(f", {silent} silent", _BAD)
    return line.append(f" · {at}", _DIM)


def _paused(overview: Overview) -> Iterable[RenderableType]:
    for pause in overview.paused:
        line = Text(f"paused: {pause.name}", _BAD, overflow="ellipsis", no_wrap=True)
        yield line.append(f"  {pause.reason}", "red")


def _pipeline(overview: Overview, width: int) -> Table:
    """From the webhook to the catalog: what passes a second, and how long it takes."""
    received, written = overview.rate(Stage.RECEIVED, "accepted"), overview.rate(Stage.WRITTEN)
    stations = (
        ("received", received, _p99(overview, "commit")),
        ("routed", overview.rate(Stage.ROUTED), _p99(overview, "routing")),
        ("fetched", _per_second(overview, "fetch"), _p99(overview, "fetch")),
        ("mapped", _per_second(overview, "map"), _p99(overview, "map")),
        ("written", written, _p99(overview, "target")),
    )
    table = Table.grid(expand=False, padding=(0, 1 if width < 72 else 2 if width < WIDE else 4))
    for _ in stations:
        table.add_column(justify="left", no_wrap=True)
    names = [name if index == 0 else f"→ {name}" for index, (name, *_) in enumerate(stations)]
    table.add_row(*(Text(name, "bold") for name in names))
    table.add_row(
        *(Text(_indented(index, rate_text(rate)), "cyan") for index, (_, rate, _) in enumerate(stations))
    )
    table.add_row(*(Text(_indented(index, f"p99 {p99}"), _DIM) for index, (*_, p99) in enumerate(stations)))
    return table


def _indented(index: int, text: str) -> str:
    return text if index == 0 else f"  {text}"


def _backlog(overview: Overview) -> Text:
    backlog = overview.backlog
    waiting = backlog.queued_events + backlog.ready_runs + backlog.held_runs
    line = Text(f"{count_text(waiting)} waiting, {count_text(backlog.claimed_runs)} in flight")
    if backlog.unfinished:
        line.append(
            f", the oldest {age_text(backlog.oldest_seconds)}", _BAD if backlog.oldest_seconds > 60 else ""
        )
    line.append(", ").append(
        f"{count_text(backlog.dead_runs)} dead letters", _BAD if backlog.dead_runs else _DIM
    )
    parts = (
        ("duplicates", overview.rate(Stage.RECEIVED, "duplicate")),
        ("refused", _refused(overview)),
        ("coalesced", overview.rate(Stage.COALESCED)),
        ("failing", overview.rate(Stage.SETTLED, "retry", "dead", "rejected")),
    )
    for name, rate in parts:
        if rate:
            line.append(f"; {rate_text(rate)} {name}", _BAD if name in ("refused", "failing") else _DIM)
    return line


def _trends(overview: Overview, width: int) -> Table:
    """An hour of the numbers that matter."""
    series = overview.series
    rows: tuple[tuple[str, Sequence[float | None], str, bool], ...] = (
        ("received", series.received, _last_rate(series.received), False),
        ("written", series.written, _last_rate(series.written), False),
        ("failed", series.failed, _last_rate(series.failed), any(series.failed[-2:])),
        ("freshness p99", series.freshness_p99_seconds, _last_seconds(series.freshness_p99_seconds), False),
        ("unfinished", series.unfinished, _last_count(series.unfinished), False),
        ("dead letters", series.dead, _last_count(series.dead), bool(overview.backlog.dead_runs)),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    sparks = min(max(width - 30, 10), MAX_SPARKS)
    table.add_row(Text("the last hour", "bold"), "", "")
    for name, values, now, bad in rows:
        style = "red" if bad else "cyan"
        table.add_row(name, Text(sparkline(values, sparks), style), Text(now, style))
    return table


def _freshness(overview: Overview) -> Table | None:
    if not overview.freshness:
        return None
    table = _table("freshness", "p50", "p99", "writes")
    for timing in overview.freshness[: SHOWN_KINDS + 1]:
        table.add_row(timing.kind or Text("all kinds", _DIM), *_numbers(timing))
    return table


def _steps(overview: Overview) -> Table | None:
    steps = [timing for timing in overview.timings if not timing.kind]
    if not steps:
        return None
    order = (
        "commit",
        "routing",
        "load",
        "authenticate",
        "validate",
        "fetch",
        "map",
        "plan",
        "write",
        "target",
    )
    steps.sort(key=lambda timing: order.index(timing.what) if timing.what in order else len(order))
    table = _table("step", "p50", "p99", "each second")
    for timing in steps:
        table.add_row(timing.what, *_numbers(timing))
    return table


def _errors(overview: Overview, width: int) -> Table | None:
    if not overview.errors:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("errors of the last hour", ratio=1, overflow="fold")
    table.add_column("at", no_wrap=True)
    if width >= WIDE:
        table.add_column("of", no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    for line in overview.errors[:SHOWN_ERRORS]:
        of = [" ".join(part for part in (line.processor, line.kind) if part)] if width >= WIDE else []
        style = "red" if line.recent else ""
        cells = (line.cause, line.stage, *of, count_text(line.count), ago_text(line.last_at, overview.at))
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _processes(overview: Overview) -> Table | None:
    if not overview.processes:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("process", "on", "state", "in flight", "up", "seen"):
        table.add_column(
            name, justify="right" if name in ("in flight", "up", "seen") else "left", no_wrap=True
        )
    for process in overview.processes[:SHOWN_PROCESSES]:
        style = {"alive": "", "left": _DIM}.get(process.state, _BAD)
        up = age_text((overview.at - process.started_at).total_seconds())
        seen = ago_text(process.seen_at, overview.at)
        cells = (
            process.role,
            f"{process.host} {process.pid}",
            process.state,
            str(process.in_flight),
            up,
            seen,
        )
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="ellipsis", max_width=32, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _beside(tables: Sequence[Table]) -> Table:
    grid = Table.grid(padding=(0, 6))
    grid.add_row(*tables)
    return grid


def _numbers(timing: Timing) -> tuple[str, str, str]:
    return duration_text(timing.p50_seconds), duration_text(timing.p99_seconds), rate_text(timing.per_second)


def _timing(overview: Overview, what: str) -> Timing | None:
    return next((timing for timing in overview.timings if timing.what == what and not timing.kind), None)


def _p99(overview: Overview, what: str) -> str:
    timing = _timing(overview, what)
    return duration_text(timing.p99_seconds if timing else None)


def _per_second(overview: Overview, what: str) -> float:
    timing = _timing(overview, what)
    return timing.per_second if timing else 0.0


def _refused(overview: Overview) -> float:
    return overview.rate(Stage.RECEIVED) - overview.rate(Stage.RECEIVED, "accepted", "duplicate")


def _last_rate(values: Sequence[float]) -> str:
    return rate_text(values[-1]) if values else ""


def _last_seconds(values: Sequence[float | None]) -> str:
    return duration_text(values[-1]) if values else ""


def _last_count(values: Sequence[int | None]) -> str:
    return "–" if not values or values[-1] is None else count_text(values[-1])
