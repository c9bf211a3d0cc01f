"""The console's pages over the in-memory engine: what they show, what they keep to themselves, what they change."""

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from tidegate.app.console import console_pages
from tidegate.app.previews import open_dry_runs
from tidegate.console import AdminParts, admin_app
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.histograms import Histogram
from tidegate.core.inspection import Backlog, Page, RunFilter
from tidegate.core.lifecycle import RunState
from tidegate.core.runs import (
    Completed,
    Dead,
    EntityWrite,
    Routing,
    RunRequest,
    Settlement,
    Step,
    StepName,
    Trail,
    WriteAction,
    lane_of,
)
from tidegate.core.samples import Counted, Failed, Process, Sample, Timed
from tidegate.engines.memory import MemoryEngine
from tidegate.ingress import HttpServer, asgi
from tidegate.mapping import MapperLimits
from tidegate.telemetry import OverviewReader
from tidegate.testing.clock import FakeClock

HOSTILE = "<script>alert('tide')</script>"


MAPPING = """
resources:
  - kind: issue
    selector: {query: "true"}
    port: {entity: {mappings: {identifier: .key, blueprint: '"service"', title: .title}}}
"""


class NoMetrics:
    content_type = "text/plain"

    def exposition(self, backlog: Backlog) -> bytes:
        return b""


class Site:
    """A console in a browser that runs no scripts."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, engine: MemoryEngine, clock: FakeClock
    ) -> None:
        self.session, self.base, self.engine, self.clock = session, base, engine, clock
        self.made = 0

    async def get(self, path: str, status: int = 200, **headers: str) -> str:
        async with self.session.get(f"{self.base}{path}", headers=headers) as answer:
            assert answer.status == status, await answer.text()
            self.headers = answer.headers
            return await answer.text()

    async def post(
        self,
        path: str,
        status: int = 200,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> str:
        headers = {"Origin": self.base if origin is None else origin, **(headers or {})}
        async with self.session.post(f"{self.base}{path}", data=fields, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.text()

    async def event(
        self,
        payload: Any,
        settlement: Settlement | None = None,
        key: str | None = "PROJ-1",
        path: str = "/webhook",
    ) -> str:
        """An event, and how its run ended; its id."""
        self.made += 1
        event_id = f"{self.made:08x}-0000-7000-8000-000000000000"
        headers = EventHeaders({"content-type": "application/json", "x-api-key": "hunter2"})
        body = msgspec.json.encode(payload)
        delivery = f"delivery-{self.made}"
        event = IncomingEvent(event_id, path, headers, body, self.clock.now(), "f" * 32, delivery)
        await self.engine.enqueue(event)
        [claim] = await self.engine.claim_events(1)
        await self.engine.route(
            claim, Routing((RunRequest("P", "issue", "issue", key, lane_of("P", "issue", key)),))
        )
        if settlement is not None:
            [run] = await self.engine.claim_runs(1)
            await self.engine.settle(run, settlement)
        return event_id


def with_site(use: Callable[[Site], Awaitable[None]], token: str = "") -> None:
    asyncio.run(_with_site(use, token))


async def _with_site(use: Callable[[Site], Awaitable[None]], token: str) -> None:
    clock = FakeClock()
    engine = MemoryEngine(clock)
    jar = aiohttp.CookieJar(unsafe=True)  # it would not keep cookies of addresses otherwise
    async with _served(engine, clock, token) as base, aiohttp.ClientSession(cookie_jar=jar) as session:
        await use(Site(session, base, engine, clock))


@asynccontextmanager
async def _served(engine: MemoryEngine, clock: FakeClock, token: str):
    directory = TemporaryDirectory()
    mapping_file = Path(directory.name) / "mapping.yml"
    mapping_file.write_text(MAPPING)

    async def replay(event_id: str) -> str:
        return event_id

    overview = OverviewReader(engine, clock).read
    dry_runs = open_dry_runs(engine, MapperLimits(), None, clock)
    pages = console_pages(
        engine,
        clock,
        "tests",
        overview=overview,
        paused=dict,
        reasons=list,
        replay=replay,
        dry_runs=dry_runs,
        mapping_file=mapping_file,
        target=None,
        signs_out=bool(token),
    )
    parts = AdminParts(
        engine=engine,
        metrics=NoMetrics(),
        reasons=list,
        paused=dict,
        replay=replay,
        overview=overview,
        dry_runs=dry_runs,
        clock=clock,
        routes=pages,
        token=token,
    )
    server = HttpServer(asgi(admin_app(parts)), "127.0.0.1", 0)
    try:
        yield f"http://{await server.start()}"
    finally:
        await server.stop()
        directory.cleanup()


def written(name: str, title: str) -> Completed:
    entity = Entity(name, "service", title=title)
    trail = Trail(
        (Step(StepName.FETCH, 0.012, "1 updated"), Step(StepName.WRITE, 0.003)), ("a warning",), b"{}"
    )
    return Completed((EntityWrite(entity.ref, WriteAction.UPSERT, entity=entity),), trail=trail)


def fetched(item: dict[str, Any], title: str) -> Completed:
    """A run that fetched an item and wrote an entity of it."""
    entity = Entity(item["key"], "service", title=title)
    trail = Trail(fetched=msgspec.json.encode({"updated": [item], "deleted": []}))
    return Completed((EntityWrite(entity.ref, WriteAction.UPSERT, entity=entity),), trail=trail)


def text_of(page: str) -> str:
    """What a reader sees."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_page_answers_when_nothing_is_stored() -> None:
    async def use(site: Site) -> None:
        for path, said in (
            ("/console", "Nothing is under way"),
            ("/console/events", "No event yet"),
            ("/console/entities", "Nothing was written yet"),
            ("/console/dead-letters", "No dead letters"),
        ):
            assert said in text_of(await site.get(path))

    with_site(use)


