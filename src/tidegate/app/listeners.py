"""Builds the two listeners: webhooks face the internet, the admin listener does not."""

from tidegate.app.clock import new_id
from tidegate.app.service import Readiness
from tidegate.authoring import Integration, Registration
from tidegate.config import Settings
from tidegate.console import is_loopback
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Clock, Engine
from tidegate.core.signals import Telemetry
from tidegate.core.verification import Verifier
from tidegate.ingress import (
    DeliveryIdRule,
    HttpServer,
    IngressApp,
    IngressLimits,
    ListenerLimits,
    Network,
    PathPolicy,
    ProxyTrust,
    RateLimit,
    parse_networks,
)


def path_policies(integration: Integration) -> dict[str, PathPolicy]:
    """One policy for each registered path, with what its processors ask for. Raises ConfigurationError."""
    by_path: dict[str, list[Registration]] = {}
    for registration in integration.registrations:
        by_path.setdefault(registration.path, []).append(registration)
    return {path: _policy(path, registrations) for path, registrations in by_path.items()}


def _policy(path: str, registrations: list[Registration]) -> PathPolicy:
    verifiers: list[Verifier] = []
    for registration in registrations:
        if registration.verify is not None and registration.verify not in verifiers:
            verifiers.append(registration.verify)
    headers = tuple(
        dict.fromkeys(each.delivery_id_header for each in registrations if each.delivery_id_header)
    )
    paths = tuple(dict.fromkeys(each.delivery_id_path for each in registrations if each.delivery_id_path))
    rule = DeliveryIdRule(headers=headers, body_paths=paths) if headers or paths else DeliveryIdRule()
    return PathPolicy(path, tuple(verifiers), rule)


def build_ingress(
    integration: Integration,
    settings: Settings,
    engine: Engine,
    clock: Clock,
    telemetry: Telemetry,
    readiness: Readiness,
) -> IngressApp:
    """The webhook application. Raises ConfigurationError for settings that cannot be used."""
    ingress = settings.ingress
    rate = ingress.rate_per_second
    limits = IngressLimits(
        max_body_bytes=ingress.max_body_bytes,
        max_decoded_bytes=ingress.max_body_bytes,
        body_timeout_seconds=ingress.body_timeout_seconds,
        sender_rate=RateLimit(per_second=rate, burst=max(rate * 2, 1.0)) if rate else None,
        proxies=ProxyTrust(_trusted(settings)),
    )
    return IngressApp(
        path_policies(integration),
        engine,
        clock,
        telemetry,
        new_id,
        limits=limits,
        reasons=readiness.texts,
        public_url=ingress.public_url,
    )


def ingress_server(app: IngressApp, settings: Settings) -> HttpServer:
    """The listener of the webhook application."""
    ingress = settings.ingress
    limits = ListenerLimits(
        max_connections=ingress.max_connections,
        max_connections_per_address=ingress.max_connections_per_address,
        header_timeout_seconds=ingress.header_timeout_seconds,
        shared_networks=_trusted(settings),
    )
    return HttpServer(
        app,
        ingress.host,
        ingress.port,
        limits=limits,
        setting="TIDEGATE__INGRESS__PORT",
        report=app.count_refusal,
    )


def check_admin(settings: Settings) -> None:
    """Raise ConfigurationError if the admin listener would be open to other machines without a token."""
    admin = settings.admin
    if not admin.token.get_secret_value() and not is_loopback(admin.host):
        raise ConfigurationError(
            f"the admin listener would be reachable at {admin.host} without a token: "
            "set TIDEGATE__ADMIN__TOKEN, or keep TIDEGATE__ADMIN__HOST on 127.0.0.1"
        )


def _trusted(settings: Settings) -> tuple[Network, ...]:
    return parse_networks(settings.ingress.trusted_proxies, "TIDEGATE__INGRESS__TRUSTED_PROXIES")
