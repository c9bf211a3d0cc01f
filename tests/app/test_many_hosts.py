"""Many machines, one queue: PostgreSQL, workers and ingresses on addresses of their own, in network namespaces.

One worker is cut off from everything while it is at work, another is killed; both come back. Nothing is lost, and
nothing old stays: the target is Port's stub, which takes what anybody writes and so forgives nothing.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.integration import MAIN
from faults.source import Loop, Source
from scripts.postgres_server import USER, running
from tests.app.service_process import environment, eventually, write_integration
from tidegate.app.clock import SystemClock
from tidegate.engines.postgres import PostgresEngine
from tidegate.testing.port_stub import PortStub

LEASE_SECONDS = 3.0
MARK = os.getpid() % 10_000  # other test runs on this machine have networks of their own
NETWORK = f"10.{200 + MARK // 250}.{MARK % 250}"
BRIDGE = f"tg{MARK}"
CHANGES = 400
PER_SECOND = 50.0
RESOURCES = 40


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def missing() -> str:
    """Why this machine cannot make network namespaces; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program ip (Debian's package iproute2)"
    try:
        _ip("netns", "add", f"tg{MARK}-probe")
        _ip("netns", "delete", f"tg{MARK}-probe")
    except subprocess.CalledProcessError as error:
        return f"this machine makes no network namespaces: {error.stderr.decode().strip()}"
    return ""


@dataclass
class Host:
    """A machine: a network namespace with one line to the others, and one process of Tidegate."""

    number: int
    role: str
    directory: Path
    env: dict[str, str]
    process: "subprocess.Popen[str] | None" = None
    log: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"tg{MARK}-{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    def connect(self) -> None:
        """Lay the line."""
        _ip("netns", "add", self.name)
        _ip(
            "link",
            "add",
            f"tg{MARK}l{self.number}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.name,
        )
        _ip("link", "set", f"tg{MARK}l{self.number}", "master", BRIDGE, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self.name, "link", "set", "eth0", "up")

    def disconnect(self) -> None:
        _ip("netns", "delete", self.name)

    def cut(self) -> None:
        """Nothing gets in or out any more, and nobody is told."""
        _ip("link", "set", f"tg{MARK}l{self.number}", "down")

    def mend(self) -> None:
        _ip("link", "set", f"tg{MARK}l{self.number}", "up")

    def start(self) -> None:
        command = [
            "ip",
            "netns",
            "exec",
            self.name,
            sys.executable,
            "-m",
            "tidegate",
            "run",
            "main:integration",
        ]
        command += ["--role", self.role, "--host", self.address, "--port", "8000", "--admin-port", "8001"]
        self.process = subprocess.Popen(
            command, cwd=self.directory, env=environment(self.env), stderr=subprocess.PIPE, text=True
        )
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        assert ready.wait(60), self.log
        assert self.process.poll() is None, self.log

    def _read(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.log.append(line)
                if "metrics" in line:
                    ready.set()
        process.wait()
        ready.set()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def network() -> Iterator[str]:
    """A bridge, and this machine's own address on it."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    try:
        _ip("address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        yield f"{NETWORK}.1"
    finally:
        _ip("link", "delete", BRIDGE)


@contextmanager
def hosts(directory: Path, env: dict[str, str]) -> Iterator[tuple[list[Host], list[Host]]]:
    """Three workers and two ingresses that run."""
    with ExitStack() as stack:
        found = [
            Host(number, role, directory, env)
            for number, role in enumerate(("worker", "worker", "worker", "ingress", "ingress"), start=11)
        ]
        for host in found:
            host.connect()
            stack.callback(host.disconnect)
        for host in found:
            stack.callback(host.stop)
            host.start()
        yield found[:3], found[3:]


@dataclass
class Scene:
    """Everything that there is, while it runs."""

    loop: Loop
    source: Source
    stub: PortStub
    workers: list[Host]
    ingresses: list[Host]
    engine_url: str

    def pause(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def unfinished(self) -> int:
        async def ask() -> int:
            async with PostgresEngine.open(self.engine_url, clock=SystemClock()) as engine:
                return (await engine.backlog()).unfinished

        return self.loop.run(ask())

    def differences(self) -> tuple[int, int]:
        """How many entities are lost, and how many are stale."""
        expected = self.source.expected()
        found = {ref.identifier: entity["properties"]["state"] for ref, entity in self.stub.entities.items()}
        stale = sum(1 for name, state in expected.items() if name in found and found[name] != state)
        return len(expected.keys() ^ found.keys()), stale


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        address = stack.enter_context(network())
        server = stack.enter_context(running(durable=True, listen_addresses=address))
        loop = Loop()
        stack.callback(loop.close)
        source = Source(7, (0.0, 0.1), host=address)
        loop.run(source.start())
        stack.callback(lambda: loop.run(source.stop()))
        stub = PortStub(host=address)
        loop.run(stub.start())
        stack.callback(lambda: loop.run(stub.close()))
        url = f"postgresql://{USER}@{address}:{server.port}/postgres"
        env = {
            "TIDEGATE__ENGINE__URL": url,
            "TIDEGATE__ENGINE__LEASE_SECONDS": str(LEASE_SECONDS),
            "TIDEGATE__INTEGRATION__CONFIG__SOURCE": source.url,
            "TIDEGATE__INTEGRATION__CONFIG__KEYED": "yes",
            "TIDEGATE__TARGET": "port",
            "TIDEGATE__PORT__BASE_URL": stub.url,
            "TIDEGATE__PORT__CLIENT_ID": stub.client_id,
            "TIDEGATE__PORT__CLIENT_SECRET": stub.client_secret,
            "TIDEGATE__LOG__LEVEL": "error",
        }
        integration = write_integration(directory / "integration", MAIN)
        workers, ingresses = stack.enter_context(hosts(integration, env))
        turns = itertools.cycle(ingresses)
        source.ingress = lambda: f"http://{next(turns).address}:8000/integration"
        yield Scene(loop, source, stub, workers, ingresses, url)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing() or "it can")
def test_hosts_that_are_cut_off_or_die_lose_nothing_and_leave_nothing_stale(tmp_path: Path) -> None:
    with scene(tmp_path) as it:
        driving = it.loop.begin(it.source.drive(CHANGES, PER_SECOND, RESOURCES))
        cut_off, killed, _ = it.workers
        it.pause(1.0)
        cut_off.cut()
        it.pause(1.0)
        killed.kill()
        it.ingresses[0].cut()
        it.pause(2 * LEASE_SECONDS)
        cut_off.mend()  # its leases are over: whatever it still wants to write came too late
        it.ingresses[0].mend()
        killed.start()
        driving.result()
        it.loop.run(it.source.all_sent())
        eventually(lambda: it.unfinished() == 0, timeout_seconds=60)
        assert it.source.accepted >= CHANGES
        assert it.differences() == (0, 0)
        assert all(host.process is not None and host.process.poll() is None for host in it.workers)
