"""A service as several processes: which there are, what they share, and what each of them does."""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from tidegate.app.condition import Board
from tidegate.app.link import Link, Ready
from tidegate.app.listeners import bind_sockets, check_admin
from tidegate.app.process import BEAT_SECONDS, Voice, serve
from tidegate.app.roles import Role
from tidegate.app.service import Addresses
from tidegate.app.stacks import ask_for_stack, write_stack_on_demand
from tidegate.app.station import Sockets, Station
from tidegate.app.supervisor import Bounds, Child, Supervisor
from tidegate.authoring import Integration
from tidegate.config import Settings
from tidegate.ingress import address_of
from tidegate.telemetry import forget_gauges

STALLS_UNTIL_KILLED = 3
"""How many times `stall_seconds` a process may stand still: by then its own guard has tried twice."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory with a random name is made in it

_PREFIX = "tidegate-run-"


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes of one service on this machine. `load` imports the integration, in each process anew."""

    settings: Settings
    load: Callable[[], Integration]
    sockets: Sockets
    board: Board
    metrics: Path
    stacks: Path

    def roles(self) -> dict[str, Role]:
        """The processes by name; the first proves the configuration."""
        settings = self.settings
        ingress = {f"ingress-{n}": Role.INGRESS for n in range(1, settings.ingress.processes + 1)}
        workers = {f"worker-{n}": Role.WORKER for n in range(1, settings.processes + 1)}
        admin = {"admin": Role.ADMIN}
        match settings.role:
            case "all":
                return {**ingress, **admin, **workers}
            case "ingress":
                return {**ingress, **admin}
            case "worker":
                return {**admin, **workers}

    def addresses(self) -> Addresses:
        """Where it listens."""
        ingress, admin = self.sockets.ingress, self.sockets.admin
        return Addresses(
            ingress=f"http://{address_of(ingress)}" if ingress else "",
            admin=f"http://{address_of(admin)}" if admin else "",
        )

    def release_sockets(self) -> None:
        """Leave the listening to those who do it: a socket that somebody keeps open goes on taking connections."""
        for bound in (self.sockets.ingress, self.sockets.admin):
            if bound is not None:
                bound.close()

    def work(self, name: str, pipe: Connection) -> None:
        """Be one of the processes, to the end."""
        role = self.roles()[name]
        mine = Sockets(
            ingress=self.sockets.ingress if role is Role.INGRESS else None,
            admin=self.sockets.admin if role is Role.ADMIN else None,
        )
        for bound, kept in ((self.sockets.ingress, mine.ingress), (self.sockets.admin, mine.admin)):
            if bound is not None and kept is None:
                bound.close()
        station = Station(name, frozenset({role}), mine, Board(self.board.directory), self.metrics)
        write_stack_on_demand(self.stacks / name)
        integration = self.load()
        link = Link(pipe)
        paths = tuple(dict.fromkeys(registration.path for registration in integration.registrations))
        voice = Voice(
            listening=lambda _: None,
            ready=lambda: link.ready(Ready(integration.identifier, paths)),
            beat=link.beat,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(integration, self.settings, voice, station))

    def missing(self, name: str, state: str) -> None:
        """One of the processes is not at work."""
        forget_gauges(self.metrics, name)
        self.board.forget(name)
        self.board.post(name, f"{name} {state}")


def supervise(
    settings: Settings,
    load: Callable[[], Integration],
    started: Callable[[Ready, Addresses], None],
    draining: Callable[[], None],
    guarded: Callable[[Callable[[], None]], None],
) -> int:
    """Run a service as a parent and its children, until a signal comes; answers the exit code.

    `guarded` calls what it is given and turns errors into messages and exit codes. Raises ConfigurationError
    if an address cannot be used.
    """
    check_admin(settings)
    parent = _shared_memory()
    _clear_up(parent)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    try:
        crew = _crew(settings, load, directory)
        supervisor = Supervisor(
            children=[Child(name, last=role is Role.ADMIN) for name, role in crew.roles().items()],
            main=lambda name, pipe: guarded(lambda: crew.work(name, pipe)),
            bounds=Bounds(
                settings.drain_seconds, (settings.stall_seconds + BEAT_SECONDS) * STALLS_UNTIL_KILLED
            ),
            started=lambda ready: started(ready, crew.addresses()),
            draining=draining,
            missing=crew.missing,
            where=lambda name, pid: ask_for_stack(pid, crew.stacks / name),
            release_sockets=crew.release_sockets,
        )
        gc.freeze()  # a collection writes to all it looks at: the children's would copy what they share with us
        return supervisor.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _shared_memory() -> Path:
    """Where memory maps do not need the disk: one that is full would kill who writes to them."""
    return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())


def _clear_up(parent: Path) -> None:
    """Remove what parents that were killed have left behind."""
    for directory in parent.glob(f"{_PREFIX}*-*"):
        pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)


def _crew(settings: Settings, load: Callable[[], Integration], directory: Path) -> Crew:
    board, metrics, stacks = (directory / name for name in ("board", "metrics", "stacks"))
    for each in (board, metrics, stacks):
        each.mkdir()
    roles = {Role.ADMIN} if settings.role == "worker" else {Role.ADMIN, Role.INGRESS}
    return Crew(settings, load, bind_sockets(settings, roles), Board(board), metrics, stacks)
