"""Builds the Starlette application of the admin listener: for operators, on loopback unless a token guards it."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.console.operations import Operations, json_response
from tidegate.core.errors import EngineUnavailableError, NotFoundError
from tidegate.core.inspection import Backlog
from tidegate.core.ports import EngineOperations

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
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
    """Asks for the token, keeps other sites' pages out, and adds the security headers to every answer.

    A page of another site can make a browser on this machine send requests here. It cannot set a JSON content
    type without asking first (Fetch standard, CORS-safelisted request-headers), nor hide its Origin; and a
    name that it has pointed at loopback (DNS rebinding) shows in Host.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *SECURITY_HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in OPEN_PATHS:
            return None
        headers = Headers(scope=scope)
        if self._token:
            if not self._admits(headers.get("authorization", "")):
                detail = "send the token of TIDEGATE__ADMIN__TOKEN as `Authorization: Bearer …`"
                return json_response({"error": "unauthorized", "detail": detail}, 401)
        elif not is_loopback(_host_of(headers.get("host", ""))):
            detail = "without a token, this listener answers to 127.0.0.1, ::1 and localhost only"
            return json_response({"error": "wrong_host", "detail": detail}, 403)
        if scope["method"] in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return json_response(
                {"error": "wrong_origin", "detail": "requests of other sites are refused"}, 403
            )
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            detail = "send `Content-Type: application/json`"
            return json_response({"error": "wrong_content_type", "detail": detail}, 415)
        return None

    def _admits(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)


def is_loopback(host: str) -> bool:
    """True for a loopback address, and for the name that stands for one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(header: str) -> str:
    """The host of a Host header, without its port and brackets."""
    return urlsplit(f"//{header}").hostname or ""
