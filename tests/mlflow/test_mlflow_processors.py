"""The MLflow integration against a small registry that answers as MLflow's REST API does."""

import asyncio
import base64
import hmac
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tidegate import ConfigurationError, Integration
from tidegate.core.lifecycle import EventState
from tidegate.testing.harness import Harness, harness

MODEL, VERSION = "mlflowRegisteredModel", "mlflowModelVersion"
SECRET = "a secret of the webhook"
TOKEN = "a token of the API"
PAGE = 2


@dataclass
class FakeRegistry:
    """Models by name, each with versions (number to tags) and aliases (name to number). Pages hold two."""

    models: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    reads: int = 0

    def routes(self) -> list[web.RouteDef]:
        api = "/api/2.0/mlflow"
        return [
            web.get(f"{api}/registered-models/search", self.search_models),
            web.get(f"{api}/registered-models/get", self.get_model),
            web.get(f"{api}/model-versions/search", self.search_versions),
        ]

    async def search_models(self, request: web.Request) -> web.Response:
        return self._page(request, "registered_models", [self._model(name) for name in sorted(self.models)])

    async def get_model(self, request: web.Request) -> web.Response:
        self._admit(request)
        name = request.query["name"]
        if name not in self.models:
            return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404)
        return web.json_response({"registered_model": self._model(name)})

    async def search_versions(self, request: web.Request) -> web.Response:
        names = list(self.models)
        wanted = re.fullmatch(r"name=(['\"])(.*)\1", request.query.get("filter", ""))
        if wanted is not None:
            assert wanted[1] not in wanted[2], "MLflow's filters cannot escape quotes"
            names = [wanted[2]] if wanted[2] in self.models else []
        found = [self._version(name, version) for name in names for version in self.models[name]]
        return self._page(request, "model_versions", found)

    def _page(self, request: web.Request, listing: str, items: list[Any]) -> web.Response:
        self._admit(request)
        start = int(request.query["page_token"] or 0)
        page: dict[str, Any] = {listing: items[start : start + PAGE]} if items else {}
        if start + PAGE < len(items):
            page["next_page_token"] = str(start + PAGE)
        return web.json_response(page)

    def _admit(self, request: web.Request) -> None:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.reads += 1

    def _model(self, name: str) -> dict[str, Any]:
        times = {"creation_timestamp": 1_700_000_000_123, "last_updated_timestamp": 1_700_000_060_000}
        latest = [self._version(name, max(self.models[name], key=int))] if self.models[name] else []
        model = {"name": name, **times, "latest_versions": latest}
        aliases = [{"alias": alias, "version": version} for alias, version in self._aliases(name).items()]
        return {**model, "aliases": aliases} if aliases else model

    def _version(self, name: str, version: str) -> dict[str, Any]:
        tags = [{"key": key, "value": value} for key, value in self.models[name][version].items()]
        return {
            "name": name,
            "version": version,
            "creation_timestamp": 1_700_000_000_123,
            "last_updated_timestamp": 1_700_000_060_000,
            "current_stage": "None",
            "description": "",
            "source": "s3://models/x",
            "run_id": "",
            "status": "READY",
            **({"tags": tags} if tags else {}),
        }

    def _aliases(self, name: str) -> dict[str, str]:
        return self.aliases.get(name, {})


@dataclass
class Bench:
    """The integration at work on a fake registry."""

    registry: FakeRegistry
    running: Harness

    async def tell(self, event: str, name: str, *, secret: str = SECRET) -> str:
        """Deliver a signed webhook and wait until it is dealt with; answers its id."""
        entity, _, action = event.partition(".")
        payload = {
            "entity": entity,
            "action": action,
            "timestamp": "2026-01-01T00:00:00Z",
            "data": {"name": name},
        }
        signed = b"d-1.1700000000." + msgspec.json.encode(payload)
        digest = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
        headers = {
            "X-MLflow-Delivery-Id": "d-1",
            "X-MLflow-Timestamp": "1700000000",
            "X-MLflow-Signature": f"v1,{digest}",
        }
        event_id = await self.running.deliver("/webhook", payload, headers)
        await self.running.settle()
        return event_id

    async def state(self, event_id: str) -> EventState:
        return (await self.running.explain(event_id)).record.state

    def names(self, blueprint: str) -> list[str]:
        return sorted(ref.identifier for ref in self.running.entities if ref.blueprint == blueprint)


