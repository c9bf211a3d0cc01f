"""The addresses of the console, and what its pages are made of."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tidegate.console.pages.assets import Assets
from tidegate.console.pages.deadletters import DeadLetterPages
from tidegate.console.pages.entities import EntityPages, ReadEntity
from tidegate.console.pages.events import EventPages
from tidegate.console.pages.names import KnownNames
from tidegate.console.pages.overview import OverviewPage, ReadOverview
from tidegate.console.pages.playground import MappingDryRuns, PlaygroundPages
from tidegate.console.pages.queries import QueryError
from tidegate.console.pages.rendering import Renderer
from tidegate.core.errors import NotFoundError, TidegateError, UnavailableError
from tidegate.core.ports import Clock, EngineOperations

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What the console shows. `mapping_text` reads the mapping that runs now; `catalog` reads an entity as the embedded catalog has it; None without one."""

    engine: EngineOperations
    clock: Clock
    name: str
    paused: Callable[[], dict[str, str]]
    reasons: Callable[[], Sequence[str]]
    replay: Callable[[str], Awaitable[str]]
    overview: ReadOverview
    dry_runs: MappingDryRuns
    mapping_text: Callable[[], str]
    catalog: ReadEntity | None = None
    signs_out: bool = False


def console_routes(parts: ConsoleParts) -> list[BaseRoute]:
    """The pages, to be mounted at the root of the admin listener's application."""
    assets = Assets.load()

    def shared() -> dict[str, Any]:
        return {
            "name": parts.name,
            "paused": parts.paused(),
            "reasons": list(parts.reasons()),
            "signs_out": parts.signs_out,
        }

    render = Renderer(assets, parts.clock, shared)
    names = KnownNames(parts.engine, parts.clock)
    events = EventPages(parts.engine, parts.clock, render, parts.replay, names)
    entities = EntityPages(parts.engine, render, parts.catalog)
    dead = DeadLetterPages(parts.engine, parts.clock, render)
    playground = PlaygroundPages(parts.engine, render, parts.dry_runs, parts.mapping_text)
    pages: list[tuple[str, Endpoint, str]] = [
        ("/console", OverviewPage(render, parts.overview).show, "GET"),
        ("/console/events", events.listing, "GET"),
        ("/console/events/{id}", events.one, "GET"),
        ("/console/events/{id}/replay", events.again, "POST"),
        ("/console/runs/{id:int}", events.of_run, "GET"),
        ("/console/entities", entities.listing, "GET"),
        ("/console/entities/{blueprint}/{identifier:path}", entities.one, "GET"),
        ("/console/dead-letters", dead.listing, "GET"),
        ("/console/dead-letters/{verb}", dead.mend, "POST"),
        ("/console/dead-letters/progress/{number:int}", dead.progress, "GET"),
        ("/console/playground", playground.page, "GET"),
        ("/console/playground/preview", playground.preview, "POST"),
        ("/console/playground/dry-run", playground.start, "POST"),
        ("/console/playground/dry-run/{number:int}", playground.progress, "GET"),
    ]

    async def nowhere(request: Request) -> Response:
        raise NotFoundError(f"the console has no page {request.url.path}")

    pages.append(("/console/{rest:path}", nowhere, "GET"))
    return [
        assets.route(),
        *(Route(path, _explained(render, endpoint), methods=[method]) for path, endpoint, method in pages),
    ]


def _explained(render: Renderer, endpoint: Endpoint) -> Endpoint:
    """An error that a person can do something about becomes a page that says so."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except NotFoundError as error:
            status, title, detail = 404, "Nothing here", str(error)
        except QueryError as error:
            status, title, detail = 422, "This cannot be asked for", str(error)
        except UnavailableError as error:
            status, title, detail = 503, "Not available now", str(error)
        except TidegateError as error:
            status, title, detail = 409, "This did not work", str(error)
        return await render.answer(request, "problem.html", {"title": title, "detail": detail}, status=status)

    return answered
