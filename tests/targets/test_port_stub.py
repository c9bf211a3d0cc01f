"""The Port stub refuses what Port refuses, and fails as told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tidegate.core.entities import EntityRef
from tidegate.testing.port_stub import PortStub

SERVICE = {
    "identifier": "service",
    "title": "Service",
    "schema": {"properties": {"url": {"type": "string", "format": "url"}}, "required": []},
    "relations": {"parent": {"target": "service", "many": False, "required": False}},
}
AGENT = {"User-Agent": "tests/mlflow/main/exporter"}


class Client:
    """The least that is needed to talk to the stub."""

    def __init__(self, stub: PortStub, session: aiohttp.ClientSession) -> None:
        self.stub, self.session, self.headers = stub, session, dict(AGENT)

    async def sign_in(self) -> None:
        body = {"clientId": self.stub.client_id, "clientSecret": self.stub.client_secret}
        _, answered = await self.call("POST", "/auth/access_token", body)
        self.headers["Authorization"] = f"{answered['tokenType']} {answered['accessToken']}"

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        url = f"{self.stub.url}/v1{path}"
        headers = self.headers | options.pop("headers", {})
        async with self.session.request(method, url, json=body, headers=headers, **options) as response:
            return response.status, await response.json()


def with_stub(scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with PortStub() as stub, aiohttp.ClientSession() as session:
            stub.add_blueprint(SERVICE)
            client = Client(stub, session)
            await client.sign_in()
            await scenario(client)

    asyncio.run(run())


def bulk(*entities: Any) -> dict[str, Any]:
    return {"entities": list(entities)}


def test_a_bulk_upsert_stores_entities() -> None:
    async def scenario(client: Client) -> None:
        sent = bulk({"identifier": "a", "title": "A", "properties": {"url": "https://a.io"}})
        status, body = await client.call("POST", "/blueprints/service/entities/bulk?upsert=true", sent)
        assert (status, body) == (
            200,
            {"ok": True, "entities": [{"index": 0, "identifier": "a", "created": True}], "errors": []},
        )
        stored = client.stub.entities[EntityRef("service", "a")]
        assert stored["datasource"] == AGENT["User-Agent"]
        status, body = await client.call("GET", "/blueprints/service/entities/a")
        assert body["entity"]["properties"] == {"url": "https://a.io"}
        assert "datasource" not in body["entity"]

    with_stub(scenario)


def test_one_bad_entity_is_reported_in_a_multi_status_answer() -> None:
    async def scenario(client: Client) -> None:
        sent = bulk({"identifier": "a", "properties": {"url": 1}}, {"identifier": "b"})
        status, body = await client.call("POST", "/blueprints/service/entities/bulk?upsert=true", sent)
        assert status == 207
        assert [entity["identifier"] for entity in body["entities"]] == ["b"]
        (error,) = body["errors"]
        assert (error["index"], error["identifier"], error["statusCode"]) == (0, "a", 422)
        assert "url must be a string, not a number" in error["message"]

    with_stub(scenario)


@pytest.mark.filterwarnings("ignore:Sending a large body")
@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (bulk(*({"identifier": str(n)} for n in range(21))), 422, "1 to 20 items"),
        (bulk(), 422, "1 to 20 items"),
        ({"entities": [{"identifier": "a"}], "more": 1}, 422, "nothing else"),
        (bulk({"identifier": "has space"}), 422, "may only have letters"),
        (bulk({"identifier": 5}), 422, "must be a string"),
        (bulk({"identifier": "a", "colour": "red"}), 422, "no field colour"),
        (bulk({"identifier": "a", "title": "x" * 1_100_000}), 413, "1 MiB"),
    ],
)
def test_malformed_bulks_are_refused_as_a_whole(body: Any, status: int, part: str) -> None:
    async def scenario(client: Client) -> None:
        answered = await client.call("POST", "/blueprints/service/entities/bulk?upsert=true", body)
        assert answered[0] == status
        assert part in answered[1]["message"]
        assert not client.stub.entities

    with_stub(scenario)


def test_who_may_talk_to_it() -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call("GET", "/blueprints"))[0] == 200
        assert (await client.call("GET", "/blueprints", headers={"User-Agent": "aiohttp"}))[0] == 422
        assert (await client.call("GET", "/blueprints", headers={"Authorization": "Bearer no"}))[0] == 401
        wrong = {"clientId": client.stub.client_id, "clientSecret": "wrong"}
        assert (await client.call("POST", "/auth/access_token", wrong))[0] == 401
        client.stub.expire_tokens()
        assert (await client.call("GET", "/blueprints"))[0] == 401

    with_stub(scenario)


def test_unknown_blueprints_parameters_and_relations_are_refused() -> None:
    async def scenario(client: Client) -> None:
        one = {"identifier": "a"}
        assert (await client.call("POST", "/blueprints/nope/entities?upsert=true", one))[0] == 404
        assert (await client.call("POST", "/blueprints/service/entities?upsrt=true", one))[0] == 422
        assert (await client.call("POST", "/blueprints/service/entities?upsert=1", one))[0] == 422
        lost = {"identifier": "a", "relations": {"parent": "b"}}
        status, body = await client.call("POST", "/blueprints/service/entities?upsert=true", lost)
        assert (status, body["error"]) == (404, "not_found")
        path = "/blueprints/service/entities?upsert=true&create_missing_related_entities=true"
        assert (await client.call("POST", path, lost))[0] == 201
        assert EntityRef("service", "b") in client.stub.entities

    with_stub(scenario)


def test_identifiers_with_slashes() -> None:
    async def scenario(client: Client) -> None:
        path = "/blueprints/service/entities"
        await client.call("POST", f"{path}?upsert=true", {"identifier": "a/b"})
        async with client.session.get(
            f"{client.stub.url}/v1{path}/a%2Fb", headers=client.headers
        ) as response:
            assert response.status == 200
        async with client.session.delete(
            f"{client.stub.url}/v1{path}/a%2Fb", headers=client.headers
        ) as response:
            assert response.status == 200
        assert not client.stub.entities

    with_stub(scenario)


def test_faults_come_in_order_and_end() -> None:
    async def scenario(client: Client) -> None:
        client.stub.fail_next(429, retry_after=7)
        client.stub.reset_next()
        async with client.session.get(f"{client.stub.url}/v1/blueprints", headers=client.headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
        with pytest.raises(aiohttp.ClientError):
            # POST: aiohttp itself would repeat a GET on a connection that was kept alive.
            await client.call("POST", "/entities/search", {"combinator": "and", "rules": []})
        assert (await client.call("GET", "/blueprints"))[0] == 200
        client.stub.outage(status=500)
        assert (await client.call("GET", "/blueprints"))[0] == 500
        client.stub.outage(on=False)
        assert (await client.call("GET", "/blueprints"))[0] == 200
        assert [request.status for request in client.stub.asked("GET")] == [429, 200, 500, 200]

    with_stub(scenario)


def test_a_lost_answer_leaves_the_write_in_place() -> None:
    async def scenario(client: Client) -> None:
        client.stub.lose_answer(path="/entities$")
        with pytest.raises(aiohttp.ClientError):
            await client.call("POST", "/blueprints/service/entities?upsert=true", {"identifier": "a"})
        assert EntityRef("service", "a") in client.stub.entities

    with_stub(scenario)


def test_a_hanging_request_ends_when_the_stub_closes() -> None:
    async def scenario(client: Client) -> None:
        client.stub.hang_next()
        call = asyncio.create_task(client.call("POST", "/entities/search", {}))
        async with asyncio.timeout(10):
            await client.stub.until(lambda stub: bool(stub.asked("POST", "/entities/search")))
        await client.stub.close()
        with pytest.raises(aiohttp.ClientError):
            await call

    with_stub(scenario)


def test_entities_can_be_refused_by_name() -> None:
    async def scenario(client: Client) -> None:
        client.stub.refuse("service", "a", "no a today", status=400)
        path = "/blueprints/service/entities/bulk?upsert=true"
        status, body = await client.call("POST", path, bulk({"identifier": "a"}, {"identifier": "b"}))
        assert (status, body["errors"][0]["message"]) == (207, "no a today")
        client.stub.accept("service", "a")
        assert (await client.call("POST", path, bulk({"identifier": "a"})))[0] == 200

    with_stub(scenario)
