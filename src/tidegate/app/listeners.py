"""Builds the two listeners: webhooks face the internet, the admin listener does not."""

import logging

from tidegate.app.clock import new_id
from tidegate.app.edge import ingress_limits, listener_limits, path_policies
from tidegate.app.service import Readiness
from tidegate.authoring import Integration
from tidegate.authoring.openness import open_paths
from tidegate.config import Settings
from tidegate.console import is_loopback
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Clock, Engine
from tidegate.core.signals import Telemetry
from tidegate.ingress import HttpServer, IngressApp

logger = logging.getLogger("tidegate")


def build_ingress(
    integration: Integration,
    settings: Settings,
    engine: Engine,
    clock: Clock,
    telemetry: Telemetry,
    readiness: Readiness,
) -> IngressApp:
    """The webhook application. Raises ConfigurationError for settings that cannot be used."""
    for path in open_paths(integration):
        logger.warning(
            "anybody can send events to %s: give add_webhook_processor a verify=, or look at the sender in "
            "authenticate()",
            path,
        )
    return IngressApp(
        path_policies(integration, settings),
        engine,
        clock,
        telemetry,
        new_id,
        limits=ingress_limits(settings),
        reasons=readiness.texts,
        public_url=settings.ingress.public_url,
    )


def ingress_server(app: IngressApp, settings: Settings, telemetry: Telemetry) -> HttpServer:
    """The listener of the webhook application."""
    ingress = settings.ingress
    return HttpServer(
        app,
        ingress.host,
        ingress.port,
        limits=listener_limits(settings),
        setting="TIDEGATE__INGRESS__PORT",
        report=app.count_refusal,
        telemetry=telemetry,
    )


def check_admin(settings: Settings) -> None:
    """Raise ConfigurationError if the admin listener would be open to other machines without a token."""
    admin = settings.admin
    if not admin.token.get_secret_value() and not is_loopback(admin.host):
        raise ConfigurationError(
            f"the admin listener would be reachable at {admin.host} without a token: "
            "set TIDEGATE__ADMIN__TOKEN, or keep TIDEGATE__ADMIN__HOST on 127.0.0.1"
        )
