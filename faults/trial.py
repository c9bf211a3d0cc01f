"""One trial: a service (or two on one engine), a third party that changes, a fault, and the reckoning."""

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.integration import MAIN
from faults.source import Loop, Source
from tests.app.service_process import MAPPING, Service, eventually, write_integration
from tidegate.testing.port_stub import PortStub

LEASE_SECONDS = 2.0
CONVERGE_SECONDS = 120.0
ENGINE_URL = "FAULTS_ENGINE_URL"
"""Set in the environment: the engine that is tried, instead of a file for each trial."""


@dataclass(frozen=True)
class Reckoning:
    """What a trial ended with. `lost`: resources whose entity is missing, or still there though it is gone.
    `stale`: entities that are older than the source. `detail` says what else went wrong, `note` what else
    was measured.
    """

    fault: str
    tried: int
    accepted: int
    lost: int
    stale: int
    fetches: int
    seconds: float
    detail: str = ""
    note: str = ""

    @property
    def clean(self) -> bool:
        return self.lost == 0 and self.stale == 0 and not self.detail


@dataclass
class Trial:
    """Everything that a fault may touch. `deadly` events are sent besides, and must end dead.

    Who is `killed_at_random` may be so five times over one run. That is dead then, as it should be; it is
    redriven, and said so.
    """

    fault: str
    seed: int
    source: Source
    loop: Loop
    directory: Path
    rng: random.Random
    services: list[Service] = field(default_factory=list)
    stub: PortStub | None = None
    tried: int = 0
    deadly: int = 0
    deadly_events: int = 0
    killed_at_random: bool = False

    @property
    def service(self) -> Service:
        return self.services[0]

    @property
    def port_stub(self) -> PortStub:
        """The stub that stands for Port."""
        if self.stub is None:
            raise LookupError("this trial writes to the embedded catalog")
        return self.stub

    def await_refusal(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until the ingress answers 503; False if it never does."""
        until = time.monotonic() + timeout_seconds
        while time.monotonic() < until:
            if self.service.post({"id": 1}) == 503:
                return True
            self.pause(0.02)
        return False

    def await_dead(self, timeout_seconds: float) -> None:
        """Wait until what must end dead is dead."""
        eventually(lambda: self._dead_runs() >= self.deadly, timeout_seconds)

    def _dead_runs(self) -> int:
        return self.service.get("/api/status")["backlog"]["dead_runs"]

    def pause(self, seconds: float) -> None:
        """Let the world go on."""
        threading.Event().wait(seconds)

    def drive(self, changes: int, per_second: float, resources: int):
        """Begin to change issues; answers a future."""
        return self.loop.begin(self.source.drive(changes, per_second, resources))

    def reckon(self, began: float) -> Reckoning:
        """Wait until everything that was sent is processed, then compare."""
        self.loop.run(self.source.all_sent())
        detail, note = self._settle(), ""
        if self.killed_at_random and detail:
            redriven = self.service.redrive("the worker died")
            detail, note = self._settle(), f"{redriven} runs were redriven"
        found = self._catalog()
        expected = self.source.expected()
        lost = len(expected.keys() ^ found.keys())
        stale = sum(1 for number, state in expected.items() if number in found and found[number] != state)
        spent = time.monotonic() - began
        accepted, fetches = self.source.accepted, self.source.fetches
        return Reckoning(self.fault, self.tried, accepted, lost, stale, fetches, spent, detail, note)

    def _settle(self) -> str:
        self.service.settle(CONVERGE_SECONDS)
        dead = self._dead_runs()
        events = len(self.service.get("/api/events?state=dead&limit=500")["events"])
        if events != self.deadly + self.deadly_events and dead == self.deadly:
            return f"{events} events are dead, not {self.deadly + self.deadly_events}"
        return "" if dead == self.deadly else f"{dead} runs are dead, not {self.deadly}"

    def _catalog(self) -> dict[str, str]:
        if self.stub is None:
            return {name: entity["properties"]["state"] for name, entity in self.service.entities().items()}
        return {ref.identifier: entity["properties"]["state"] for ref, entity in self.stub.entities.items()}


def _engine(directory: Path) -> dict[str, str]:
    url = os.environ.get(ENGINE_URL)
    if url is None:
        return {}
    return {"TIDEGATE__ENGINE__URL": url, "TIDEGATE__CATALOG__PATH": str(directory / "catalog.db")}


@contextmanager
def trial(
    fault: str,
    seed: int,
    *,
    keyed: bool = True,
    port: bool = False,
    services: int = 1,
    latency_seconds: tuple[float, float] = (0.0, 0.0),
    env: dict[str, str] | None = None,
    processes: int = 1,
    mapping: str = MAPPING,
) -> Generator[Trial]:
    """Start the third party, the target and the service; end them all."""
    with ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)
        source = Source(seed, latency_seconds)
        loop.run(source.start())
        stack.callback(lambda: loop.run(source.stop()))
        directory = Path(tempfile.mkdtemp(prefix="tidegate-faults-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        settings = {
            "TIDEGATE__INTEGRATION__CONFIG__SOURCE": source.url,
            "TIDEGATE__INTEGRATION__CONFIG__KEYED": "yes" if keyed else "no",
            "TIDEGATE__ENGINE__LEASE_SECONDS": str(LEASE_SECONDS),
            "TIDEGATE__LOG__LEVEL": "error",
            "TIDEGATE__PROCESSES": str(processes),
            **_engine(directory),
            **(env or {}),
        }
        stub: PortStub | None = None
        if port:
            stub = PortStub()
            loop.run(stub.__aenter__())
            stack.callback(lambda: loop.run(stub.__aexit__(None, None, None)))
            settings |= {
                "TIDEGATE__TARGET": "port",
                "TIDEGATE__PORT__BASE_URL": stub.url,
                "TIDEGATE__PORT__CLIENT_ID": stub.client_id,
                "TIDEGATE__PORT__CLIENT_SECRET": stub.client_secret,
            }
        integration = write_integration(directory / "integration", MAIN, mapping)
        running = [stack.enter_context(Service(integration, settings)) for _ in range(services)]
        source.ingress = lambda: running[0].webhooks
        yield Trial(fault, seed, source, loop, integration, random.Random(seed), running, stub)
