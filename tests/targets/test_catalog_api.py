"""The catalog's read API answers as Port's does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest
from starlette.applications import Starlette

from tests.targets.catalogs import catalogs
from tidegate.core.entities import Entity
from tidegate.core.ports import Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget, catalog_routes
from tidegate.testing.target_suite_session import BLUEPRINTS, service


class FixedClock:
    def now(self) -> datetime:
        return datetime(2024, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Api:
    app: Starlette
    target: CatalogTarget

    async def call(self, method: str, address: str, body: Any = None) -> tuple[int, Any]:
        """Drive the application as an ASGI server does."""
        path, _, query = address.partition("?")
        sent = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
            "root_path": "",
        }
        status, received = 0, b""

        bodies = [sent]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, received
            status = message.get("status", status)
            received += message.get("body", b"")

        await self.app(scope, receive, send)
        return status, msgspec.json.decode(received) if received else None

    async def names(
        self, query: Any, method: str = "POST", address: str = "/v1/entities/search"
    ) -> list[str]:
        status, body = await self.call(method, address, query)
        assert status == 200, body
        return [entity["identifier"] for entity in body["entities"]]


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


WithApi = Callable[[Callable[[Api], Awaitable[None]]], None]


@pytest.fixture
def with_api(kind: str, tmp_path: Path) -> WithApi:
    """Runs a scenario with the read API of an empty catalog, in each of its databases."""

    async def run(scenario: Callable[[Api], Awaitable[None]]) -> None:
        async with catalogs(kind, tmp_path, FixedClock(), TargetOptions(), "main") as (target,):
            await target.prepare(BLUEPRINTS, {})
            await scenario(Api(Starlette(routes=catalog_routes(target)), target))

    return lambda scenario: asyncio.run(run(scenario))


def rule(name: str, operator: str, value: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": [{"property": name, "operator": operator, "value": value}]}


def test_blueprints(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        status, body = await api.call("GET", "/v1/blueprints")
        assert (status, body["ok"]) == (200, True)
        assert [blueprint["identifier"] for blueprint in body["blueprints"]] == [
            "deployment",
            "service",
            "team",
        ]
        status, body = await api.call("GET", "/v1/blueprints/team")
        assert (status, body["blueprint"]["schema"]) == (200, BLUEPRINTS[0]["schema"])
        status, body = await api.call("GET", "/v1/blueprints/nope")
        assert (status, body["ok"], body["error"]) == (404, False, "not_found")

    with_api(scenario)


def test_an_entity_in_ports_shape(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        entity = service(
            "a", title="A", team="core", properties={"url": "https://a.io"}, relations={"owner": "t"}
        )
        await api.target.apply([Upsert(entity, 1)])
        status, body = await api.call("GET", "/v1/blueprints/service/entities/a")
        assert (status, body) == (
            200,
            {
                "ok": True,
                "entity": {
                    "identifier": "a",
                    "title": "A",
                    "icon": None,
                    "blueprint": "service",
                    "team": ["core"],
                    "properties": {"url": "https://a.io"},
                    "relations": {"owner": "t"},
                    "createdAt": "2024-05-01T12:00:00.000Z",
                    "createdBy": "main",
                    "updatedAt": "2024-05-01T12:00:00.000Z",
                    "updatedBy": "main",
                },
            },
        )

    with_api(scenario)


@pytest.mark.parametrize(
    "identifier", ["group/project", "a:b=c@d", "Größe", "search", "entities", "100%"[:3]]
)
def test_identifiers_are_found_encoded_and_plain(identifier: str, with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        await api.target.apply([Upsert(service(identifier), 1)])
        for address in (quote(identifier, safe=""), quote(identifier)):
            status, body = await api.call("GET", f"/v1/blueprints/service/entities/{address}")
            assert (status, body["entity"]["identifier"]) == (200, identifier)
        status, body = await api.call("GET", "/v1/blueprints/service/entities/other")
        assert (status, body["message"]) == (404, "entity service/other was not found")

    with_api(scenario)


def test_listings_come_whole_or_in_pages(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        names = [f"s{n:04}" for n in range(1203)]
        await api.target.apply([Upsert(service(name), 1) for name in names])
        await api.target.apply([Upsert(Entity("t", "team"), 1)])
        address = "/v1/blueprints/service/entities"
        assert await api.names(None, "GET", address) == names
        everything = await api.names({"combinator": "and", "rules": []})
        assert everything == [*names, "t"]
        paged, token = [], ""
        while True:
            _, body = await api.call("GET", f"{address}?limit=400{token}")
            paged += [entity["identifier"] for entity in body["entities"]]
            if "next" not in body:
                break
            token = f"&from={body['next']}"
        assert paged == names

    with_api(scenario)


def test_the_search_of_a_blueprint_has_pages_and_fields(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        changes = [Upsert(service(f"s{n}", properties={"stars": n, "tier": "gold"}), 1) for n in range(5)]
        await api.target.apply(changes)
        body = {"query": rule("stars", ">", 0), "include": ["$identifier", "stars"], "limit": 3}
        status, answered = await api.call("POST", "/v1/blueprints/service/entities/search", body)
        assert status == 200
        assert answered["entities"][0] == {"identifier": "s1", "properties": {"stars": 1}}
        _, rest = await api.call(
            "POST", "/v1/blueprints/service/entities/search", body | {"from": answered["next"]}
        )
        assert [entity["identifier"] for entity in rest["entities"]] == ["s4"]
        assert "next" not in rest

    with_api(scenario)


def test_include_and_exclude(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        await api.target.apply([Upsert(service("a", properties={"stars": 1, "tier": "gold"}), 1)])
        query = {"combinator": "and", "rules": []}
        _, body = await api.call("POST", "/v1/entities/search?include=blueprint&include=identifier", query)
        assert body["entities"] == [{"identifier": "a", "blueprint": "service"}]
        assert body["matchingBlueprints"] == ["service"]
        _, body = await api.call(
            "GET", "/v1/blueprints/service/entities?exclude=properties.tier&exclude=title"
        )
        assert body["entities"][0]["properties"] == {"stars": 1}
        assert "title" not in body["entities"][0]

    with_api(scenario)


def test_searches(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        await api.target.apply(
            [
                Upsert(service("a", title="Alpha", properties={"stars": 5, "tags": ["x"]}), 1),
                Upsert(service("b", team=["core"], relations={"uses": ["a"], "owner": "t"}), 1),
            ]
        )
        assert await api.names(rule("$blueprint", "=", "service")) == ["a", "b"]
        assert await api.names(rule("$title", "beginsWith", "Al")) == ["a"]
        assert await api.names(rule("$team", "containsAny", ["core", "x"])) == ["b"]
        assert await api.names(rule("tags", "contains", "x")) == ["a"]
        assert await api.names(rule("$createdAt", "between", {"preset": "lastWeek"})) == ["a", "b", "t"]
        assert await api.names(rule("$createdAt", "between", {"preset": "yesterday"})) == []
        related = {"operator": "relatedTo", "blueprint": "service", "value": "a"}
        assert await api.names({"combinator": "or", "rules": [related]}) == ["b"]
        upstream = {**related, "value": "b", "direction": "upstream"}
        assert await api.names({"combinator": "or", "rules": [upstream]}) == ["a", "t"]

    with_api(scenario)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "not JSON"),
        ([], "must be an object"),
        ({"combinator": "xor", "rules": []}, "combinator"),
        (rule("stars", "~", 1), "operator"),
        (rule("stars", ">", "many"), "number or a date-time"),
        (rule("$colour", "=", 1), "meta property"),
        ({"combinator": "and", "rules": [{"property": "a", "operator": "="}]}, "needs a `value`"),
        ({"combinator": "and", "rules": [{"operator": "relatedTo", "value": 1, "blueprint": "b"}]}, "value"),
        (rule("$createdAt", "between", {"preset": "soon"}), "preset"),
        (b" " * 1_100_000, "larger than"),
    ],
)
def test_malformed_searches_are_refused(body: Any, part: str, with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        status, answered = await api.call("POST", "/v1/entities/search", body)
        assert (status, answered["ok"], answered["error"]) == (422, False, "invalid_request")
        assert part in answered["message"]

    with_api(scenario)


def test_bad_pages_and_addresses_are_refused(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        for query in ("limit=0", "limit=x", "from=nonsense", "limit=1001"):
            assert (await api.call("GET", f"/v1/blueprints/service/entities?{query}"))[0] == 422
        assert (await api.call("GET", "/v1/blueprints/service/pages"))[0] == 404
        assert (await api.call("POST", "/v1/blueprints/service/entities"))[0] == 404

    with_api(scenario)


def test_a_closed_catalog_answers_503(with_api: WithApi) -> None:
    async def scenario(api: Api) -> None:
        await api.target.close()
        status, body = await api.call("GET", "/v1/blueprints")
        assert (status, body["error"]) == (503, "unavailable")

    with_api(scenario)