def sample_of(now: datetime) -> Sample:
    """What a process may tell of ten seconds."""
    freshness = Histogram()
    freshness.observe(0.2)
    return Sample(
        Process("p-1", "worker", "tide-1", 4711, now),
        now,
        10.0,
        counts=(
            Counted("received", "accepted", "/webhook", "", "", 300),
            Counted("settled", "retry", "/webhook", "P", "issue", 20),
            Counted("written", "upsert", "", "P", "issue", 250),
        ),
        timings=(Timed("freshness", "issue", tuple(freshness.counts.items()), 0.2),),
        errors=(Failed("fetch", "GET https://x.example/… answered 503", "P", "issue", 20, "7"),),
        paused={"x.example": "it answered 503 five times"},
        in_flight=3,
    )


def test_the_overview_shows_what_all_processes_did() -> None:
    async def use(site: Site) -> None:
        site.clock.advance(10)
        await site.engine.keep_sample(sample_of(site.clock.now()))
        await site.event({"a": 1}, Dead("it broke"))
        page = await site.get("/console")
        seen = text_of(page)
        for said in (
            "Received 30 /s",
            "2/s failing",
            "Written 25 /s",
            "Dead letters 1 need somebody",
            "paused x.example it answered 503 five times",
            "20 fetch GET https://x.example/… answered 503 P · issue",
            "worker tide-1, pid 4711",
        ):
            assert said in seen, said
        assert re.search(r"issue \d+ ms \d+ ms", seen)
        assert 'href="/console/runs/7"' in page
        assert page.count("<polyline") >= 3

    with_site(use)


def test_pages_load_nothing_from_elsewhere_and_no_inline_script() -> None:
    async def use(site: Site) -> None:
        await site.event({"a": 1}, Dead("it broke"))
        for path in ("/console", "/console/events", "/console/dead-letters", "/console/entities"):
            page = await site.get(path)
            assert "script-src 'self'" in site.headers["content-security-policy"]
            assert not re.search(r"<script(?![^>]*\bsrc=)", page)
            assert not re.search(r"\s(style|on\w+)=", page), "the policy forbids inline styles and handlers"
            for address in re.findall(r'(?:src|href)="([^"]+)"', page):
                assert address.startswith(("/console", "#")), address
        for address in set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page)):
            async with site.session.get(site.base + address) as answer:
                assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)

    with_site(use)


def test_an_event_is_found_by_all_that_it_is() -> None:
    async def use(site: Site) -> None:
        first = await site.event({"title": "Payment fails"}, written("a", "A"), key="PROJ-1")
        site.clock.advance(7200)
        await site.event({"title": "Login"}, written("b", "B"), key="PROJ-2", path="/other")
        for query in (
            "text=Payment",
            "text=delivery-1",
            "resource_key=PROJ-1",
            "path=/webhook",
            "delivery_id=delivery-1",
            "until=1h",
            "text=resource:PROJ-1",
            "text=kind:issue+path:/webhook+Payment",
            f"text={first[:8]}",
        ):
            page = await site.get(f"/console/events?{query}")
            assert f'href="/console/events/{first}"' in page, query
        for query in ("state=dead", "kind=other", "since=1h&path=/webhook", "text=payment", "processor=Q"):
            assert "Nothing matches" in await site.get(f"/console/events?{query}"), query
        for query in ("state=lost", "since=yesterday", "text=until:never"):
            assert "cannot be asked for" in await site.get(f"/console/events?{query}", 422)

    with_site(use)