@asynccontextmanager
async def bench(integration: Integration) -> AsyncGenerator[Bench]:
    registry = FakeRegistry()
    app = web.Application()
    app.add_routes(registry.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        config = {"mlflow_url": url, "webhook_secret": SECRET, "mlflow_token": TOKEN}
        async with harness(integration, config=config) as running:
            yield Bench(registry, running)
    finally:
        await runner.cleanup()


def play(integration: Integration, scene: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        async with bench(integration) as ready:
            await scene(ready)

    asyncio.run(run())


def test_a_webhook_brings_the_model_and_its_versions(integration: Integration) -> None:
    async def scene(bench: Bench) -> None:
        bench.registry.models["churn"] = {"1": {}, "2": {"owner": "risk"}}
        bench.registry.aliases["churn"] = {"champion": "2", "best": "2"}
        assert await bench.state(await bench.tell("model_version.created", "churn")) is EventState.APPLIED

        model = bench.running.entity(MODEL, "churn")
        assert model is not None
        assert model.title == "churn"
        assert isinstance(model.properties, dict)
        assert model.properties["aliases"] == {"champion": "2", "best": "2"}
        assert model.properties["latestVersion"] == 2
        assert model.properties["createdAt"] == "2023-11-14T22:13:20Z"
        version = bench.running.entity(VERSION, "churn/2")
        assert version is not None
        assert version.relations == {"model": "churn"}
        assert isinstance(version.properties, dict)
        assert version.properties["tags"] == {"owner": "risk"}
        assert version.properties["aliases"] == ["best", "champion"]
        assert version.properties["runId"] is None

    play(integration, scene)


def test_what_is_gone_from_the_registry_leaves_the_catalog(integration: Integration) -> None:
    async def scene(bench: Bench) -> None:
        bench.registry.models |= {"churn": {"1": {}, "2": {}}, "demand": {"1": {}}}
        for name in ("churn", "demand"):
            await bench.tell("model_version.created", name)
        del bench.registry.models["churn"]["1"]
        del bench.registry.models["demand"]
        await bench.tell("model_version_alias.created", "churn")
        assert bench.names(MODEL) == ["churn"]
        assert "churn/1" not in bench.names(VERSION)
        await bench.tell("model_version_tag.set", "demand")  # a late webhook of a model that is gone
        assert bench.names(VERSION) == ["churn/2"]

    play(integration, scene)


def test_all_pages_are_read(integration: Integration) -> None:
    async def scene(bench: Bench) -> None:
        bench.registry.models |= {f"model-{number}": {} for number in range(2 * PAGE)}
        bench.registry.models["large"] = {str(number): {} for number in range(1, 3 * PAGE)}
        await bench.tell("model_version.created", "large")
        assert len(bench.names(MODEL)) == 2 * PAGE + 1
        assert len(bench.names(VERSION)) == 3 * PAGE - 1

    play(integration, scene)


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("it's", "it=27s"),
        ('"quoted"', "=22quoted=22"),
        ("both ' and \"", "both=20=27=20and=20=22"),
        ("größe ~1%", "gr=C3=B6=C3=9Fe=20=7E1=25"),
        ("a=3D", "a=3D3D"),
        ("..", "=2E."),
    ],
)
def test_any_name_becomes_an_identifier_of_its_own(
    integration: Integration, name: str, identifier: str
) -> None:
    async def scene(bench: Bench) -> None:
        bench.registry.models |= {name: {"1": {}}, "another": {"1": {}}}
        await bench.tell("model_version.created", name)
        model = bench.running.entity(MODEL, identifier)
        assert model is not None
        assert model.title == name
        assert bench.names(VERSION) == [f"{identifier}/1"]

    play(integration, scene)


def test_a_webhook_that_was_not_signed_with_the_secret_is_rejected_unread(integration: Integration) -> None:
    async def scene(bench: Bench) -> None:
        bench.registry.models["churn"] = {}
        event_id = await bench.tell("registered_model.created", "churn", secret="another secret")
        assert await bench.state(event_id) is EventState.REJECTED
        assert bench.registry.reads == 0
        assert not bench.running.entities

    play(integration, scene)


def test_events_of_other_resources_are_ignored(integration: Integration) -> None:
    async def scene(bench: Bench) -> None:
        event_id = await bench.tell("prompt.created", "greeting")
        assert await bench.state(event_id) is EventState.IGNORED
        assert bench.registry.reads == 0

    play(integration, scene)


@pytest.mark.parametrize("missing", ["mlflow_url", "webhook_secret"])
def test_it_does_not_start_without_its_settings(integration: Integration, missing: str) -> None:
    async def start() -> None:
        config = {"mlflow_url": "http://127.0.0.1:1", "webhook_secret": SECRET, missing: ""}
        async with harness(integration, config=config):
            pass

    with pytest.raises(ConfigurationError, match=f"TIDEGATE__INTEGRATION__CONFIG__{missing.upper()}"):
        asyncio.run(start())
