"""Picks the adapters of engine and target by the settings. Another engine or target is a branch here."""

from contextlib import AsyncExitStack
from pathlib import Path

from tidegate.app.clock import SystemClock
from tidegate.authoring import Integration
from tidegate.config import Settings
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import WholeEngine
from tidegate.core.resources import TargetOptions
from tidegate.engines.sqlite import SqliteEngine
from tidegate.mapping import MapperLimits
from tidegate.targets.catalog import CatalogTarget
from tidegate.targets.port import PortTarget


def engine_path(settings: Settings) -> Path:
    """The embedded engine's file."""
    return Path(settings.engine.url.removeprefix("sqlite:///"))


def catalog_path(settings: Settings) -> Path:
    """The embedded catalog's file."""
    return (
        Path(settings.catalog.path) if settings.catalog.path else engine_path(settings).parent / "catalog.db"
    )


def mapper_limits(settings: Settings) -> MapperLimits:
    """The bounds of JQ."""
    return MapperLimits(
        item_timeout_seconds=settings.mapping.item_timeout_seconds,
        memory_bytes=settings.mapping.memory_bytes,
    )


async def open_engine(stack: AsyncExitStack, settings: Settings) -> WholeEngine:
    """Open the engine that the settings name, beside others that have it open. Raises ConfigurationError."""
    return await stack.enter_async_context(
        SqliteEngine.open(
            engine_path(settings),
            clock=SystemClock(),
            lease_seconds=settings.engine.lease_seconds,
            max_backlog=settings.engine.max_backlog,
        )
    )


def check_target(settings: Settings) -> None:
    """Raise ConfigurationError if the target's settings are not complete."""
    port = settings.port
    if settings.target == "port" and not (port.client_id and port.client_secret.get_secret_value()):
        raise ConfigurationError(
            "TIDEGATE__TARGET=port needs TIDEGATE__PORT__CLIENT_ID and TIDEGATE__PORT__CLIENT_SECRET"
        )


def open_target(
    stack: AsyncExitStack, integration: Integration, settings: Settings, options: TargetOptions
) -> CatalogTarget | PortTarget:
    """Open the target that the settings name. Raises ConfigurationError."""
    identifier = settings.integration.identifier or integration.identifier
    if settings.target == "catalog":
        return open_catalog(stack, settings, identifier, options)
    return _open_port(stack, integration, settings, identifier, options)


def open_catalog(
    stack: AsyncExitStack, settings: Settings, identifier: str, options: TargetOptions | None = None
) -> CatalogTarget:
    """Open the embedded catalog alone. Raises ConfigurationError."""
    catalog = CatalogTarget.open(
        catalog_path(settings),
        integration_identifier=identifier,
        options=options or TargetOptions(),
        clock=SystemClock(),
    )
    stack.push_async_callback(catalog.close)
    return catalog


def _open_port(
    stack: AsyncExitStack,
    integration: Integration,
    settings: Settings,
    identifier: str,
    options: TargetOptions,
) -> PortTarget:
    check_target(settings)
    port = settings.port
    target = PortTarget(
        port.base_url,
        port.client_id,
        port.client_secret.get_secret_value(),
        integration_identifier=identifier,
        integration_type=settings.integration.type or integration.integration_type,
        options=options,
        timeout_seconds=port.timeout_seconds,
    )
    stack.push_async_callback(target.close)
    return target
