"""Signing in: the admin token becomes a cookie that no script and no other site can use, and ends by itself.

The cookie holds its end and a signature made with the token. So it tells nobody the token, it outlives a restart, and
changing the token ends every session.
"""

import hashlib
import hmac
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidegate.core.ports import Clock

HOME = "/console"
LOGIN_PATH = "/console/login"
LOGOUT_PATH = "/console/logout"
COOKIE = "tidegate_session"
SESSION_SECONDS = 8 * 3600

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}"
    "input,button{font:inherit;width:100%;box-sizing:border-box;margin:.3rem 0 .8rem;padding:.5rem}"
    "[role=alert]{color:#b3261e}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Knows the token, and the cookies that were made with it. An empty token asks nobody to sign in."""

    token: str = field(repr=False)
    clock: Clock

    def admits_token(self, shown: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(shown.encode(), self.token.encode())

    def admits_cookie(self, header: str) -> bool:
        """True if a Cookie header holds a session of ours that has not ended."""
        try:
            morsel = SimpleCookie(header).get(COOKIE)
        except CookieError:
            return False
        end, _, signature = (morsel.value if morsel else "").partition(".")
        if not (end.isascii() and end.isdecimal() and len(end) <= 12):
            return False
        good = hmac.compare_digest(signature.encode(), self._signature(end).encode())
        return good and self.clock.now().timestamp() < int(end)

    def cookie(self) -> str:
        """A fresh session's value."""
        end = str(int(self.clock.now().timestamp()) + SESSION_SECONDS)
        return f"{end}.{self._signature(end)}"

    def _signature(self, end: str) -> str:
        return hmac.new(self.token.encode(), f"{COOKIE}:{end}".encode(), hashlib.sha256).hexdigest()

    def routes(self) -> list[Route]:
        return [
            Route(LOGIN_PATH, self._login, methods=["GET", "POST"]),
            Route(LOGOUT_PATH, self._logout, methods=["POST"]),
        ]

    async def _login(self, request: Request) -> Response:
        if not self.token:
            return RedirectResponse(HOME, 303)
        if request.method != "POST":
            return login_page(HOME, status=200)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        target = _local(form.get("next", [HOME])[0])
        if not self.admits_token(form.get("token", [""])[0].strip()):
            return login_page(target, error="This is not the token.")
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE,
            self.cookie(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https://"),
        )
        return answer

    async def _logout(self, _: Request) -> Response:
        answer = RedirectResponse(LOGIN_PATH, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


def login_page(target: str, *, error: str = "", status: int = 401) -> Response:
    """Asks for the token, then leads to `target`. The token travels in the form's body, never in a URL."""
    alert = f'<p role="alert">{escape(error)}</p>' if error else ""
    page = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · Tidegate</title><style>{_STYLE}</style></head>
<body><main><h1>Tidegate</h1>{alert}
<form method="post" action="{LOGIN_PATH}">
<input type="hidden" name="next" value="{escape(_local(target))}">
<label for="token">Token (TIDEGATE__ADMIN__TOKEN)</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form></main></body>
</html>
"""
    return HTMLResponse(page, status, headers={"Content-Security-Policy": _POLICY})


def _local(target: str) -> str:
    """The target if it is a page of the console, else its first page: a form must not lead off to other sites."""
    inside = target == HOME or target.startswith((f"{HOME}/", f"{HOME}?"))
    return target if inside and target.isprintable() and "\\" not in target else HOME
