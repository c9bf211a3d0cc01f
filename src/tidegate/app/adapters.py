"""Picks the adapters of engine and target by the settings. Another engine or target is a branch here."""

from contextlib import AsyncExitStack
from importlib.util import find_spec
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

PATIENCE_SECONDS = 60.0
"""How long a service waits for an engine's server that is starting or failing over; commands wait less."""

COMMAND_PATIENCE_SECONDS = 5.0


def engine_path(settings: Settings) -> Path | None:
    """The embedded engine's file; None if the engine is a server."""
    path = settings.engine.url.removeprefix("sqlite:///")
    return None if path == settings.engine.url else Path(path)


def catalog_path(settings: Settings) -> Path:
    """The embedded catalog's file. Raises ConfigurationError if it is nowhere."""
    path = engine_path(settings)
    if settings.catalog.path:
        return Path(settings.catalog.path)
    if path is None:
        raise ConfigurationError(
            "the embedded catalog is a file of one machine, and the engine is PostgreSQL: set TIDEGATE__CATALOG__PATH"
            " if all processes run on this machine, or TIDEGATE__TARGET=port"
        )
    return path.parent / "catalog.db"


def mapper_limits(settings: Settings) -> MapperLimits:
    """The bounds of JQ."""
    return MapperLimits(
        item_timeout_seconds=settings.mapping.item_timeout_seconds,
        memory_bytes=settings.mapping.memory_bytes,
    )


async def open_engine(
    stack: AsyncExitStack, settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS
) -> WholeEngine:
    """Open the engine that the settings name, beside others that have it open. Raises ConfigurationError; if a
    server cannot be reached, after trying for a while.
    """
    path = engine_path(settings)
    if path is None:
        return await _open_postgres(stack, settings, patience_seconds)
    return await stack.enter_async_context(
        SqliteEngine.open(
            path,
            clock=SystemClock(),
            lease_seconds=settings.engine.lease_seconds,
            max_backlog=settings.engine.max_backlog,
        )
    )


async def _open_postgres(stack: AsyncExitStack, settings: Settings, patience_seconds: float) -> WholeEngine:
    if find_spec("psycopg") is None:
        raise ConfigurationError("PostgreSQL needs the extra `postgres`: pip install 'tidegate[postgres]'")
    from tidegate.engines.postgres import PostgresEngine, PostgresOptions

    engine = settings.engine
    options = PostgresOptions(
        schema=engine.postgres_schema,
        connections=engine.postgres_connections,
        pooler=engine.postgres_pooler,
        listen_url=engine.postgres_listen_url,
        lease_seconds=engine.lease_seconds,
        max_backlog=engine.max_backlog,
        patience_seconds=patience_seconds,
    )
    opened = PostgresEngine.open(engine.url, clock=SystemClock(), options=options)
    return await stack.enter_async_context(opened)


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
