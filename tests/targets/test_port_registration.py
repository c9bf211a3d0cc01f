"""What the Port target creates at start, and what it leaves alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tidegate.core.errors import ConfigurationError, TargetUnavailableError
from tidegate.core.resources import TargetOptions
from tidegate.targets.port import PortTarget
from tidegate.testing.port_stub import PortStub

MAPPING = {"resources": [{"kind": "model"}]}


def blueprint(identifier: str, **relations: str) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "title": identifier,
        "schema": {"properties": {"url": {"type": "string"}}, "required": []},
        "relations": {name: {"target": target, "many": False} for name, target in relations.items()},
    }


def with_port(scenario: Callable[[PortStub, PortTarget], Awaitable[None]]) -> None:
    async def run() -> None:
        async with PortStub() as stub:
            target = PortTarget(
                stub.url,
                stub.client_id,
                stub.client_secret,
                integration_identifier="main",
                integration_type="mlflow",
                options=TargetOptions(),
            )
            try:
                await scenario(stub, target)
            finally:
                await target.close()

    asyncio.run(run())


def test_blueprints_are_created_after_those_they_relate_to() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.prepare([blueprint("c", b="b"), blueprint("b", a="a"), blueprint("a")], MAPPING)
        assert list(stub.blueprints) == ["a", "b", "c"]
        assert stub.blueprints["c"]["relations"]["b"]["target"] == "b"
        assert not stub.asked("PATCH")

    with_port(scenario)


def test_blueprints_that_relate_to_each_other_are_completed_afterwards() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        mirror = {"mirrorProperties": {"parent_url": {"path": "parent.url"}}}
        given = [blueprint("x", y="y") | mirror, blueprint("y", x="x"), blueprint("self", parent="self")]
        await target.prepare(given, MAPPING)
        for one in given:
            assert {**stub.blueprints[one["identifier"]]} == one

    with_port(scenario)


def test_what_is_there_is_left_alone() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.add_blueprint(blueprint("a") | {"title": "Mine"})
        stub.integrations["main"] = {"installationId": "main", "config": {"resources": []}}
        await target.prepare([blueprint("a"), blueprint("b", a="a")], MAPPING)
        assert stub.blueprints["a"]["title"] == "Mine"
        assert stub.integrations["main"]["config"] == {"resources": []}
        await target.prepare([blueprint("a"), blueprint("b", a="a")], MAPPING)
        assert len(stub.asked("POST", "/blueprints")) == 1

    with_port(scenario)


def test_the_integration_is_registered_with_its_mapping() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.prepare([], MAPPING)
        registered = stub.integrations["main"]
        assert (registered["installationAppType"], registered["config"]) == ("mlflow", MAPPING)

    with_port(scenario)


def test_an_integration_without_mapping_gets_the_default() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.integrations["main"] = {"installationId": "main", "config": {}}
        await target.prepare([], MAPPING)
        assert stub.integrations["main"]["config"] == MAPPING

    with_port(scenario)


def test_a_blueprint_that_port_refuses_is_the_users_to_mend() -> None:
    async def scenario(_: PortStub, target: PortTarget) -> None:
        wrong = blueprint("a") | {"schema": {"properties": {"url": {"type": "text"}}}}
        with pytest.raises(ConfigurationError, match=r"blueprint a: .*type"):
            await target.prepare([wrong], MAPPING)

    with_port(scenario)


def test_an_outage_at_the_start_is_an_outage() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(503, path="/v1/integration")
        with pytest.raises(TargetUnavailableError):
            await target.prepare([blueprint("a")], MAPPING)
        await target.prepare([blueprint("a")], MAPPING)
        assert "main" in stub.integrations

    with_port(scenario)
