"""The life of a running process of a service: listen first, work in the background, drain at the end.

Webhooks are accepted as soon as the engine is open. The target, the integration's start hooks and the
processing follow, and are tried again until they work.
"""

import asyncio
from dataclasses import dataclass

from tidegate.app.condition import Condition
from tidegate.app.work import Work
from tidegate.core.signals import Telemetry
from tidegate.ingress import HttpServer, IngressApp
from tidegate.supervise import keep_going
from tidegate.telemetry import SampleKeeper


@dataclass(frozen=True, slots=True)
class Intake:
    """The ingress's part: an application and its listener."""

    app: IngressApp
    server: HttpServer


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running process listens; empty where it does not."""

    ingress: str = ""
    admin: str = ""


@dataclass(eq=False, slots=True)
class Service:
    """The parts that one process runs. `start` once, `stop` once."""

    condition: Condition
    telemetry: Telemetry
    samples: SampleKeeper | None = None
    intake: Intake | None = None
    work: Work | None = None
    admin: HttpServer | None = None
    _sampling: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Listen, and begin to work. Raises ConfigurationError if an address cannot be used."""
        if self.work is not None:
            self.condition.reasons["preparing"] = ""
        admin = f"http://{await self.admin.start()}" if self.admin else ""
        ingress = f"http://{await self.intake.server.start()}" if self.intake else ""
        if self.work is not None:
            self.work.start()
        if self.samples is not None:
            keeping = keep_going("keeping samples", self.samples.keep, self.telemetry)
            self._sampling = asyncio.create_task(keeping, name="tidegate-samples")
        return Addresses(ingress, admin)

    async def stop(self) -> None:
        """Refuse new events, finish or release what is in hand, close the listeners."""
        self.condition.reasons["draining"] = "the service is shutting down"
        if self.intake is not None:
            self.intake.app.drain()
        if self.work is not None:
            await self.work.stop()
        await self._stop_sampling()
        if self.intake is not None:
            await self.intake.server.stop()
        if self.admin is not None:
            await self.admin.stop()

    async def _stop_sampling(self) -> None:
        if self.samples is None or self._sampling is None:
            return
        self._sampling.cancel()
        await asyncio.gather(self._sampling, return_exceptions=True)
        await self.samples.keep_one(leaving=True)
