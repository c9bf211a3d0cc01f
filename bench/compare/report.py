"""Numbers into tables: medians with their range over the rounds, ratios within a round, bars and whether they hold."""

import math
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.compare.workloads import Workload

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "performance.md"
IMAGE = ROOT / "docs" / "images" / "performance.png"
BEGIN, END = "<!-- measured: make bench -->", "<!-- end of measured -->"

COLUMNS = {
    "events_per_second": "events/s, end to end",
    "cpu_ms_per_event": "CPU ms an event",
    "accepted_per_second": "accepted/s",
    "answer_p50_ms": "answer p50 ms",
    "answer_p99_ms": "answer p99 ms",
    "fresh_p50_ms": "fresh after p50 ms",
    "fresh_p99_ms": "fresh after p99 ms",
    "peak_mib": "peak MiB",
    "fetches_per_event": "fetches an event",
    "writes_per_event": "writes an event",
    "requests_per_event": "requests to Port an event",
}
_COST = ("events_per_second", "cpu_ms_per_event")
_SAVED = ("fetches_per_event", "writes_per_event", "requests_per_event")
_FRESH = ("fresh_p50_ms", "fresh_p99_ms", "answer_p50_ms", "answer_p99_ms", "cpu_ms_per_event")
OF_WORKLOAD: dict[str, Sequence[str]] = {
    "distinct": (*_COST, "accepted_per_second", "answer_p50_ms", "answer_p99_ms", "fresh_p99_ms", "peak_mib"),
    "hot": (*_COST, *_SAVED),
    "burst": (*_COST, "fresh_p99_ms", *_SAVED),
    "slow": (*_COST, "peak_mib"),
    "fresh10": _FRESH,
    "fresh200": _FRESH,
}
"""What is told of each workload; of all others everything."""
IDLE = ("no_op", "uvicorn")
"""Contenders that only answer."""
OF_ANSWERS = ("accepted_per_second", "answer_p50_ms", "answer_p99_ms", "cpu_ms_per_event")


@dataclass
class Results:
    """All that was measured: contender, workload, metric, and a value for each round."""

    conditions: dict[str, str]
    titles: dict[str, str]
    values: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def add(self, contender: str, workload: str, measured: dict[str, float]) -> None:
        of_workload = self.values.setdefault(contender, {}).setdefault(workload, {})
        for metric, value in measured.items():
            of_workload.setdefault(metric, []).append(value)

    def rounds(self, contender: str, workload: str, metric: str) -> list[float]:
        return self.values.get(contender, {}).get(workload, {}).get(metric, [])

    def ratios(self, metric: str, workload: str, contender: str, *, of: str = "tidegate") -> list[float]:
        """Of the first to the second, round by round."""
        pairs = zip(self.rounds(of, workload, metric), self.rounds(contender, workload, metric), strict=False)
        return [ours / theirs for ours, theirs in pairs]


@dataclass(frozen=True)
class Grid:
    title: str
    head: list[str]
    rows: list[list[str]]


