"""The first page: how the pipeline stands, as a picture with the numbers of now and of the last hour."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from tidegate.console.pages import humane
from tidegate.console.pages.rendering import Renderer
from tidegate.core.overviews import Overview, Series, Timing
from tidegate.core.runs import StepName
from tidegate.core.samples import Stage

ReadOverview: TypeAlias = Callable[[], Awaitable[Overview]]

SHOWN_ERRORS = 12
SHOWN_KINDS = 20
SHOWN_PROCESSES = 12


@dataclass(frozen=True, slots=True)
class Station:
    """A part of the picture: what passes through it a second, and what waits in front of it."""

    name: str
    per_second: float
    facts: tuple[tuple[str, str], ...]
    address: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Trend:
    """A line of the last hour, and its newest value."""

    name: str
    now: str
    peak: str
    values: tuple[float | None, ...]
    bad: bool = False


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Renders the overview."""

    render: Renderer
    read: ReadOverview

    async def show(self, request: Request) -> Response:
        overview = await self.read()
        values = {
            "overview": overview,
            "stations": stations_of(overview),
            "trends": trends_of(overview.series),
            "steps": steps_of(overview),
            "freshness": overview.freshness[:SHOWN_KINDS],
            "errors": overview.errors[:SHOWN_ERRORS],
            "processes": overview.processes[:SHOWN_PROCESSES],
            "is_quiet": not overview.rates and not overview.backlog.unfinished,
        }
        return await self.render.answer(request, "overview.html", values, fragment="board")


def stations_of(overview: Overview) -> list[Station]:
    """The pipeline from the left to the right."""
    backlog = overview.backlog
    accepted = overview.rate(Stage.RECEIVED, "accepted")
    refused = overview.rate(Stage.RECEIVED) - accepted - overview.rate(Stage.RECEIVED, "duplicate")
    completed = overview.rate(Stage.SETTLED, "completed")
    failing = overview.rate(Stage.SETTLED, "retry", "dead", "rejected")
    return [
        Station(
            "Received",
            accepted,
            (
                ("duplicates", humane.rate_text(overview.rate(Stage.RECEIVED, "duplicate"))),
                ("refused", humane.rate_text(refused)),
            ),
            "/console/events",
            alarm=refused > 0,
        ),
        Station(
            "Routed",
            overview.rate(Stage.ROUTED),
            (
                ("waiting", humane.count_text(backlog.queued_events)),
                ("ignored", humane.rate_text(overview.rate(Stage.ROUTED, "ignored"))),
            ),
            "/console/events?state=queued",
        ),
        Station(
            "Coalesced",
            overview.rate(Stage.COALESCED),
            (
                ("runs waiting", humane.count_text(backlog.ready_runs)),
                ("held", humane.count_text(backlog.held_runs)),
            ),
            "/console/events?state=coalesced",
        ),
        Station(
            "Processed",
            completed,
            (("in flight", humane.count_text(backlog.claimed_runs)), ("failing", humane.rate_text(failing))),
            "/console#errors-title" if failing else "/console/events?state=routed",
            alarm=failing > 0,
        ),
        Station(
            "Written",
            overview.rate(Stage.WRITTEN, "upsert", "delete"),
            (
                ("deletes", humane.rate_text(overview.rate(Stage.WRITTEN, "delete"))),
                ("refused", humane.rate_text(overview.rate(Stage.WRITTEN, "refused"))),
            ),
            "/console/entities",
            alarm=overview.rate(Stage.WRITTEN, "refused") > 0,
        ),
    ]


def steps_of(overview: Overview) -> list[Timing]:
    """Timings in the order in which an event passes the steps; those that no step has come last."""
    known = {timing.what: timing for timing in overview.timings if not timing.kind}
    order = ["commit", "routing", *StepName, "target"]
    return [known[name] for name in order if name in known] + [
        timing for name, timing in known.items() if name not in order
    ]


def trends_of(series: Series) -> list[Trend]:
    """The last hour."""
    return [
        _trend("Received", series.received, humane.rate_text),
        _trend("Written", series.written, humane.rate_text),
        _trend("Failed", series.failed, humane.rate_text, bad=True),
        _trend("Freshness p99", series.freshness_p99_seconds, humane.duration_text),
        _trend("Unfinished", series.unfinished, _whole),
        _trend("Dead", series.dead, _whole, bad=True),
    ]


def _trend(
    name: str,
    values: tuple[float | int | None, ...],
    text: Callable[[float], str],
    *,
    bad: bool = False,
) -> Trend:
    known = [value for value in values if value is not None]
    now = "–" if not values or values[-1] is None else text(values[-1])
    peak = max(known, default=0)
    return Trend(name, now, text(peak), values, bad=bad and peak > 0)


def _whole(number: float) -> str:
    return humane.count_text(round(number))
