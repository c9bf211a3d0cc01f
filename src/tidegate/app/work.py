"""The worker's part of a service: prepare in the background, until it works; then process, and drain at the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tidegate.app.condition import Condition
from tidegate.authoring import Integration
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.core.ports import EntityTarget
from tidegate.core.signals import DutyFailed, Telemetry
from tidegate.supervise import keep_going
from tidegate.worker.dispatcher import Dispatcher
from tidegate.worker.maintenance import Pruner

logger = logging.getLogger("tidegate")


@dataclass(eq=False, slots=True)
class Work:
    """`on_prepared` is called before it processes for the first time; `failed` is set, with the `error`, if
    it never can.
    """

    integration: Integration
    target: EntityTarget
    blueprints: Sequence[dict[str, Json]]
    default_mapping: Json
    dispatcher: Dispatcher
    pruner: Pruner
    telemetry: Telemetry
    condition: Condition
    check_mapping: Callable[[], Awaitable[Sequence[str]]]
    drain_seconds: float
    on_prepared: Callable[[], None] | None = None
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    error: ConfigurationError | None = None
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to prepare."""
        self.condition.reasons["preparing"] = ""
        self._task = asyncio.create_task(self._prepare_and_process(), name="tidegate-service")

    async def stop(self) -> None:
        """Finish or release what is in hand."""
        await self.dispatcher.drain(self.drain_seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _prepare_and_process(self) -> None:
        await keep_going("preparing", self._prepare, self.telemetry)
        if self.error is not None:
            self.failed.set()
            return
        del self.condition.reasons["preparing"]
        if self.on_prepared is not None:
            self.on_prepared()
        duties = {
            "routing": self.dispatcher.keep_routing,
            "processing": self.dispatcher.keep_processing,
            "renewing leases": self.dispatcher.leases.keep,
            "pruning": self.pruner.keep,
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
            self.condition.reasons["preparing"] = f"{type(error).__name__}: {error}"
            self.telemetry.emit(DutyFailed("preparing", str(error)))
            raise
