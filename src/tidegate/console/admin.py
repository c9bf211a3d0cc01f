"""Builds the Starlette application of the admin listener: for operators, on loopback unless a token guards it."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.console.operations import Operations, json_response
from tidegate.core.errors import EngineUnavailableError, NotFoundError
from tidegate.core.inspection import Backlog
from tidegate.core.ports import EngineOperations

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


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
    routes: Sequence[BaseRoute] = ()
    token: str = ""


def admin_app(parts: AdminParts) -> ASGIApp:
    """The application, guarded by the token if there is one."""
    operations = Operations(parts.engine, parts.paused, parts.replay)

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
            *parts.routes,
        ],
        exception_handlers={
            NotFoundError: _not_found,
            EngineUnavailableError: _unavailable,
            msgspec.ValidationError: _invalid,
            msgspec.DecodeError: _invalid,
        },
    )
    return _Guard(app, parts.token)


async def _not_found(_: Request, error: Exception) -> Response:
    return json_response({"error": "not_found", "detail": str(error)}, 404)


async def _invalid(_: Request, error: Exception) -> Response:
    return json_response({"error": "invalid_request", "detail": str(error)}, 422)


async def _unavailable(_: Request, error: Exception) -> Response:
    return json_response({"error": "unavailable", "detail": str(error)}, 503)


class _Guard:
    """Asks for the bearer token, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *SECURITY_HEADERS]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
                message = {**message, "headers": headers}
            await send(message)

        if self._token and scope["path"] not in OPEN_PATHS and not self._admits(scope):
            detail = "send the token of TIDEGATE__ADMIN__TOKEN as `Authorization: Bearer …`"
            answer = json_response({"error": "unauthorized", "detail": detail}, 401)
            await answer(scope, receive, send_guarded)  # pyright: ignore[reportArgumentType]
            return
        await self._app(scope, receive, send_guarded)  # pyright: ignore[reportArgumentType]

    def _admits(self, scope: Scope) -> bool:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, token = sent.partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
