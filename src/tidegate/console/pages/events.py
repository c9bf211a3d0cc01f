"""Events: search them, and see what became of one, step by step."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegate.console.documents import event_document
from tidegate.console.pages.causes import event_advice
from tidegate.console.pages.names import KnownNames
from tidegate.console.pages.queries import EventQuery
from tidegate.console.pages.rendering import Renderer
from tidegate.console.pages.timeline import timeline_of
from tidegate.core.errors import NotFoundError
from tidegate.core.inspection import EventDetail, EventFilter, Page, RunDetail
from tidegate.core.lifecycle import LIVE_EVENT_STATES, EventState
from tidegate.core.ports import Clock, EngineOperations

PAGE_EVENTS = 50
SEARCH_SECONDS = 0.15
HINT_SECONDS = 0.02
MAX_SHOWN_BODY = 1024 * 1024
"""Larger payloads are not parsed: the service has better things to do."""

SPANS = (("15m", "15 min"), ("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days"))


@dataclass(frozen=True, slots=True)
class Hint:
    """A better way to look for what was typed."""

    text: str
    address: str


@dataclass(frozen=True, slots=True)
class EventPages:
    """The list of events, and the page of one."""

    engine: EngineOperations
    clock: Clock
    render: Renderer
    replay: Callable[[str], Awaitable[str]]
    names: KnownNames

    async def listing(self, request: Request) -> Response:
        query = EventQuery.asked(request.query_params)
        where = query.where(self.clock.now())
        before = request.query_params.get("before", "")
        page = Page(PAGE_EVENTS, int(before) if before.isdecimal() else None)
        found, names = await asyncio.gather(
            self.engine.search_events(where, page, SEARCH_SECONDS), self.names.current()
        )
        values = {
            "query": query,
            "found": found,
            "before": page.before,
            "states": [state.value for state in EventState],
            "spans": SPANS,
            "names": names,
            "hints": await self._hints(query) if page.before is None else [],
        }
        return await self.render.answer(request, "events.html", values, fragment="list")

    async def _hints(self, query: EventQuery) -> list[Hint]:
        """What was typed may be an id: that is found at once, however many events there are."""
        text = query.free_text
        if not text or " " in text:
            return []
        hints: list[Hint] = []
        if len(text) >= 8:
            try:
                event = (await self.engine.event(text)).record
            except NotFoundError:
                pass
            else:
                hints.append(Hint(f"Open the event {event.id}", f"/console/events/{event.id}"))
        for name, where, changes in (
            ("delivery id", EventFilter(delivery_id=text), {"delivery_id": text}),
            ("resource", EventFilter(resource_key=text), {"resource_key": text}),
        ):
            found = await self.engine.search_events(where, Page(1), HINT_SECONDS)
            if found.records:
                address = f"/console/events?{query.address(text='', **changes)}"
                hints.append(Hint(f"Show all events of the {name} {text}", address))
        return hints

    async def one(self, request: Request) -> Response:
        detail = await self.engine.event(request.path_params["id"])
        runs = await asyncio.gather(*(self._run(run.id) for run in detail.runs))
        shown = [run for run in runs if run is not None]
        values = {
            "event": detail.record,
            "trace_id": detail.trace_id,
            "shown": _shown(detail),
            "timeline": timeline_of(detail, shown, self.clock.now()),
            "advice": event_advice(detail.record.state, detail.record.reason),
            "live": detail.record.state in LIVE_EVENT_STATES,
        }
        return await self.render.answer(request, "event.html", values, fragment="story")

    async def _run(self, run_id: int) -> RunDetail | None:
        try:
            return await self.engine.run(run_id)
        except NotFoundError:  # pruned since the event was read
            return None

    async def of_run(self, request: Request) -> Response:
        run = (await self.engine.run(request.path_params["id"])).record
        if not run.event_id:
            raise NotFoundError(f"the events of run {run.id} are not stored any more")
        return RedirectResponse(f"/console/events/{run.event_id}#run-{run.id}", 303)

    async def again(self, request: Request) -> Response:
        """Process the event once more, as a new event; the answer leads to it."""
        new = await self.replay(request.path_params["id"])
        return RedirectResponse(f"/console/events/{new}", 303)


def _shown(detail: EventDetail) -> dict[str, object]:
    """Headers and payload with secrets masked; a payload that is too large is left out."""
    if len(detail.body) > MAX_SHOWN_BODY:
        note = (
            f"the payload has {len(detail.body):,} bytes: `tidegate events show {detail.record.id}` prints it"
        )
        return {"headers": {}, "payload": None, "note": note}
    document = event_document(detail)
    return {"headers": document["headers"], "payload": document["payload"], "note": ""}
