"""Picks the adapters of engine and target by the settings. Another engine or target is a branch here."""

from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

from tidegate.app.clock import SystemClock
from tidegate.authoring import Integration
from tidegate.config import Settings
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import EntityTarget, WholeEngine
from tidegate.core.resources import TargetOptions
from tidegate.engines.sqlite import SqliteEngine
from tidegate.mapping import MapperLimits
from tidegate.targets.catalog import CatalogTarget, PostgresPlace
from tidegate.targets.port import PortTarget

PATIENCE_SECONDS = 60.0
"""How long a service waits for an engine's server that is starting or failing over; commands wait less."""

COMMAND_PATIENCE_SECONDS = 5.0


def engine_path(settings: Settings) -> Path | None:
    """The embedded engine's file; None if the engine is a server."""
    path = settings.engine.url.removeprefix("sqlite:///")
    return None if path == settings.engine.url else Path(path)


def catalog_path(settings: Settings) -> Path | None:
    """The catalog's file; None if its tables are in the engine's database."""
    path = engine_path(settings)
    if settings.catalog.path:
        return Path(settings.catalog.path)
    return None if path is None else path.parent / "catalog.db"


def has_catalog(settings: Settings) -> bool:
    """True if the target is a catalog that this process may read."""
    path = catalog_path(settings)
    return settings.target == "catalog" and (path is None or path.exists())


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
    _check_psycopg()
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


def _check_psycopg() -> None:
    if find_spec("psycopg") is None:
        raise ConfigurationError("PostgreSQL needs the extra `postgres`: pip install 'tidegate[postgres]'")


def check_target(settings: Settings) -> None:
    """Raise ConfigurationError if the target's settings are not complete."""
    port = settings.port
    if settings.target == "port" and not (port.client_id and port.client_secret.get_secret_value()):
        raise ConfigurationError(
            "TIDEGATE__TARGET=port needs TIDEGATE__PORT__CLIENT_ID and TIDEGATE__PORT__CLIENT_SECRET"
        )


async def open_target(
    stack: AsyncExitStack,
    integration: Integration,
    settings: Settings,
    options: TargetOptions,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> EntityTarget:
    """Open the target that the settings name. Raises ConfigurationError."""
    identifier = settings.integration.identifier or integration.identifier
    if settings.target == "catalog":
        return await open_catalog(stack, settings, identifier, options, patience_seconds=patience_seconds)
    return _open_port(stack, integration, settings, identifier, options)


async def open_catalog(
    stack: AsyncExitStack,
    settings: Settings,
    identifier: str,
    options: TargetOptions | None = None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> CatalogTarget:
    """Open the catalog alone. Raises ConfigurationError."""
    path = catalog_path(settings)
    options, clock = options or TargetOptions(), SystemClock()
    if path is None:
        _check_psycopg()
        place = PostgresPlace(
            settings.engine.url,
            f"{settings.engine.postgres_schema}_catalog",
            pooler=settings.engine.postgres_pooler,
            patience_seconds=patience_seconds,
        )
        catalog = await CatalogTarget.on_postgres(
            place, integration_identifier=identifier, options=options, clock=clock
        )
    else:
        catalog = CatalogTarget.open(path, integration_identifier=identifier, options=options, clock=clock)
    stack.push_async_callback(catalog.close)
    return catalog


def _open_port(
    stack: AsyncExitStack,
    integration: Integration,
    settings: Settings,
    identifier: str,
    options: TargetOptions,
) -> EntityTarget:
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
