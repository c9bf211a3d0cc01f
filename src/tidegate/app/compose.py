"""Picks the adapters and ties them to the use cases."""

import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from tidegate.app.clock import SystemClock, new_id, this_process
from tidegate.app.console import console_pages
from tidegate.app.listeners import build_ingress, check_admin, ingress_server
from tidegate.app.outgoing import fetch_client
from tidegate.app.previews import open_dry_runs
from tidegate.app.service import Readiness, Service
from tidegate.authoring import Integration
from tidegate.authoring.blueprints import read_blueprints
from tidegate.config import Settings
from tidegate.console import AdminParts, admin_app
from tidegate.core.errors import ConfigurationError
from tidegate.core.resources import TargetOptions
from tidegate.engines.sqlite import SqliteEngine
from tidegate.fetch import HostBreakers
from tidegate.ingress import HttpServer
from tidegate.mapping import JqMapper, MapperLimits, read_mapping
from tidegate.pipeline.processing import RunLimits
from tidegate.pipeline.replaying import replay
from tidegate.targets.catalog import CatalogTarget, catalog_routes
from tidegate.targets.port import PortTarget
from tidegate.telemetry import Fanout, LogLines, Metrics, OverviewReader, SampleKeeper, SampleRoll
from tidegate.worker.assembly import WorkerPorts, assemble
from tidegate.worker.dispatcher import WorkerLimits
from tidegate.worker.maintenance import Pruner


def engine_path(settings: Settings) -> Path:
    """The engine's file."""
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


def open_target(
    stack: AsyncExitStack, integration: Integration, settings: Settings, options: TargetOptions
) -> CatalogTarget | PortTarget:
    """Open the target that the settings name. Raises ConfigurationError."""
    identifier = settings.integration.identifier or integration.identifier
    if settings.target == "catalog":
        return open_catalog(stack, settings, identifier, options)
    return _open_port(stack, integration, settings, identifier, options)


async def open_engine(stack: AsyncExitStack, settings: Settings) -> SqliteEngine:
    """Open the engine alone, as the command line does. Raises ConfigurationError."""
    return await stack.enter_async_context(
        SqliteEngine.open(
            engine_path(settings),
            clock=SystemClock(),
            lease_seconds=settings.engine.lease_seconds,
            max_backlog=settings.engine.max_backlog,
        )
    )


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


@asynccontextmanager
async def composed(integration: Integration, settings: Settings) -> AsyncGenerator[Service]:
    """A service with all its parts open, not yet started.

    Raises ConfigurationError, before anything listens, if settings, mapping or blueprints are wrong.
    """
    check_admin(settings)
    if not integration.registrations:
        raise ConfigurationError(
            "the integration has no webhook processor: call integration.add_webhook_processor(path, Processor)"
        )
    mapping = read_mapping(integration.mapping_file)
    blueprints = read_blueprints(integration.blueprints_file)
    clock, metrics, readiness = SystemClock(), Metrics(), Readiness()
    roll = SampleRoll()
    telemetry = Fanout(metrics, LogLines(), roll)
    async with AsyncExitStack() as stack:
        engine = await open_engine(stack, settings)
        target = open_target(stack, integration, settings, mapping.options)
        catalog = target if isinstance(target, CatalogTarget) else None
        hosts = HostBreakers(clock, telemetry)
        http = await stack.enter_async_context(fetch_client(settings, hosts, clock))
        integration.bind(settings.integration.config, http)
        mapper = JqMapper(mapping.configs, mapper_limits(settings))
        stack.push_async_callback(mapper.close)
        dispatcher = assemble(
            integration,
            WorkerPorts(engine, target, mapper, hosts, clock, telemetry, random.SystemRandom().random),
            WorkerLimits(runs=settings.event_workers_count),
            RunLimits(timeout_seconds=settings.run_timeout_seconds),
        )
        applier = dispatcher.applier

        def paused() -> dict[str, str]:
            target_pause = {"target": applier.breaker.reason} if applier.breaker.is_open else {}
            return {**target_pause, **hosts.paused()}

        async def replayed(event_id: str) -> str:
            return await replay(engine, event_id, clock, new_id)

        overview = OverviewReader(engine, clock).read
        token = settings.admin.token.get_secret_value()
        pages = console_pages(
            engine,
            clock,
            integration.identifier,
            overview=overview,
            paused=paused,
            reasons=readiness.texts,
            replay=replayed,
            target=target,
            signs_out=bool(token),
        )
        admin = admin_app(
            AdminParts(
                engine=engine,
                metrics=metrics,
                reasons=readiness.texts,
                paused=paused,
                replay=replayed,
                overview=overview,
                dry_runs=open_dry_runs(engine, mapper_limits(settings), catalog, clock),
                clock=clock,
                routes=[*(catalog_routes(catalog) if catalog else ()), *pages],
                token=token,
            )
        )

        async def check_mapping() -> list[str]:
            return [str(problem) for problem in await mapper.problems()]

        ingress = build_ingress(integration, settings, engine, clock, telemetry, readiness)
        yield Service(
            integration=integration,
            target=target,
            blueprints=blueprints,
            default_mapping=mapping.document,
            ingress=ingress,
            ingress_server=ingress_server(ingress, settings, telemetry),
            admin_server=HttpServer(
                admin, settings.admin.host, settings.admin.port, setting="TIDEGATE__ADMIN__PORT"
            ),
            dispatcher=dispatcher,
            leases=dispatcher.leases,
            samples=SampleKeeper(engine, clock, this_process("all"), roll, lambda: dispatcher.runs_in_hand),
            pruner=Pruner(engine, clock, timedelta(hours=settings.engine.retention_hours)),
            telemetry=telemetry,
            readiness=readiness,
            check_mapping=check_mapping,
            drain_seconds=settings.drain_seconds,
        )


def _open_port(
    stack: AsyncExitStack,
    integration: Integration,
    settings: Settings,
    identifier: str,
    options: TargetOptions,
) -> PortTarget:
    port = settings.port
    secret = port.client_secret.get_secret_value()
    if not (port.client_id and secret):
        raise ConfigurationError(
            "TIDEGATE__TARGET=port needs TIDEGATE__PORT__CLIENT_ID and TIDEGATE__PORT__CLIENT_SECRET"
        )
    target = PortTarget(
        port.base_url,
        port.client_id,
        secret,
        integration_identifier=identifier,
        integration_type=settings.integration.type or integration.integration_type,
        options=options,
        timeout_seconds=port.timeout_seconds,
    )
    stack.push_async_callback(target.close)
    return target
