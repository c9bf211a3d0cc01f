"""Builds the Starlette application of the admin listener: for operators, on loopback unless a token guards it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from tidegate.console.answers import json_response
from tidegate.console.guard import Guard
from tidegate.console.login import Sessions
from tidegate.console.mapping_routes import MappingDryRuns, MappingRoutes
from tidegate.console.operations import Operations
from tidegate.core.errors import ConfigurationError, EngineUnavailableError, NotFoundError
from tidegate.core.inspection import Backlog
from tidegate.core.overviews import Overview
from tidegate.core.ports import Clock, EngineOperations


class MetricsPage(Protocol):
    """Renders all metrics."""

    @property
    def content_type(self) -> str: ...

    def exposition(self, backlog: Backlog) -> bytes: ...


@dataclass(frozen=True, slots=True)
class AdminParts:
    """What the admin listener shows. `reasons` says why the service is not ready; none if it is."""

    engine: EngineOperations
    metrics: MetricsPage
    reasons: Callable[[], Sequence[str]]
    paused: Callable[[], dict[str, str]]
    replay: Callable[[str], Awaitable[str]]
    overview: Callable[[], Awaitable[Overview]]
    dry_runs: MappingDryRuns
    clock: Clock
    routes: Sequence[BaseRoute] = ()
    token: str = field(default="", repr=False)


def admin_app(parts: AdminParts) -> ASGIApp:
    """The application, guarded by the token if there is one."""
    operations = Operations(parts.engine, parts.paused, parts.replay, parts.overview)
    sessions = Sessions(parts.token, parts.clock)

    async def healthz(_: Request) -> Response:
        return json_response({"status": "ok"})

    async def readyz(_: Request) -> Response:
        reasons = list(parts.reasons())
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons, "paused": parts.paused()}
        return json_response(body, 503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        page = parts.metrics.exposition(await parts.engine.backlog())
        return Response(page, media_type=parts.metrics.content_type)

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *operations.routes(),
            *MappingRoutes(parts.dry_runs).routes(),
            *sessions.routes(),
            *parts.routes,
        ],
        exception_handlers={
            NotFoundError: _not_found,
            ConfigurationError: _invalid,
            EngineUnavailableError: _unavailable,
            msgspec.ValidationError: _invalid,
            msgspec.DecodeError: _invalid,
            HTTPException: _no_such_request,
        },
    )
    return Guard(app, sessions)


async def _not_found(_: Request, error: Exception) -> Response:
    return json_response({"error": "not_found", "detail": str(error)}, 404)


async def _invalid(_: Request, error: Exception) -> Response:
    return json_response({"error": "invalid_request", "detail": str(error)}, 422)


async def _no_such_request(_: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    word = error.detail.lower().replace(" ", "_")
    body = {"error": word, "detail": "see docs/reference/operations-api.md for what there is"}
    return json_response(body, error.status_code, error.headers)


async def _unavailable(_: Request, error: Exception) -> Response:
    return json_response({"error": "unavailable", "detail": str(error)}, 503)
