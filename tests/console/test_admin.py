"""The operations API over the in-memory engine: what it answers, and whom it refuses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from tidegate.app.previews import open_dry_runs
from tidegate.console import AdminParts, admin_app
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.inspection import Backlog
from tidegate.core.runs import Dead, Routing, RunRequest
from tidegate.core.samples import Counted, Process, Sample
from tidegate.engines.memory import MemoryEngine
from tidegate.ingress import HttpServer, asgi
from tidegate.mapping import MapperLimits
from tidegate.telemetry import OverviewReader
from tidegate.testing.clock import FakeClock


class Page:
    content_type = "text/plain"

    def exposition(self, backlog: Backlog) -> bytes:
        return f"dead {backlog.dead_runs}".encode()


async def no_replay(event_id: str) -> str:
    return f"again-{event_id}"


@dataclass(frozen=True)
class Answer:
    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return msgspec.json.decode(self.text)


@dataclass(frozen=True)
class Client:
    session: aiohttp.ClientSession
    base: str

    async def get(self, url: str, **more: Any) -> Answer:
        return await self.request("GET", url, **more)

    async def post(self, url: str, **more: Any) -> Answer:
        return await self.request("POST", url, **more)

    async def request(self, method: str, url: str, **more: Any) -> Answer:
        async with self.session.request(method, self.base + url, **more) as answer:
            return Answer(answer.status, answer.headers, await answer.text())


@asynccontextmanager
async def client_of(engine: MemoryEngine, reasons: list[str] | None = None, token: str = ""):
    parts = AdminParts(
        engine=engine,
        metrics=Page(),
        reasons=lambda: reasons or [],
        paused=lambda: {"target": "503"},
        replay=no_replay,
        overview=OverviewReader(engine, FakeClock()).read,
        dry_runs=open_dry_runs(engine, MapperLimits(), None, FakeClock()),
        clock=FakeClock(),
        token=token,
    )
    server = HttpServer(asgi(admin_app(parts)), "127.0.0.1", 0)
    address = await server.start()
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://{address}")
    await server.stop()


async def dead_event(engine: MemoryEngine, clock: FakeClock, event_id: str = "event-one") -> None:
    body = msgspec.json.encode({"a": 1, "api_key": "hunter2"})
    headers = EventHeaders({"authorization": "Bearer hunter2", "content-type": "application/json"})
    await engine.enqueue(IncomingEvent(event_id, "/webhook", headers, body, clock.now(), "0" * 32))
    (claim,) = await engine.claim_events(1)
    await engine.route(claim, Routing((RunRequest("P", "issue", "issue", None, None),)))
    (run,) = await engine.claim_runs(1)
    await engine.settle(run, Dead("it broke"))


def with_dead_event(use: Callable[[Client, MemoryEngine], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        await dead_event(engine, clock)
        async with client_of(engine, **more) as client:
            await use(client, engine)

    asyncio.run(main())


def test_an_event_is_shown_with_its_secrets_masked() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        (listed,) = (await client.get("/api/events")).json()["events"]
        assert (listed["id"], listed["state"]) == ("event-one", "dead")
        shown = await client.get("/api/events/event-one")
        assert "hunter2" not in shown.text
        assert shown.json()["payload"] == {"a": 1, "api_key": "***"}
        assert shown.json()["runs"][0]["detail"] == "it broke"

    with_dead_event(use)


def test_a_run_is_shown_with_its_attempts() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        (run,) = (await client.get("/api/runs?state=dead")).json()["runs"]
        detail = (await client.get(f"/api/runs/{run['id']}")).json()
        assert [attempt["outcome"] for attempt in detail["attempts"]] == ["dead"]

    with_dead_event(use)


def test_the_overview_is_shown() -> None:
    async def use(client: Client, engine: MemoryEngine) -> None:
        at = engine._store.clock.now()
        process = Process("p-1", "all", "machine", 7, at)
        counts = (Counted("received", "accepted", "/webhook", "", "", 5),)
        await engine.keep_sample(Sample(process, at, 5.0, counts, paused={"target": "503"}))
        shown = (await client.get("/api/overview")).json()
        assert shown["rates"] == [{"stage": "received", "outcome": "accepted", "per_second": 1.0}]
        assert shown["backlog"]["dead_runs"] == 1
        assert shown["paused"] == [{"name": "target", "reason": "503", "processes": ["p-1"]}]
        assert [(state["pid"], state["state"]) for state in shown["processes"]] == [(7, "alive")]

    with_dead_event(use)


def test_redrive_needs_a_condition_and_can_be_tried_first() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        url = "/api/deadletters/redrive"
        assert (await client.post(url, json={})).status_code == 422
        assert (await client.post(url, json={"processor": "P", "dry_run": True})).json() == {
            "count": 1,
            "dry_run": True,
        }
        assert (await client.post(url, json={"processor": "Q"})).json()["count"] == 0
        assert (await client.post(url, json={"error": "broke"})).json()["count"] == 1
        assert (await client.get("/api/status")).json()["backlog"]["ready_runs"] == 1

    with_dead_event(use)


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/api/events/absent-event", 404),
        ("GET", "/api/runs/999", 404),
        ("GET", "/api/events?state=lost", 422),
        ("GET", "/api/events?limit=many", 422),
        ("GET", "/api/events?since=yesterday", 422),
        ("POST", "/api/deadletters/discard", 415),
        ("GET", "/api/deadletters/discard", 405),
    ],
)
def test_bad_requests_get_a_clear_answer(method: str, url: str, status: int) -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        answer = await client.request(method, url)
        assert answer.status_code == status
        if status != 405:
            assert answer.json()["detail"]

    with_dead_event(use)


def test_without_the_token_only_health_is_answered() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        for url in ("/api/status", "/metrics", "/api/events"):
            assert (await client.get(url)).status_code == 401
            assert (await client.get(url, headers={"Authorization": "Bearer wrong"})).status_code == 401
            assert (await client.get(url, headers={"Authorization": "Bearer right"})).status_code == 200

    with_dead_event(use, token="right")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "https://evil.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "application/json", "Host": "rebound.example"}, 403),
    ],
)
def test_a_page_of_another_site_can_change_nothing(headers: dict[str, str], status: int) -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        body = b'{"all": true, "dry_run": true}'
        answer = await client.post("/api/deadletters/redrive", data=body, headers=headers)
        assert answer.status_code == status

    with_dead_event(use)


def test_a_name_pointed_at_loopback_reads_nothing_without_a_token() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        for host, status in (("rebound.example:80", 403), ("localhost", 200), ("[::1]:8001", 200)):
            assert (await client.get("/api/events", headers={"Host": host})).status_code == status

    with_dead_event(use)


def test_readiness_says_why_not_and_what_is_paused() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not ready", "reasons": ["preparing"], "paused": {"target": "503"}}

    with_dead_event(use, reasons=["preparing"])


def test_metrics_carry_the_backlog_and_every_answer_the_security_headers() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        answer = await client.get("/metrics")
        assert answer.text == "dead 1"
        assert answer.headers["x-content-type-options"] == "nosniff"

    with_dead_event(use)


def test_an_engine_that_is_out_is_a_503() -> None:
    async def use(client: Client, engine: MemoryEngine) -> None:
        engine.outage = "the disk is full"
        answer = await client.get("/api/status")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "the disk is full"

    with_dead_event(use)