def test_the_list_of_events_is_read_page_by_page() -> None:
    async def use(site: Site) -> None:
        ids = [await site.event({"n": number}, key=str(number)) for number in range(60)]
        seen: list[str] = []
        path = "/console/events"
        while True:
            page = await site.get(path)
            seen += re.findall(r'href="/console/events/([0-9a-f-]{36})" data-row-link', page)
            older = re.search(r'href="([^"]+)" rel="next"', page)
            if older is None:
                break
            path = html.unescape(older[1])
        assert seen == ids[::-1]

    with_site(use)


def test_an_event_tells_its_story() -> None:
    async def use(site: Site) -> None:
        event_id = await site.event({"a": 1}, written("a", "A"))
        story = text_of(await site.get(f"/console/events/{event_id}"))
        for said in (
            "received",
            "verified",
            "routed",
            "coalesced",
            "fetched",
            "mapped",
            "written",
            "applied",
        ):
            assert said in story
        for said in (
            "Run 1",
            "Attempt 1",
            "12 ms",
            "1 updated",
            "a warning",
            "service a",
            "delivery-1",
            "PROJ-1",
        ):
            assert said in story
        part = await site.get(f"/console/events/{event_id}", **{"HX-Request": "true"})
        assert "<html" not in part
        assert "Run 1" in part

    with_site(use)


def test_an_event_that_is_coalesced_says_into_what() -> None:
    async def use(site: Site) -> None:
        first, second = await site.event({"n": 1}), await site.event({"n": 2})
        [run] = await site.engine.claim_runs(1)
        await site.engine.settle(run, written("a", "A"))
        story = text_of(await site.get(f"/console/events/{first}"))
        assert "A newer event of the same resource was processed in its place" in story
        assert f"payload of a newer event: {second[:13]}" in story
        assert "stands for 2 events" in text_of(await site.get(f"/console/events/{second}"))

    with_site(use)


def test_secrets_are_masked_and_hostile_text_is_only_text() -> None:
    async def use(site: Site) -> None:
        payload = {HOSTILE: HOSTILE, "api_key": "hunter2", "nested": [{"password": "hunter2"}]}
        event_id = await site.event(payload, Dead(f"{HOSTILE} broke"), key=HOSTILE)
        await site.event({"a": 1}, written(f"{HOSTILE}/x", HOSTILE), key="other")
        entity = "/console/entities/service/%3Cscript%3Ealert('tide')%3C%2Fscript%3E%2Fx"
        pages = ["/console", "/console/events", f"/console/events/{event_id}", "/console/dead-letters"]
        for path in (*pages, "/console/entities", entity, f"/console/events?text={HOSTILE}"):
            page = await site.get(path)
            assert "hunter2" not in page, path
            assert HOSTILE not in page, path
        assert HOSTILE in text_of(await site.get(entity))

    with_site(use)


def test_an_entity_shows_what_each_write_changed() -> None:
    async def use(site: Site) -> None:
        first = await site.event({"n": 1}, written("a", "Before"))
        await site.event({"n": 2}, written("a", "After"))
        page = await site.get("/console/entities/service/a")
        assert 'title "Before" "After"' in text_of(page)
        assert f"/console/events/{first}" in page
        listed = text_of(await site.get("/console/entities?blueprint=service&text=a"))
        assert "After" in listed
        assert "1" in listed
        assert "nothing that is still kept" in await site.get("/console/entities/service/b", 404)

    with_site(use)


def test_dead_letters_are_grouped_by_cause_with_advice() -> None:
    async def use(site: Site) -> None:
        for number in range(3):
            await site.event({}, Dead(f"GET https://x.example/issues/{number} answered 503"), key=str(number))
        await site.event({}, Dead("KeyError: 'assignee'"), key="k")
        page = text_of(await site.get("/console/dead-letters"))
        assert "4 dead letters of 2 causes" in page
        assert "answered 503" in page
        assert "The third party was out or slow" in page
        assert "The processor's code raised this" in page
        await site.event({}, Dead("RefusedWriteError: the target refused 1 of 1 entities: a/b: not a number"))
        assert 'href="/console/playground?run=5"' in await site.get("/console/dead-letters")

    with_site(use)


async def finished(site: Site, page: str) -> str:
    """The page that a redrive or discard leads to in the end."""
    for _ in range(200):
        if 'data-job="finished"' in page:
            return page
        number = re.search(r"/console/dead-letters/progress/(\d+)", page)
        assert number is not None, page
        page = await site.get(number[0])
    raise AssertionError(page)