def shown(value: float) -> str:
    if math.isnan(value):
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median, and the smallest and largest in brackets if they differ."""
    if not values:
        return "–"
    middle, low, high = shown(statistics.median(values)), shown(min(values)), shown(max(values))
    return middle if low == high else f"{middle} ({low}–{high})"


def grids(results: Results, workloads: Sequence[Workload]) -> Iterator[Grid]:
    yield _bars(results)
    yield _ratios(results, workloads)
    yield _ingest_ratios(results)
    for workload in workloads:
        yield _of_workload(
            results, workload.name, workload.title, OF_WORKLOAD.get(workload.name, tuple(COLUMNS))
        )
        if workload.name == "distinct":
            yield _of_workload(results, "half", "webhooks at half the rate that was accepted", OF_ANSWERS)
    backlogs = [name for name in results.values.get("tidegate", {}) if name.startswith("backlog")]
    if backlogs:
        columns = ("cpu_ms_per_event", "events_per_second", "peak_mib", "sample")
        rows = [
            [f"{int(name[7:]):,}", *(spread(results.rounds("tidegate", name, column)) for column in columns)]
            for name in backlogs
        ]
        yield Grid(
            "Tidegate drains a backlog, and routes all of it meanwhile",
            ["backlog", "CPU ms an event", "events/s", "peak MiB", "events drained"],
            rows,
        )


def _of_workload(results: Results, name: str, title: str, columns: Sequence[str]) -> Grid:
    rows = [
        [shown_as, *(spread(results.rounds(contender, name, column)) for column in columns)]
        for contender, shown_as in results.titles.items()
        if results.values.get(contender, {}).get(name)
    ]
    return Grid(title, ["", *(COLUMNS[column] for column in columns)], rows)


def _ratios(results: Results, workloads: Sequence[Workload]) -> Grid:
    """Above 1 is better, for both."""
    rows: list[list[str]] = []
    for contender, title in results.titles.items():
        if contender in ("tidegate", "ingress", *IDLE):
            continue
        for workload in workloads:
            rates = results.ratios("events_per_second", workload.name, contender)
            costs = [1 / ratio for ratio in results.ratios("cpu_ms_per_event", workload.name, contender)]
            if rates and workload.per_second is None:
                rows.append([title, workload.title, spread(rates), spread(costs)])
    head = ["Tidegate to …", "workload", "events/s, times", "events per CPU second, times"]
    return Grid("Ratios", head, rows)


def _ingest_ratios(results: Results) -> Grid:
    """Above 1 is better, for both."""
    rows: list[list[str]] = []
    for contender in IDLE:
        if rates := results.ratios("accepted_per_second", "distinct", contender, of="ingress"):
            costs = results.ratios("cpu_ms_per_event", "distinct", contender, of="ingress")
            title = results.titles[contender]
            rows.append([title, spread(rates), spread([1 / ratio for ratio in costs])])
    head = ["Tidegate's ingress alone to …", "requests/s, times", "requests per CPU second, times"]
    return Grid("Durable ingest, to servers that do nothing", head, rows)


def _bars(results: Results) -> Grid:
    """What this project demands of itself."""

    def ours(workload: str, metric: str) -> list[float]:
        return results.rounds("tidegate", workload, metric)

    costs = {
        name: [1 / ratio for ratio in results.ratios("cpu_ms_per_event", "distinct", name)]
        for name in ("ocean", "handwritten")
    }
    growth = [
        large / small
        for large, small in zip(
            ours("backlog1000000", "cpu_ms_per_event"), ours("backlog6000", "cpu_ms_per_event"), strict=False
        )
    ]
    demands: list[tuple[str, float, bool, list[float]]] = [
        ("events per CPU second, to port-ocean", 200, True, costs["ocean"]),
        ("events/s, to port-ocean", 150, True, results.ratios("events_per_second", "distinct", "ocean")),
        ("events per CPU second, to FastAPI + Redis + arq", 3, True, costs["handwritten"]),
        (
            "events/s, to FastAPI + Redis + arq",
            3,
            True,
            results.ratios("events_per_second", "distinct", "handwritten"),
        ),
        ("events/s, to the bare loop", 0.6, True, results.ratios("events_per_second", "distinct", "bare")),
        (
            "durable ingest alone, to the no-op server, requests/s",
            0.6,
            True,
            results.ratios("accepted_per_second", "distinct", "no_op", of="ingress"),
        ),
        ("answer p99 at half the accepted rate, ms", 50, False, ours("half", "answer_p99_ms")),
        ("fresh after p99 at 200 events/s, ms", 100, False, ours("fresh200", "fresh_p99_ms")),
        ("memory with a backlog of 1M, MiB", 200, False, ours("backlog1000000", "peak_mib")),
        ("CPU an event of a backlog of 1M, to one of 6k", 1.3, False, growth),
        ("start to the first 202, s", 1.5, False, ours("start", "start_seconds")),
    ]
    rows = [
        [what, f"{'≥' if more else '≤'} {shown(bar)}", spread(values), _holds(values, bar, more=more)]
        for what, bar, more, values in demands
    ]
    return Grid("Bars", ["", "bar", "measured", "holds"], rows)


def _holds(values: Sequence[float], bar: float, *, more: bool) -> str:
    if not values:
        return "not measured"
    median = statistics.median(values)
    return "yes" if (median >= bar if more else median <= bar) else "no"


def console(results: Results, workloads: Sequence[Workload]) -> str:
    output = StringIO()
    printer = Console(file=output, width=180)
    printer.print(_conditions(results))
    for grid in grids(results, workloads):
        if not grid.rows:
            continue
        table = Table(title=grid.title, title_justify="left")
        for number, name in enumerate(grid.head):
            table.add_column(name, justify="left" if number == 0 else "right")
        for row in grid.rows:
            table.add_row(*row)
        printer.print(table)
    return output.getvalue()


def markdown(results: Results, workloads: Sequence[Workload]) -> str:
    parts = [_conditions(results)]
    for grid in grids(results, workloads):
        if grid.rows:
            lines = [grid.head, ["---"] * len(grid.head), *grid.rows]
            table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
            parts.append(f"**{grid.title[:1].upper()}{grid.title[1:]}**\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _conditions(results: Results) -> str:
    known = results.conditions
    return (
        f"Measured on {known['date']}: {known['machine']}, Python {known['python']}, {known['rounds']} rounds "
        f"({known['size']} size), load {known['load']}. Medians, with the smallest and largest in brackets."
    )


def write_into_docs(results: Results, workloads: Sequence[Workload], chart: Path) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{markdown(results, workloads)}\n{END}{after}")
    if chart.exists():
        shutil.copy(chart, IMAGE)
