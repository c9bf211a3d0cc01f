"""Ties the adapters to the use cases: all parts of a service, or those that one of its processes runs."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from starlette.types import ASGIApp

from tidegate.app.adapters import check_target, mapper_limits, open_catalog, open_engine, open_target
from tidegate.app.admin import admin_application
from tidegate.app.clock import SystemClock, this_process
from tidegate.app.condition import Condition, ServiceCondition
from tidegate.app.listeners import admin_server, build_ingress, check_admin, ingress_server
from tidegate.app.outgoing import fetch_client
from tidegate.app.roles import Role
from tidegate.app.service import Intake, Service
from tidegate.app.station import ALONE, Station
from tidegate.app.tracing import open_tracing
from tidegate.app.work import Work
from tidegate.authoring import Integration
from tidegate.authoring.blueprints import read_blueprints
from tidegate.config import Settings
from tidegate.console.admin import MetricsPage
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.core.ports import Clock, EntityTarget, WholeEngine
from tidegate.core.samples import Process
from tidegate.core.signals import Telemetry
from tidegate.core.traces import Tracing
from tidegate.fetch import HostBreakers
from tidegate.mapping import JqMapper, MappingFile, read_mapping
from tidegate.pipeline.processing import RunLimits
from tidegate.targets.catalog import CatalogTarget
from tidegate.telemetry import (
    Durations,
    Fanout,
    LogLines,
    Metrics,
    SampleKeeper,
    SampleRoll,
    SharedMetrics,
    Turns,
    share_metrics,
)
from tidegate.worker.assembly import WorkerPorts, assemble
from tidegate.worker.dispatcher import WorkerLimits
from tidegate.worker.maintenance import Pruner


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the parts of one process have in common."""

    integration: Integration
    settings: Settings
    mapping: MappingFile
    engine: WholeEngine
    clock: Clock
    telemetry: Telemetry
    tracing: Tracing
    hosts: HostBreakers
    condition: Condition
    whole: ServiceCondition


@asynccontextmanager
async def composed(
    integration: Integration, settings: Settings, station: Station = ALONE
) -> AsyncGenerator[Service]:
    """The parts of a service that this process runs, open and not yet started.

    Raises ConfigurationError, before anything listens, if settings, mapping or blueprints are wrong.
    """
    check_admin(settings)
    if not integration.registrations:
        raise ConfigurationError(
            "the integration has no webhook processor: call integration.add_webhook_processor(path, Processor)"
        )
    mapping, blueprints = read_mapping(integration.mapping_file), read_blueprints(integration.blueprints_file)
    check_target(settings)
    if station.metrics is not None:
        share_metrics(station.metrics, station.name)
    loop = asyncio.get_running_loop()
    durations = Durations(loop.call_later)
    metrics, roll, condition = Metrics(durations), SampleRoll(durations), Condition()
    page = metrics if station.metrics is None else SharedMetrics(station.metrics)
    turns = Turns(durations, metrics, roll, call_soon=loop.call_soon)
    clock, telemetry = SystemClock(), Fanout(turns, metrics, LogLines(), roll)
    hosts, process = HostBreakers(clock, telemetry), this_process(station.name)
    async with AsyncExitStack() as stack:
        stack.callback(durations.hand_on)
        stack.callback(turns.hand_on)
        tracing = await open_tracing(stack, settings, process)
        http = await stack.enter_async_context(fetch_client(settings, hosts, clock))
        integration.bind(settings.integration.config, http)  # verifiers need it too
        parts = _Parts(
            integration,
            settings,
            mapping,
            await open_engine(stack, settings),
            clock,
            telemetry,
            tracing,
            hosts,
            condition,
            station.board or condition,
        )
        target = await _target(stack, parts, station)
        service = Service(condition, parts.telemetry)
        if Role.WORKER in station.roles and target is not None:
            service.work = await _work(stack, parts, target, blueprints)
        if Role.INGRESS in station.roles:
            app = build_ingress(
                integration, settings, parts.engine, parts.clock, parts.telemetry, parts.whole.texts, tracing
            )
            service.intake = Intake(
                app, ingress_server(app, settings, parts.telemetry, station.sockets.ingress)
            )
        if Role.ADMIN in station.roles:
            service.admin = admin_server(_admin(parts, target, page), settings, station.sockets.admin)
        if service.work is not None or service.intake is not None:
            service.samples = _samples(parts, process, roll, service.work)
        yield service


def _samples(parts: _Parts, process: Process, roll: SampleRoll, work: Work | None) -> SampleKeeper:
    return SampleKeeper(
        parts.engine, parts.clock, process, roll, lambda: work.dispatcher.runs_in_hand if work else 0
    )


async def _target(stack: AsyncExitStack, parts: _Parts, station: Station) -> EntityTarget | None:
    """The target, where something is written to it or read from it."""
    if Role.WORKER in station.roles:
        return await open_target(stack, parts.integration, parts.settings, parts.mapping.options)
    if Role.ADMIN in station.roles and parts.settings.target == "catalog":
        return await open_catalog(stack, parts.settings, parts.settings.integration.identifier)
    return None


async def _work(
    stack: AsyncExitStack,
    parts: _Parts,
    target: EntityTarget,
    blueprints: Sequence[dict[str, Json]],
) -> Work:
    integration, settings, clock, telemetry = parts.integration, parts.settings, parts.clock, parts.telemetry
    hosts = parts.hosts
    mapper = JqMapper(parts.mapping.configs, mapper_limits(settings))
    stack.push_async_callback(mapper.close)
    dispatcher = assemble(
        integration,
        WorkerPorts(
            parts.engine,
            target,
            mapper,
            hosts,
            clock,
            telemetry,
            random.SystemRandom().random,
            parts.tracing,
        ),
        WorkerLimits(runs=settings.event_workers_count),
        RunLimits(timeout_seconds=settings.run_timeout_seconds),
    )
    breaker = dispatcher.applier.breaker

    def paused() -> dict[str, str]:
        return {**({"target": breaker.reason} if breaker.is_open else {}), **hosts.paused()}

    async def check_mapping() -> list[str]:
        return [str(problem) for problem in await mapper.problems()]

    parts.condition.pauses = paused
    return Work(
        integration=integration,
        target=target,
        blueprints=blueprints,
        default_mapping=parts.mapping.document,
        dispatcher=dispatcher,
        pruner=Pruner(parts.engine, clock, timedelta(hours=settings.engine.retention_hours)),
        telemetry=telemetry,
        condition=parts.condition,
        check_mapping=check_mapping,
        drain_seconds=settings.drain_seconds,
    )


def _admin(parts: _Parts, target: EntityTarget | None, page: MetricsPage) -> ASGIApp:
    integration = parts.integration
    return admin_application(
        parts.engine,
        parts.settings,
        parts.clock,
        name=integration.identifier,
        metrics=page,
        reasons=parts.whole.texts,
        paused=parts.whole.paused,
        mapping_file=integration.mapping_file,
        catalog=target if isinstance(target, CatalogTarget) else None,
    )