def test_dead_letters_are_redriven_and_discarded_by_cause_selection_or_all() -> None:
    async def use(site: Site) -> None:
        async def dead() -> set[int]:
            runs = await site.engine.find_runs(RunFilter(state=RunState.DEAD), Page(1000))
            return {run.id for run in runs}

        for number in range(250):
            await site.event({}, Dead(f"failed {number} times"), key=str(number))
        await site.event({}, Dead("KeyError: 'x'"), key="k")
        assert len(await dead()) == 251
        assert "choose at least one" in await site.post("/console/dead-letters/redrive", 422)
        page = await finished(site, await site.post("/console/dead-letters/discard", run="251"))
        assert "1 run discarded" in text_of(page)
        assert 251 not in await dead()
        page = await finished(site, await site.post("/console/dead-letters/redrive", run="1"))
        assert await dead() == set(range(2, 251))
        cause = re.search(r'name="cause" value="(\w+)"', page)
        assert cause is not None
        page = await finished(site, await site.post("/console/dead-letters/redrive", cause=cause[1]))
        assert "249 runs redriven" in text_of(page)
        assert await dead() == set()
        assert "0 runs redriven" in text_of(
            await finished(site, await site.post("/console/dead-letters/redrive", all="yes"))
        )

    with_site(use)


def test_the_playground_shows_what_a_mapping_would_make_of_what_was_fetched() -> None:
    async def use(site: Site) -> None:
        item = {"key": "a", "title": "Payment", "size": 3, "api_key": "hunter2"}
        event_id = await site.event({"key": "a"}, fetched(item, "Payment"))
        page = await site.get(f"/console/playground?event={event_id}")
        assert "identifier: .key" in html.unescape(page)
        assert "unchanged service a As it is in the catalog." in text_of(page)
        assert "hunter2" not in page
        part = {"HX-Request": "true"}
        edited = MAPPING.replace(".title", '.title + " v2"')
        result = text_of(await site.post("/console/playground/preview", run="1", mapping=edited))
        assert 'changed service a Field Before After title "Payment" "Payment v2"' in result
        secret = MAPPING.replace("title: .title", "properties: {api_key: .api_key}")
        assert "hunter2" not in await site.post("/console/playground/preview", run="1", mapping=secret)
        wrong = await site.post("/console/playground/preview", run="1", mapping="resources: 7")
        assert 'role="alert"' in wrong
        page = await site.post("/console/playground/dry-run", mapping=edited, last="100", headers=part)
        for _ in range(500):
            if 'data-trial="finished"' in page:
                break
            page = await site.get("/console/playground/dry-run/1", **part)
        assert "This would change the catalog" in text_of(page)
        assert "1 entity" in text_of(page)
        assert "a dry run is over 100, 500, 2000 runs" in await site.post(
            "/console/playground/dry-run", 422, mapping=edited, last="7"
        )

    with_site(use)


def test_forms_of_other_sites_change_nothing() -> None:
    async def use(site: Site) -> None:
        await site.event({}, Dead("it broke"))
        await site.post("/console/dead-letters/discard", 403, origin="https://evil.example", all="yes")
        assert (await site.engine.backlog()).dead_runs == 1

    with_site(use)


def test_with_a_token_the_pages_ask_to_sign_in() -> None:
    async def use(site: Site) -> None:
        assert "Sign in" in await site.get("/console/events?text=a", 401)
        page = await site.post("/console/login", token="right", next="/console/events")
        assert "Sign out" in page
        assert "No event yet" in await site.get("/console/events")

    with_site(use, token="right")


def test_what_is_not_there_is_said_in_a_page() -> None:
    async def use(site: Site) -> None:
        assert "no stored event" in await site.get("/console/events/unknown-event", 404)
        assert "there is no run 7" in await site.get("/console/runs/7", 404)
        assert "no page /console/elsewhere" in await site.get("/console/elsewhere", 404)
        site.engine.outage = "the disk is full"
        assert "the disk is full" in await site.get("/console/events", 503)

    with_site(use)


def test_times_are_relative_with_the_exact_time_at_hand() -> None:
    async def use(site: Site) -> None:
        await site.event({})
        site.clock.advance(timedelta(minutes=5).total_seconds())
        page = await site.get("/console/events")
        assert re.search(r'<time datetime="[^"]+" title="[^"]+ UTC" data-ago>5 min ago</time>', page)

    with_site(use)


def test_the_reference_is_to_an_entity_whatever_its_name() -> None:
    async def use(site: Site) -> None:
        await site.event({}, written("a/b c%2F?#", "odd"))
        listed = await site.get("/console/entities")
        address = re.search(r'href="(/console/entities/service/[^"]+)" data-row-link', listed)
        assert address is not None
        async with site.session.get(URL(site.base + html.unescape(address[1]), encoded=True)) as answer:
            assert answer.status == 200
            assert str(EntityRef("service", "a/b c%2F?#").identifier) in html.unescape(await answer.text())

    with_site(use)
