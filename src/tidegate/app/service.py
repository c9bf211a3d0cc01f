"""The life of a running service: listen first, prepare, process, and drain at the end.

Webhooks are accepted as soon as the engine is open. The target, the integration's start hooks and the
processing follow in the background, and are tried again until they work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tidegate.authoring import Integration
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.core.ports import EntityTarget
from tidegate.core.signals import DutyFailed, Telemetry
from tidegate.ingress import HttpServer, IngressApp
from tidegate.supervise import keep_going
from tidegate.telemetry import SampleKeeper
from tidegate.worker.dispatcher import Dispatcher
from tidegate.worker.leases import LeaseKeeper
from tidegate.worker.maintenance import Pruner

logger = logging.getLogger("tidegate")


@dataclass(slots=True)
class Readiness:
    """Why the service is not ready; ready if there is no reason."""

    reasons: dict[str, str] = field(default_factory=dict[str, str])

    def texts(self) -> list[str]:
        return [f"{name}: {reason}" if reason else name for name, reason in self.reasons.items()]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service listens."""

    ingress: str
    admin: str


@dataclass(eq=False, slots=True)
class Service:
    """Everything that runs. `start` once, `stop` once; `failed` is set if it cannot go on."""

    integration: Integration
    target: EntityTarget
    blueprints: Sequence[dict[str, Json]]
    default_mapping: Json
    ingress: IngressApp
    ingress_server: HttpServer
    admin_server: HttpServer
    dispatcher: Dispatcher
    leases: LeaseKeeper
    pruner: Pruner
    samples: SampleKeeper
    telemetry: Telemetry
    readiness: Readiness
    check_mapping: Callable[[], Awaitable[Sequence[str]]]
    drain_seconds: float
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    error: ConfigurationError | None = None
    _work: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Listen, and begin to prepare. Raises ConfigurationError if an address cannot be used."""
        self.readiness.reasons["preparing"] = ""
        admin = await self.admin_server.start()
        ingress = await self.ingress_server.start()
        self._work = asyncio.create_task(self._prepare_and_process(), name="tidegate-service")
        return Addresses(ingress=f"http://{ingress}", admin=f"http://{admin}")

    async def stop(self) -> None:
        """Refuse new events, finish or release what is in hand, close the listeners."""
        self.readiness.reasons["draining"] = "the service is shutting down"
        self.ingress.drain()
        await self.dispatcher.drain(self.drain_seconds)
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        await self.samples.keep_one(leaving=True)
        await self.ingress_server.stop()
        await self.admin_server.stop()

    async def _prepare_and_process(self) -> None:
        await keep_going("preparing", self._prepare, self.telemetry)
        if self.error is not None:
            self.failed.set()
            return
        del self.readiness.reasons["preparing"]
        duties = {
            "routing": self.dispatcher.keep_routing,
            "processing": self.dispatcher.keep_processing,
            "renewing leases": self.leases.keep,
            "pruning": self.pruner.keep,
            "keeping samples": self.samples.keep,
        }
        async with asyncio.TaskGroup() as group:
            for name, duty in duties.items():
                group.create_task(keep_going(name, duty, self.telemetry), name=f"tidegate-{name}")

    async def _prepare(self) -> None:
        """Start JQ, make the target ready, run the start hooks. A wrong configuration is not tried again."""
        try:
            for problem in await self.check_mapping():
                logger.warning("the mapping: %s", problem)
            await self.target.prepare(self.blueprints, self.default_mapping)
            for hook in self.integration.start_hooks:
                await hook()
        except ConfigurationError as error:
            self.error = error
        except Exception as error:
            self.readiness.reasons["preparing"] = f"{type(error).__name__}: {error}"
            self.telemetry.emit(DutyFailed("preparing", str(error)))
            raise
