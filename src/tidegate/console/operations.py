"""The operations API: what became of every event, and how to mend what failed. JSON in, JSON out."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.console.answers import MAX_NUMBER, Text, json_response
from tidegate.console.documents import document, event_document, run_document
from tidegate.core.entities import EntityRef
from tidegate.core.errors import NotFoundError
from tidegate.core.inspection import EventFilter, Page, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.overviews import Overview
from tidegate.core.ports import EngineOperations

MAX_PAGE = 500
MAX_BATCH = 10_000


class DeadLetterRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters, and whether only to count them. At least one condition, or `all`."""

    ids: tuple[Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)], ...] = ()
    path: Text | None = None
    processor: Text | None = None
    kind: Text | None = None
    error: Text | None = None
    since: datetime | None = None
    until: datetime | None = None
    all: bool = False
    dry_run: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_BATCH)] = MAX_BATCH

    def where(self) -> RunFilter:
        """The filter. Raises msgspec.ValidationError if nothing narrows it and `all` is not set."""
        narrowed = (self.ids, self.path, self.processor, self.kind, self.error, self.since, self.until)
        if not any(narrowed) and not self.all:
            raise msgspec.ValidationError("name at least one condition, or set `all` to true")
        return RunFilter(
            ids=self.ids,
            state=RunState.DEAD,
            path=self.path,
            processor=self.processor,
            kind=self.kind,
            error=self.error,
            since=self.since,
            until=self.until,
        )


class Operations:
    """The routes under /api."""

    def __init__(
        self,
        engine: EngineOperations,
        paused: Callable[[], dict[str, str]],
        replay: Callable[[str], Awaitable[str]],
        overview: Callable[[], Awaitable[Overview]],
    ) -> None:
        self._engine = engine
        self._paused = paused
        self._replay = replay
        self._overview = overview

    def routes(self) -> list[Route]:
        return [
            Route("/api/status", self.status),
            Route("/api/overview", self.overview),
            Route("/api/events", self.events),
            Route("/api/events/{id}", self.event),
            Route("/api/events/{id}/replay", self.replay, methods=["POST"]),
            Route("/api/runs", self.runs),
            Route("/api/runs/{id:int}", self.run),
            Route("/api/writes/{blueprint}/{identifier:path}", self.writes),
            Route("/api/deadletters/redrive", self.redrive, methods=["POST"]),
            Route("/api/deadletters/discard", self.discard, methods=["POST"]),
        ]

    async def status(self, _: Request) -> Response:
        backlog = await self._engine.backlog()
        return json_response({"backlog": document(backlog), "paused": self._paused()})

    async def overview(self, _: Request) -> Response:
        return json_response(document(await self._overview()))

    async def events(self, request: Request) -> Response:
        query = request.query_params
        where = EventFilter(
            path=_text(query, "path"),
            state=_choice(EventState, query.get("state"), "state"),
            delivery_id=_text(query, "delivery_id"),
            processor=_text(query, "processor"),
            kind=_text(query, "kind"),
            resource_key=_text(query, "resource_key"),
            since=_time(query.get("since"), "since"),
            until=_time(query.get("until"), "until"),
            text=_text(query, "text"),
        )
        return json_response({"events": document(await self._engine.find_events(where, _page(request)))})

    async def event(self, request: Request) -> Response:
        return json_response(event_document(await self._engine.event(request.path_params["id"])))

    async def replay(self, request: Request) -> Response:
        return json_response({"id": await self._replay(request.path_params["id"])}, 202)

    async def runs(self, request: Request) -> Response:
        query = request.query_params
        where = RunFilter(
            state=_choice(RunState, query.get("state"), "state"),
            path=_text(query, "path"),
            processor=_text(query, "processor"),
            kind=_text(query, "kind"),
            error=_text(query, "error"),
            since=_time(query.get("since"), "since"),
            until=_time(query.get("until"), "until"),
        )
        return json_response({"runs": document(await self._engine.find_runs(where, _page(request)))})

    async def run(self, request: Request) -> Response:
        number: int = request.path_params["id"]
        if number > MAX_NUMBER:
            raise NotFoundError(f"there is no run {number}")
        return json_response(run_document(await self._engine.run(number)))

    async def writes(self, request: Request) -> Response:
        ref = EntityRef(request.path_params["blueprint"], request.path_params["identifier"])
        return json_response({"writes": document(await self._engine.writes(ref, _page(request)))})

    async def redrive(self, request: Request) -> Response:
        return await self._mend(request, self._engine.redrive)

    async def discard(self, request: Request) -> Response:
        return await self._mend(request, self._engine.discard)

    async def _mend(self, request: Request, verb: Callable[[RunFilter, int], Awaitable[int]]) -> Response:
        wanted = msgspec.json.decode(await request.body() or b"{}", type=DeadLetterRequest)
        where = wanted.where()
        if wanted.dry_run:
            found = await self._engine.find_runs(where, Page(limit=wanted.limit))
            return json_response({"count": len(found), "dry_run": True})
        return json_response({"count": await verb(where, wanted.limit), "dry_run": False})


def _page(request: Request) -> Page:
    limit = _number(request.query_params.get("limit"), "limit", 50)
    before = request.query_params.get("before")
    return Page(
        limit=min(max(limit, 1), MAX_PAGE), before=None if before is None else _number(before, "before", 0)
    )


def _number(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= MAX_NUMBER):
        raise msgspec.ValidationError(f"`{name}` must be a whole number of at most {MAX_NUMBER}")
    return int(text)


def _text(query: QueryParams, name: str) -> str | None:
    text = query.get(name)
    return None if text is None else msgspec.convert(text, Text)


def _time(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise msgspec.ValidationError(f"`{name}` must be an ISO 8601 time, got {text!r}") from None
    return time if time.tzinfo else time.astimezone()


StateT = TypeVar("StateT", EventState, RunState)


def _choice(kind: type[StateT], text: str | None, name: str) -> StateT | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise msgspec.ValidationError(f"`{name}` must be one of {', '.join(kind)}, got {text!r}") from None
