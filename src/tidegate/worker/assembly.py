"""Ties the use cases of one worker together, for the service and for the authors' harness alike."""

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.authoring import Integration
from tidegate.core.ports import Clock, Engine, EntityMapper, EntityTarget
from tidegate.core.signals import Telemetry
from tidegate.core.traces import NO_TRACING, Tracing
from tidegate.fetch import HostBreakers
from tidegate.pipeline.applying import StateApplier
from tidegate.pipeline.deadlines import Deadlines
from tidegate.pipeline.instances import InstanceCache
from tidegate.pipeline.processing import RunLimits, RunProcessor
from tidegate.pipeline.registry import Registry
from tidegate.pipeline.routing import Router
from tidegate.worker.dispatcher import Dispatcher, WorkerLimits
from tidegate.worker.leases import LeaseKeeper
from tidegate.worker.pauses import ProcessorPauses
from tidegate.worker.traces import WorkTraces


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """What a worker needs of the world. `uniform` draws from [0, 1), for jitter."""

    engine: Engine
    target: EntityTarget
    mapper: EntityMapper
    hosts: HostBreakers
    clock: Clock
    telemetry: Telemetry
    uniform: Callable[[], float]
    tracing: Tracing = NO_TRACING


def assemble(
    integration: Integration, ports: WorkerPorts, worker_limits: WorkerLimits, run_limits: RunLimits
) -> Dispatcher:
    """A dispatcher for the integration, with everything that it hands work to."""
    engine, clock, telemetry, tracing = ports.engine, ports.clock, ports.telemetry, ports.tracing
    registry, instances = Registry(integration, ports.mapper.configs), InstanceCache()
    router = Router(registry, instances, clock, telemetry, ports.uniform)
    applier = StateApplier(ports.target, clock, telemetry, tracing)
    processor = RunProcessor(
        registry=registry,
        router=router,
        instances=instances,
        mapper=ports.mapper,
        engine=engine,
        applier=applier,
        clock=clock,
        telemetry=telemetry,
        uniform=ports.uniform,
        deadlines=Deadlines(run_limits.timeout_seconds),
        limits=run_limits,
        tracing=tracing,
    )
    return Dispatcher(
        engine=engine,
        router=router,
        processor=processor,
        applier=applier,
        pauses=ProcessorPauses(ports.hosts),
        leases=LeaseKeeper(engine, clock),
        processors=tuple(dict.fromkeys(known.name for known in integration.registrations)),
        clock=clock,
        telemetry=telemetry,
        traces=WorkTraces(engine, tracing),
        limits=worker_limits,
    )
