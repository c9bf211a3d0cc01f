"""The outgoing client against a real HTTP server: what it raises, and when it leaves a host alone."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from tidegate.core.signals import DependencyPaused, Signal
from tidegate.fetch import (
    FetchClient,
    FetchFailedError,
    FetchLimits,
    FetchPolicy,
    FetchRefusedError,
    FetchStatusError,
    HostBreakers,
    HostPausedError,
    Origin,
)

HOME = "http://127.0.0.1:9"
SECRET = "t0ps3cret"
"""Nobody listens there."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class Recorder:
    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def emit(self, signal: Signal) -> None:
        self.signals.append(signal)


def trusting(*urls: str) -> FetchPolicy:
    return FetchPolicy(frozenset(map(Origin.of, urls)))


@asynccontextmanager
async def third_party(handler: Handler):
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


def run_against(
    handler: Handler,
    use: Callable[[FetchClient, str, ManualClock, Recorder], Awaitable[None]],
    limits: FetchLimits | None = None,
) -> None:
    async def main() -> None:
        clock, recorder = ManualClock(), Recorder()
        async with (
            third_party(handler) as url,
            FetchClient(HostBreakers(clock, recorder), clock, limits, trusting(url, HOME)) as client,
        ):
            await use(client, url, clock, recorder)

    asyncio.run(main())


def answering(status: int, text: str = "{}", headers: dict[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


def test_a_json_document_is_returned_with_what_was_sent() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(
            {"q": request.query["q"], "h": request.headers["X-H"], "body": await request.json()}
        )

    async def use(client: FetchClient, url: str, *_: object) -> None:
        response = await client.request("POST", url, params={"q": "ü&"}, headers={"X-H": "v"}, json={"a": 1})
        assert response.json() == {"q": "ü&", "h": "v", "body": {"a": 1}}

    run_against(echo, use)


def test_a_4xx_is_a_status_error_and_says_nothing_about_the_host() -> None:
    async def use(client: FetchClient, url: str, *_: object) -> None:
        for _ in range(20):
            with pytest.raises(FetchStatusError) as caught:
                await client.get_json(f"{url}/gone?token=secret")
            assert caught.value.status == 404
            assert "secret" not in str(caught.value)

    run_against(answering(404, "no such thing"), use)


def test_three_failures_in_a_row_pause_the_host_until_a_probe_works() -> None:
    status = [503]

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status[0], text="{}")

    async def use(client: FetchClient, url: str, clock: ManualClock, recorder: Recorder) -> None:
        for _ in range(3):
            with pytest.raises(FetchFailedError):
                await client.get_json(url)
        with pytest.raises(HostPausedError) as caught:
            await client.get_json(url)
        assert caught.value.retry_after_seconds is not None
        assert 0 < caught.value.retry_after_seconds <= 1
        clock.seconds += 1
        with pytest.raises(HostPausedError, match="answered 503"):  # the probe
            await client.get_json(url)
        with pytest.raises(HostPausedError, match="is paused"):
            await client.get_json(url)
        status[0] = 200
        clock.seconds += 2
        assert await client.get_json(url) == {}
        assert await client.get_json(url) == {}
        pauses = [signal.paused for signal in recorder.signals if isinstance(signal, DependencyPaused)]
        assert pauses == [True, False]

    run_against(handler, use)


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "7"}, 7),
        (503, {"Retry-After": "Thu, 01 Jan 2026 00:00:09 GMT"}, 9),
        (429, {"X-RateLimit-Reset": "11"}, 11),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225613"}, 13),
    ],
)
def test_a_host_that_asks_to_wait_is_left_alone_at_once(
    status: int, headers: dict[str, str], wait: float
) -> None:
    async def use(client: FetchClient, url: str, *_: object) -> None:
        with pytest.raises(FetchFailedError) as caught:
            await client.get_json(url)
        assert caught.value.retry_after_seconds == wait
        with pytest.raises(HostPausedError) as paused:
            await client.get_json(url)
        assert paused.value.retry_after_seconds == wait

    run_against(answering(status, headers=headers), use)


def test_the_last_request_of_a_quota_pauses_the_host_until_it_is_full_again() -> None:
    async def use(client: FetchClient, url: str, clock: ManualClock, *_: object) -> None:
        assert await client.get_json(url) == {}
        with pytest.raises(HostPausedError, match="is paused") as paused:
            await client.get_json(url)
        assert paused.value.retry_after_seconds == 5
        clock.seconds += 5
        assert await client.get_json(url) == {}

    run_against(answering(200, headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "5"}), use)


def test_a_slow_answer_times_out_as_a_failure() -> None:
    async def use(client: FetchClient, url: str, *_: object) -> None:
        with pytest.raises(FetchFailedError, match="timed out"):
            await client.get_json(url)
        given_up.set()

    async def slow(_: web.Request) -> web.Response:
        await given_up.wait()
        return web.Response()

    given_up = asyncio.Event()
    run_against(slow, use, FetchLimits(total_seconds=0.05))


def test_a_refused_connection_is_a_failure() -> None:
    async def use(client: FetchClient, *_: object) -> None:
        with pytest.raises(FetchFailedError) as failure:
            await client.get_json(f"{HOME}/x?token={SECRET}", params={"api_key": SECRET})
        said = "GET http://127.0.0.1:9/x failed: Failed to connect to 127.0.0.1:9"
        assert str(failure.value).startswith(said)
        assert SECRET not in "".join(traceback.format_exception(failure.value))

    run_against(answering(200), use)


def test_an_answer_over_the_limit_is_not_taken() -> None:
    async def use(client: FetchClient, url: str, *_: object) -> None:
        with pytest.raises(FetchRefusedError, match="more than 10 bytes"):
            await client.get_json(url)

    run_against(answering(200, '"a long answer"'), use, FetchLimits(max_response_bytes=10))


def test_an_error_page_instead_of_json_is_a_failure() -> None:
    async def use(client: FetchClient, url: str, *_: object) -> None:
        with pytest.raises(FetchFailedError, match="invalid JSON") as caught:
            await client.get_json(url)
        assert caught.value.host == url.removeprefix("http://")  # as its breaker is called

    run_against(answering(200, "<html>"), use)


def test_redirects_are_followed_at_home_only() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        match request.path:
            case "/old":
                return web.Response(status=302, headers={"Location": "/new"})
            case "/away":
                return web.Response(status=302, headers={"Location": "http://localhost:9/steal"})
            case "/loop":
                return web.Response(status=302, headers={"Location": "/loop"})
        return web.json_response({"authorization": request.headers["Authorization"]})

    async def use(client: FetchClient, url: str, *_: object) -> None:
        headers = {"Authorization": "Bearer secret"}
        assert await client.get_json(f"{url}/old", headers=headers) == {"authorization": "Bearer secret"}
        with pytest.raises(FetchRefusedError, match="another host, http://localhost:9/steal"):
            await client.get_json(f"{url}/away", headers=headers)
        with pytest.raises(FetchRefusedError, match="more than 5 times"):
            await client.get_json(f"{url}/loop", headers=headers)
        assert seen == ["/old", "/new", "/away", *["/loop"] * 5]

    run_against(handler, use)
