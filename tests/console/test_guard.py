"""Signing in to the admin listener with a browser, and what a page of another site cannot do."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tidegate.console.guard import MAX_BODY_BYTES, Guard
from tidegate.console.login import COOKIE, SESSION_SECONDS, Sessions
from tidegate.ingress import HttpServer, asgi
from tidegate.testing.clock import FakeClock

TOKEN = "a-token-for-the-tests"
NAVIGATION = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}


@dataclass
class Browser:
    """Sends what a browser sends from a page of `origin`; keeps no cookies by itself."""

    session: aiohttp.ClientSession
    base: str
    cookie: str = ""

    async def ask(
        self, method: str, path: str, *, origin: str | None = None, **more: Any
    ) -> tuple[int, Mapping[str, str], str]:
        headers = dict(more.pop("headers", {}))
        if origin is not None:
            headers["Origin"] = origin
        if self.cookie:
            headers["Cookie"] = self.cookie
        async with self.session.request(
            method, self.base + path, headers=headers, allow_redirects=False, **more
        ) as answer:
            return answer.status, answer.headers, await answer.text()

    async def sign_in(self, token: str = TOKEN, *, origin: str | None = None, then: str = "/console") -> int:
        form = {"token": token, "next": then}
        status, headers, _ = await self.ask("POST", "/console/login", origin=origin or self.base, data=form)
        self.cookie = headers.get("Set-Cookie", "").partition(";")[0]
        return status


def echo(sessions: Sessions) -> Starlette:
    """The guarded application: the login, a page, and one that repeats a body."""

    async def page(_: Request) -> Response:
        return PlainTextResponse("the page")

    async def repeat(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    return Starlette(
        routes=[
            *sessions.routes(),
            Route("/console", page),
            Route("/console/events/{id}", page),
            Route("/console/static/app.js", page),
            Route("/console/repeat", repeat, methods=["POST"]),
            Route("/api/status", page),
        ]
    )


@asynccontextmanager
async def browser_at(clock: FakeClock, token: str) -> Any:
    sessions = Sessions(token, clock)
    server = HttpServer(asgi(Guard(echo(sessions), sessions)), "127.0.0.1", 0)
    address = await server.start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Browser(session, f"http://{address}")
    await server.stop()


def in_browser(use: Callable[[Browser, FakeClock], Awaitable[None]], token: str = TOKEN) -> None:
    async def main() -> None:
        clock = FakeClock()
        async with browser_at(clock, token) as browser:
            await use(browser, clock)

    asyncio.run(main())


def test_a_page_asks_for_the_token_and_leads_back_to_itself() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        status, headers, text = await browser.ask("GET", "/console/events/1?tab=runs")
        assert status == 401
        assert 'name="next" value="/console/events/1?tab=runs"' in text
        assert "style-src 'sha256-" in headers["Content-Security-Policy"]
        assert await browser.sign_in(then="/console/events/1?tab=runs") == 303
        assert (await browser.ask("GET", "/console/events/1?tab=runs"))[2] == "the page"
        assert (await browser.ask("GET", "/api/status"))[0] == 200

    in_browser(use)


def test_the_cookie_is_for_this_site_alone_and_tells_no_token() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        form = {"token": TOKEN}
        for origin, secure in ((browser.base, False), (browser.base.replace("http", "https"), True)):
            _, headers, _ = await browser.ask("POST", "/console/login", origin=origin, data=form)
            cookie = headers["Set-Cookie"]
            assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
            assert ("Secure" in cookie) is secure
            assert TOKEN not in cookie

    in_browser(use)


def test_a_wrong_token_gives_no_cookie_and_is_not_shown() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        status, headers, text = await browser.ask(
            "POST", "/console/login", origin=browser.base, data={"token": "guess<1>"}
        )
        assert status == 401
        assert "Set-Cookie" not in headers
        assert "guess" not in text

    in_browser(use)


def test_a_session_ends_by_itself_by_signing_out_and_with_the_token() -> None:
    async def use(browser: Browser, clock: FakeClock) -> None:
        await browser.sign_in()
        kept = browser.cookie
        clock.advance(SESSION_SECONDS - 1)
        assert (await browser.ask("GET", "/api/status"))[0] == 200
        clock.advance(1)
        assert (await browser.ask("GET", "/api/status"))[0] == 401
        await browser.sign_in()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        _, headers, _ = await browser.ask("POST", "/console/logout", origin=browser.base, headers=form)
        assert f'{COOKIE}=""' in headers["Set-Cookie"]
        assert not Sessions("another-token", clock).admits_cookie(browser.cookie)
        assert not Sessions(TOKEN, clock).admits_cookie(kept)

    in_browser(use)


def forged(clock: FakeClock) -> Iterator[str]:
    good = Sessions(TOKEN, clock).cookie()
    end, _, signature = good.partition(".")
    later = str(int(end) + 1)
    yield from ("", ".", good[:-1], f"{later}.{signature}", f"{end}.", f"-{end}.{signature}", f"+{good}")
    yield from (f"{end}.{signature.upper()}", f"{end}.{signature}.x", "9" * 400 + "." + signature)
    for place in range(len(good)):
        yield good[:place] + ("0" if good[place] != "0" else "1") + good[place + 1 :]


def test_no_cookie_can_be_made_without_the_token() -> None:
    clock = FakeClock()
    sessions = Sessions(TOKEN, clock)
    assert sessions.admits_cookie(f"other=1; {COOKIE}={sessions.cookie()}")
    for value in forged(clock):
        assert not sessions.admits_cookie(f"{COOKIE}={value}"), value
    for header in ("", COOKIE, f"{COOKIE}=", '\x00"', f"x{COOKIE}={sessions.cookie()}"):
        assert not sessions.admits_cookie(header), header
    clock.advance(timedelta(hours=8).total_seconds())
    assert not sessions.admits_cookie(f"{COOKIE}={sessions.cookie()[:-2]}")


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/console\\@evil", "/api/status", "/consolex", ""]
)
def test_the_way_back_stays_within_the_console(target: str) -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        form = {"token": TOKEN, "next": target}
        _, headers, _ = await browser.ask("POST", "/console/login", origin=browser.base, data=form)
        assert headers["Location"] == "/console"

    in_browser(use)


@pytest.mark.parametrize("signed_in", [True, False], ids=["cookie", "no token needed"])
@pytest.mark.parametrize(
    ("origin", "headers", "status"),
    [
        ("self", NAVIGATION, 200),
        ("self", {}, 200),
        (None, {}, 415),  # no browser: a program sends JSON
        ("null", {}, 403),
        ("https://evil.example", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("http://127.0.0.1:1", {"Sec-Fetch-Site": "same-site"}, 403),
        (None, {"Sec-Fetch-Site": "same-site"}, 403),
        (None, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("http://[", {}, 403),
    ],
)
def test_only_our_own_pages_can_send_a_form(
    origin: str | None, headers: dict[str, str], status: int, signed_in: bool
) -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        if signed_in:
            await browser.sign_in()
        from_page = browser.base if origin == "self" else origin
        form = {"redrive": "1"}
        answer = await browser.ask("POST", "/console/repeat", origin=from_page, headers=headers, data=form)
        assert answer[0] == status
        assert status != 200 or answer[2] == "redrive=1"

    in_browser(use, TOKEN if signed_in else "")


def test_static_files_need_no_token_and_other_pages_do() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        for path, status in (("/console/static/app.js", 200), ("/console/login", 200), ("/console", 401)):
            assert (await browser.ask("GET", path))[0] == status

    in_browser(use)


def test_without_a_token_nobody_needs_to_sign_in() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        assert (await browser.ask("GET", "/console"))[0] == 200
        assert (await browser.ask("GET", "/console/login"))[1]["Location"] == "/console"

    in_browser(use, token="")


def test_every_answer_carries_the_security_headers() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        for path in ("/console", "/console/login", "/api/status", "/absent"):
            _, headers, _ = await browser.ask("GET", path)
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Cache-Control"] == "no-store"

    in_browser(use)


def test_a_body_is_bounded() -> None:
    async def use(browser: Browser, _: FakeClock) -> None:
        headers = {"Content-Type": "application/json"}
        for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
            answer = await browser.ask(
                "POST", "/console/repeat", headers=headers, data=io.BytesIO(b"x" * size)
            )
            assert answer[0] == status

    in_browser(use, token="")
