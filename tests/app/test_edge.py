"""Settings and registrations into what holds at the edge: every bound can be set, networks and rates by path."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tidegate import AbstractWebhookProcessor, ConfigurationError, Integration
from tidegate.app.clock import SystemClock, new_id
from tidegate.app.edge import ingress_limits, listener_limits, path_policies
from tidegate.app.listeners import ingress_server
from tidegate.config import load_settings
from tidegate.core.networks import common_networks, parse_networks
from tidegate.engines.memory import MemoryEngine
from tidegate.ingress import IngressApp, IngressLimits, ListenerLimits, RateLimit
from tidegate.telemetry import Durations, Fanout, Metrics

MADE_OF_SEVERAL = {"path_rate", "sender_rate", "proxies", "shared_networks"}


class Ticket(AbstractWebhookProcessor):
    async def should_process_event(self, event: Any) -> bool:
        return True

    async def get_matching_kinds(self, event: Any) -> list[str]:
        return []

    async def authenticate(self, payload: Any, headers: Any) -> bool:
        return True

    async def validate_payload(self, payload: Any) -> bool:
        return True

    async def handle_event(self, payload: Any, resource_config: Any) -> Any:
        raise NotImplementedError


class Comment(Ticket):
    """Another processor of the same path."""


def settings_of(values: Mapping[str, Any]) -> Any:
    return load_settings(environ={}, directory=Path("/nowhere"), overrides={"ingress": values})


def integration_of(directory: Path, *networks: tuple[str, ...]) -> Integration:
    integration = Integration(directory)
    for processor, allowed in zip((Ticket, Comment), networks or ((),), strict=False):
        integration.add_webhook_processor("/hooks", processor, allowed_networks=allowed)
    return integration


@pytest.mark.parametrize("limits", [IngressLimits, ListenerLimits])
def test_every_limit_is_a_setting_with_the_same_default(limits: Any) -> None:
    ingress = settings_of({}).ingress
    for field in fields(limits):
        if field.name not in MADE_OF_SEVERAL:
            assert getattr(ingress, field.name) == field.default, field.name


@pytest.mark.parametrize(
    ("limits", "build"), [(IngressLimits, ingress_limits), (ListenerLimits, listener_limits)]
)
def test_every_setting_reaches_its_limit(limits: Any, build: Any) -> None:
    names = [field.name for field in fields(limits) if field.name not in MADE_OF_SEVERAL]
    values = {name: number + 7 for number, name in enumerate(names)}
    built = build(settings_of(values))
    assert {name: getattr(built, name) for name in names} == values


def test_rates_and_proxies_are_made_of_several_settings() -> None:
    values = {
        "sender_rate_per_second": 5,
        "path_rate_per_second": 3,
        "path_rate_burst": 4,
        "trusted_proxies": ["10.0.0.0/8"],
        "proxy_header": "forwarded",
    }
    limits = ingress_limits(settings_of(values))
    assert limits.sender_rate == RateLimit(5, 10)
    assert limits.path_rate == RateLimit(3, 4)
    assert limits.proxies.networks == (ip_network("10.0.0.0/8"),)
    assert limits.proxies.header == "forwarded"
    assert ingress_limits(settings_of({})).sender_rate is None
    assert ingress_limits(settings_of({})).path_rate is None


def test_a_path_has_the_networks_of_its_registration_unless_the_operator_says_otherwise(
    tmp_path: Path,
) -> None:
    integration = integration_of(tmp_path, ("192.0.2.0/24",))
    assert path_policies(integration, settings_of({}))["/hooks"].allowed_networks == parse_networks(
        ["192.0.2.0/24"], ""
    )
    said = {
        "paths": {"hooks/": {"allowed_networks": ["198.51.100.7"], "rate_per_second": 2, "max_body_bytes": 9}}
    }
    policy = path_policies(integration, settings_of(said))["/hooks"]
    assert policy.allowed_networks == parse_networks(["198.51.100.7"], "")
    assert (policy.rate, policy.max_body_bytes) == (RateLimit(2, 4), 9)
    open_again = {"paths": {"/hooks": {"allowed_networks": []}}}
    assert path_policies(integration, settings_of(open_again))["/hooks"].allowed_networks == ()


def test_processors_that_share_a_path_share_the_addresses_that_both_want(tmp_path: Path) -> None:
    both = integration_of(tmp_path, ("192.0.2.0/24", "2001:db8::/32"), ("192.0.0.0/16", "2001:db8:1::/48"))
    policy = path_policies(both, settings_of({}))["/hooks"]
    assert policy.allowed_networks == parse_networks(["192.0.2.0/24", "2001:db8:1::/48"], "")
    apart = integration_of(tmp_path, ("192.0.2.0/24",), ("198.51.100.0/24",))
    with pytest.raises(ConfigurationError, match="nobody could send to /hooks"):
        path_policies(apart, settings_of({}))
    assert common_networks(parse_networks(["::/0"], ""), parse_networks(["0.0.0.0/0"], "")) == ()


def test_what_cannot_be_used_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="/hooks: allowed_networks: 'nowhere' is no network"):
        integration_of(tmp_path, ("nowhere",))
    wrong = {"paths": {"/hooks": {"allowed_networks": ["10.0.0.1/8"]}}}
    with pytest.raises(ConfigurationError, match=r"ingress\.paths: /hooks: allowed_networks: '10.0.0.1/8'"):
        path_policies(integration_of(tmp_path), settings_of(wrong))
    with pytest.raises(
        ConfigurationError, match=r"ingress\.paths has /other, where no processor is registered"
    ):
        path_policies(integration_of(tmp_path), settings_of({"paths": {"/other": {}}}))


def test_refusals_and_connections_are_counted(tmp_path: Path) -> None:
    """Through the real listener to the exposition: 403, 429, 413, open and cut connections."""
    said = {
        "port": 0,
        "header_timeout_seconds": 0.1,
        "paths": {
            "/hooks": {"allowed_networks": ["192.0.2.0/24"]},
            "/narrow": {"rate_per_second": 0.001, "rate_burst": 2, "max_body_bytes": 4},
        },
    }
    integration = integration_of(tmp_path)
    integration.add_webhook_processor("/narrow", Ticket)
    settings, clock, metrics = settings_of(said), SystemClock(), Metrics(Durations())

    async def scenario() -> str:
        engine = MemoryEngine(clock)
        telemetry = Fanout(metrics)
        policies, limits = path_policies(integration, settings), ingress_limits(settings)
        app = IngressApp(policies, engine, clock, telemetry, new_id, limits=limits)
        server = ingress_server(app, settings, telemetry)
        address = await server.start()
        async with aiohttp.ClientSession() as session:
            for path, body, status in (
                ("hooks", "{}", 403),
                ("narrow", "{}", 202),
                ("narrow", "[{}, {}]", 413),
            ):
                headers = {"Content-Type": "application/json"}
                async with session.post(
                    f"http://{address}/integration/{path}", data=body, headers=headers
                ) as answer:
                    assert answer.status == status
            async with session.post(f"http://{address}/integration/narrow", json={}) as answer:
                assert answer.status == 429
                assert int(answer.headers["Retry-After"]) > 100
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        writer.close()
        text = metrics.exposition(await engine.backlog()).decode()
        await server.stop()
        return text

    text = asyncio.run(scenario())
    refused = 'tidegate_requests_refused_total{path="/%s",reason="%s",status="%d"} 1.0'
    assert refused % ("hooks", "forbidden-network", 403) in text
    assert refused % ("narrow", "too-large", 413) in text
    assert refused % ("narrow", "rate-limited", 429) in text
    assert 'tidegate_connections_cut_total{reason="no-request"} 1.0' in text
    assert "tidegate_connections_open 0.0" in text
