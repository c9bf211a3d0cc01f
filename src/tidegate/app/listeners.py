"""Builds the two listeners: webhooks face the internet, the admin listener does not."""

import logging
from collections.abc import Callable, Collection, Sequence
from socket import socket

from starlette.types import ASGIApp

from tidegate.app.clock import new_id
from tidegate.app.edge import ingress_limits, listener_limits, path_policies
from tidegate.app.roles import Role
from tidegate.app.station import Sockets
from tidegate.authoring import Integration
from tidegate.authoring.openness import open_paths
from tidegate.config import Settings
from tidegate.console import is_loopback
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Clock, Engine
from tidegate.core.signals import Telemetry
from tidegate.core.traces import Tracing
from tidegate.ingress import HttpServer, IngressApp, asgi, bind

INGRESS_PORT = "TIDEGATE__INGRESS__PORT"
ADMIN_PORT = "TIDEGATE__ADMIN__PORT"

SHORTEST_TOKEN = 16
"""Nothing slows guesses down but the token's own length."""

logger = logging.getLogger("tidegate")


def build_ingress(
    integration: Integration,
    settings: Settings,
    engine: Engine,
    clock: Clock,
    telemetry: Telemetry,
    reasons: Callable[[], Sequence[str]],
    tracing: Tracing,
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
        reasons=reasons,
        public_url=settings.ingress.public_url,
        tracing=tracing,
    )


def ingress_server(
    app: IngressApp, settings: Settings, telemetry: Telemetry, bound: socket | None = None
) -> HttpServer:
    """The listener of the webhook application, on a socket of its own unless one is given."""
    ingress = settings.ingress
    return HttpServer(
        app,
        ingress.host,
        ingress.port,
        limits=listener_limits(settings),
        setting=INGRESS_PORT,
        report=app.count_refusal,
        telemetry=telemetry,
        bound=bound,
    )


def admin_server(app: ASGIApp, settings: Settings, bound: socket | None = None) -> HttpServer:
    """The listener of the admin application, likewise."""
    return HttpServer(asgi(app), settings.admin.host, settings.admin.port, setting=ADMIN_PORT, bound=bound)


def bind_sockets(settings: Settings, roles: Collection[Role]) -> Sockets:
    """Listen for processes of these roles: who comes before they do waits. Raises ConfigurationError."""
    ingress, admin = settings.ingress, settings.admin
    sockets = Sockets(
        ingress=bind(ingress.host, ingress.port, INGRESS_PORT) if Role.INGRESS in roles else None,
        admin=bind(admin.host, admin.port, ADMIN_PORT),
    )
    for bound in (sockets.ingress, sockets.admin):
        if bound is not None:
            bound.listen(listener_limits(settings).accept_backlog)
    return sockets


def check_admin(settings: Settings) -> None:
    """Raise ConfigurationError if the admin listener would be open to other machines without a good token."""
    admin = settings.admin
    token = admin.token.get_secret_value()
    if is_loopback(admin.host):
        return
    if token and len(token) < SHORTEST_TOKEN:
        raise ConfigurationError(
            f"TIDEGATE__ADMIN__TOKEN has fewer than {SHORTEST_TOKEN} characters, and the admin listener would be "
            f"reachable at {admin.host}: make a longer one, with `openssl rand -hex 24` for example"
        )
    if not token:
        raise ConfigurationError(
            f"the admin listener would be reachable at {admin.host} without a token: "
            "set TIDEGATE__ADMIN__TOKEN, or keep TIDEGATE__ADMIN__HOST on 127.0.0.1"
        )
