"""One schedule from beginning to end: it is made from its seed alone, and says what went wrong."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from random import Random

from tests.simulation.catalog import Catalog, open_catalog
from tests.simulation.engines import LEASE_SECONDS, OpenEngine, in_memory
from tests.simulation.integration import MAPPING, Api, make_integration
from tests.simulation.invariants import (
    Claims,
    ViolatedError,
    check_nothing_is_lost,
    differences,
    wanted,
)
from tests.simulation.processes import Process, ProcessEngine, ProcessTarget
from tests.simulation.sender import Sender
from tests.simulation.source import Source
from tests.simulation.weather import Weather, draw
from tidegate.core.inspection import EventFilter, Page, RunFilter
from tidegate.core.lifecycle import RunState
from tidegate.core.ports import Clock
from tidegate.core.resources import ResourceConfig
from tidegate.core.signals import AttemptEnded, EntityWritten, RunSettled, Signal
from tidegate.fetch import HostBreakers
from tidegate.mapping import JqMapper, parse_mapping
from tidegate.pipeline.processing import RunLimits
from tidegate.pipeline.replaying import replay
from tidegate.supervise import keep_going
from tidegate.testing.engine_suite import FullEngine
from tidegate.testing.virtual_time import VirtualClock, VirtualTimeLoop
from tidegate.worker.assembly import WorkerPorts, assemble
from tidegate.worker.dispatcher import WorkerLimits

PATIENCE_SECONDS = 3600.0


@cache
def _configs() -> tuple[ResourceConfig, ...]:
    import yaml

    return tuple(parse_mapping(yaml.safe_load(MAPPING)).configs)


@dataclass
class Journal:
    """Telemetry of a schedule; `tell` prints it as it comes."""

    clock: Clock
    tell: bool = False

    def emit(self, signal: Signal) -> None:
        if self.tell and not isinstance(signal, (AttemptEnded, EntityWritten, RunSettled)):
            self.note(str(signal))

    def note(self, text: str) -> None:
        if self.tell:
            print(f"{self.clock.monotonic():9.3f}  {text}")


@dataclass
class Trial:
    """A schedule under way."""

    weather: Weather
    rng: Random
    clock: VirtualClock
    engine: FullEngine
    source: Source
    sender: Sender
    catalog: Catalog
    claims: Claims
    journal: Journal
    stack: AsyncExitStack
    failures: list[BaseException] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)

    async def start_process(self) -> None:
        """One more worker process."""
        full_disks = 0.0 if self.source.calm else self.weather.full_disks
        process = Process(len(self.processes), self.rng, self.journal.note, full_disks)
        mapper = JqMapper(_configs())
        self.stack.push_async_callback(mapper.close)
        hosts = HostBreakers(self.clock, self.journal)
        api = Api(self.source, process, self.weather, self.rng)
        integration = make_integration(self.weather.style, api, None)
        dispatcher = assemble(
            integration,
            WorkerPorts(
                ProcessEngine(self.engine, process, self.claims),
                ProcessTarget(self.catalog, process),
                mapper,
                hosts,
                self.clock,
                self.journal,
                self.rng.random,
            ),
            WorkerLimits(runs=self.weather.runs_at_once),
            RunLimits(timeout_seconds=30.0),
        )
        process.dispatcher = dispatcher
        process.duties = [
            asyncio.create_task(keep_going(name, duty, self.journal))
            for name, duty in (
                ("routing", dispatcher.keep_routing),
                ("processing", dispatcher.keep_processing),
                ("leases", dispatcher.leases.keep),
            )
        ]
        self.processes.append(process)
        self.journal.note(f"process {process.number} starts")

    def living(self) -> list[Process]:
        return [process for process in self.processes if not process.killed]

    async def change_source(self) -> None:
        """Changes, some of them in bursts."""
        for _ in range(self.weather.changes):
            if self.rng.random() < 0.7:
                await asyncio.sleep(self.rng.random() * self.weather.horizon * 2 / self.weather.changes)
            self.source.change()
            self.journal.note(f"source: {[states[-1][1] for states in self.source.history.values()]}")

    async def kill_one(self) -> None:
        living = self.living()
        if not living:
            return
        process = self.rng.choice(living)
        self.journal.note(f"process {process.number} is killed")
        process.kill(requests_too=not self.weather.fenced)
        if all(other.draining for other in self.living()) or self.rng.random() < 0.5:
            await asyncio.sleep(self.rng.random() * 2)
            await self.start_process()

    async def stop_one(self) -> None:
        living = self.living()
        if not living:
            return
        process = self.rng.choice(living)
        self.journal.note(f"process {process.number} stands still")
        process.stop()
        await asyncio.sleep(self.rng.random() * 2 * LEASE_SECONDS)
        process.go_on()
        self.journal.note(f"process {process.number} goes on")

    async def restart_one(self) -> None:
        living = self.living()
        if not living:
            return
        process = self.rng.choice(living)
        self.journal.note(f"process {process.number} drains")
        process.draining = True
        await self.start_process()
        process.duties.append(asyncio.create_task(self._drain(process)))

    async def _drain(self, process: Process) -> None:
        """In a task of the process: it may be killed meanwhile."""
        assert process.dispatcher is not None
        await process.dispatcher.drain(self.rng.choice((0.0, 0.5, 5.0)))
        process.kill(requests_too=False)
        self.journal.note(f"process {process.number} has drained")

    async def redrive_some(self) -> None:
        await self.engine.redrive(RunFilter(state=RunState.DEAD), self.rng.randint(1, 3))

    async def replay_one(self) -> None:
        if not self.sender.accepted:
            return
        seq = self.rng.choice(sorted(self.sender.accepted))
        payload = self.sender.accepted[seq]
        event_id = await replay(self.engine, self.sender.ids[seq], self.clock, self.sender.new_id)
        record = (await self.engine.find_events(EventFilter(ids=(event_id,)), Page()))[0]
        self.sender.accepted[record.seq] = payload
        self.sender.ids[record.seq] = event_id

    async def trouble(self) -> None:
        """Everything that happens to processes, and what operators do, at random moments."""
        weather = self.weather
        counted = (
            (weather.crashes, self.kill_one),
            (weather.pauses, self.stop_one),
            (weather.restarts, self.restart_one),
            (weather.redrives, self.redrive_some),
            (weather.replays, self.replay_one),
        )
        moments = [
            (self.rng.random() * (weather.horizon + 15.0), number, act)
            for number, act in enumerate(act for count, act in counted for _ in range(count))
        ]
        await asyncio.gather(*(self._later(moment, act) for moment, _, act in sorted(moments)))

    async def _later(self, moment: float, act: Callable[[], object]) -> None:
        await asyncio.sleep(moment)
        result = act()
        await result  # type: ignore[misc]

    async def quiet(self) -> None:
        """Nothing fails any more; operators redrive what is dead, until nothing is left to do."""
        self.source.calm = self.catalog.calm = True
        for process in self.processes:
            process.full_disks = 0.0
        self.journal.note("calm")
        deadline = self.clock.monotonic() + PATIENCE_SECONDS
        while self.clock.monotonic() < deadline:
            await asyncio.sleep(1.0)
            self.check_duties()
            backlog = await self.engine.backlog()
            if backlog.unfinished or self.sender.on_its_way or self.catalog.handling:
                continue
            if any(process.dispatcher and process.dispatcher.runs_in_hand for process in self.living()):
                continue
            if not backlog.dead_runs:
                return
            await self.engine.redrive(RunFilter(), 1000)
        raise ViolatedError(f"it does not become quiet: {await self.engine.backlog()}")

    def check_duties(self) -> None:
        for task in (task for process in self.processes for task in process.tasks() if task.done()):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        for error in self.failures:
            raise error

    async def run(self) -> list[str]:
        """Let it happen; answers where the catalog is wrong in the end."""
        for _ in range(self.weather.processes):
            await self.start_process()
        await asyncio.gather(self.change_source(), self.trouble())
        await self.quiet()
        await check_nothing_is_lost(self.engine, self.sender)
        looks = wanted(self.source, self.sender, self.weather.style)
        return [*self.claims.violations, *differences(dict(self.catalog.kept.entities), looks)]

    async def bury(self) -> None:
        for process in self.processes:
            process.kill(requests_too=True)
            await process.bury()


Watch = Callable[[Trial], object]


async def _try(
    seed: int, open_engine: OpenEngine, weather: Weather | None, watch: Watch, *, tell: bool
) -> list[str]:
    rng = Random(seed)
    drawn = draw(rng)
    weather = weather or drawn
    clock = VirtualClock()
    journal = Journal(clock, tell)
    journal.note(str(weather))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(clock))
        sender = Sender(weather, rng, clock, engine.enqueue)
        source = Source(weather, rng, sender.announce)
        catalog = open_catalog(weather, rng, journal.note)
        claims = Claims(clock, LEASE_SECONDS)
        trial = Trial(weather, rng, clock, engine, source, sender, catalog, claims, journal, stack)
        try:
            return await trial.run()
        except ViolatedError as violated:
            return [str(violated)]
        finally:
            watch(trial)
            await trial.bury()


def attempt(
    seed: int,
    open_engine: OpenEngine = in_memory,
    *,
    weather: Weather | None = None,
    watch: Watch = lambda _: None,
    tell: bool = False,
) -> list[str]:
    """Try one schedule; answers what did not hold. `weather` is drawn from the seed unless it is given."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_try(seed, open_engine, weather, watch, tell=tell))
