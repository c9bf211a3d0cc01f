"""Stands before everything on the admin listener: who may ask, from which pages, how much, and with which headers.

A page of another site can make a browser on this machine send requests here. It cannot set a JSON content type without
asking first (Fetch standard, CORS-safelisted request-headers), nor hide its Origin; and a name that it has pointed at
loopback (DNS rebinding) shows in Host. Cookies know no ports, so SameSite alone does not keep out a page that another
program on this machine serves: Origin does.
"""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.console.answers import json_response
from tidegate.console.login import HOME, LOGIN_PATH, Sessions, login_page

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
STATIC_PREFIX = f"{HOME}/static/"
"""Scripts and styles, the same for everybody: the only pages beside the login that need no token."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 30.0
CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # no-referrer would make browsers hide the Origin of our own forms
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
DEFAULT_HEADERS = ((b"cache-control", b"no-store"), (b"content-security-policy", CONTENT_POLICY))
"""Set where an answer has none of its own."""

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Guard:
    """Wraps the application. Without a token, only requests addressed to loopback are answered."""

    app: ASGIApp
    sessions: Sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with_security(message.get("headers", ()))}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] not in SAFE_METHODS:
            body = await _body(receive)
            if isinstance(body, bytes):
                receive = _Replayed(body, receive)
            else:
                refusal = body
        await (refusal or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in OPEN_PATHS:
            return None
        headers = Headers(scope=scope)
        stranger = self._stranger(scope, headers)
        return stranger or (None if scope["method"] in SAFE_METHODS else _foreign(headers))

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """Who asks? Programs show the token, browsers the cookie that they got for it."""
        path: str = scope["path"]
        if not self.sessions.token:
            if is_loopback(_host_of(headers.get("host", ""))):
                return None
            detail = "without a token, this listener answers to 127.0.0.1, ::1 and localhost only"
            return json_response({"error": "wrong_host", "detail": detail}, 403)
        if self._admits(headers) or path == LOGIN_PATH or path.startswith(STATIC_PREFIX):
            return None
        if path == HOME or path.startswith(f"{HOME}/"):
            query: bytes = scope["query_string"]
            return login_page(f"{path}?{query.decode('latin-1')}" if query else path)
        detail = "send the token of TIDEGATE__ADMIN__TOKEN as `Authorization: Bearer …`"
        return json_response({"error": "unauthorized", "detail": detail}, 401, {"WWW-Authenticate": "Bearer"})

    def _admits(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.sessions.admits_token(token.strip()):
            return True
        return self.sessions.admits_cookie(headers.get("cookie", ""))


def _foreign(headers: Headers) -> Response | None:
    """Refuse what a page of another site may have sent. A form must show that it is one of ours."""
    origin = headers.get("origin")
    ours = origin is not None and origin.partition("://")[2] == headers.get("host")
    site = headers.get("sec-fetch-site", "same-origin")
    if (origin is not None and not ours) or site not in ("same-origin", "none"):
        return json_response({"error": "wrong_origin", "detail": "requests of other sites are refused"}, 403)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON or (kind == _FORM and ours):
        return None
    return json_response({"error": "wrong_content_type", "detail": f"send `Content-Type: {_JSON}`"}, 415)


async def _body(receive: Receive) -> bytes | Response:
    """The whole body, within bounds of size and time."""
    pieces = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                pieces += message.get("body", b"")
                if len(pieces) > MAX_BODY_BYTES:
                    detail = f"the body is larger than {MAX_BODY_BYTES} bytes"
                    return json_response({"error": "too_large", "detail": detail}, 413)
                if not message.get("more_body", False):
                    return bytes(pieces)
    except TimeoutError:
        return json_response({"error": "too_slow", "detail": "the body came too slowly"}, 408)


@dataclass(slots=True)
class _Replayed:
    """Hands out a body that was read before, then what else comes: the sender's going away."""

    body: bytes
    receive: Receive
    given: bool = False

    async def __call__(self) -> Message:
        if self.given:
            return await self.receive()
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


def _with_security(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {name for name, _ in headers}
    return [*headers, *SECURITY_HEADERS, *(pair for pair in DEFAULT_HEADERS if pair[0] not in named)]


def is_loopback(host: str) -> bool:
    """True for a loopback address, and for the name that stands for one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(header: str) -> str:
    """The host of a Host header, without its port and brackets; empty if it cannot be one."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
