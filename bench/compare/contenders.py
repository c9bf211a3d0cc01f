"""Starts and stops what is measured. Each contender has processes of its own, in a session of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

import msgspec

from bench import work
from bench.contenders.processor import SOURCE
from scripts import postgres_server

ROOT = Path(__file__).resolve().parents[2]
BENCH_BIN = ROOT / ".venv-bench" / "bin"
OCEAN_BIN = ROOT / ".venv-ocean" / "bin"


class StartError(Exception):
    """A contender did not start; the message holds the end of what it wrote."""


@dataclass
class Running:
    """A contender that accepts webhooks at `url`. `pids` are its processes, whose children count too."""

    url: str
    pids: list[int] = field(default_factory=list[int])


@dataclass(frozen=True)
class Contender:
    """`share` of each workload's events is sent to the slow; what only answers does not `work`.

    `environment` is what scripts/bootstrap calls the one that it needs besides the project's own.
    """

    name: str
    title: str
    run: Callable[[str, Path], Iterator[Running]]
    share: float = 1.0
    works: bool = True
    quiet_seconds: float = 0.5
    environment: str = ""

    @contextmanager
    def running(self, world: str, folder: Path) -> Iterator[Running]:
        """Run until the block ends. Raises StartError."""
        folder.mkdir(parents=True)
        yield from self.run(world, folder)


@contextmanager
def process(
    command: list[str | Path], folder: Path, environment: Mapping[str, str] | None = None, name: str = "out"
) -> Iterator[subprocess.Popen[str]]:
    """A process and its session, ended with the block; what it writes goes into a file of the folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEGATE", "OCEAN"))}
    with (folder / f"{name}.log").open("w") as log:
        started = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**kept, "NO_COLOR": "1", "COLUMNS": "200", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "world" else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def wait_for(started: subprocess.Popen[str], log: Path, seconds: float, ready: Callable[[], bool]) -> None:
    """Return when `ready`. Raises StartError if the process ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if started.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"did not start; the end of its log:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def answers(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=2) as answer:
        return answer.status == 200
    return False


# --- The contenders -------------------------------------------------------------------------------------


def write_resources(folder: Path) -> None:
    resources = folder / ".port" / "resources"
    resources.mkdir(parents=True)
    (resources / "port-app-config.yml").write_text(work.MAPPING)
    (resources / "blueprints.json").write_bytes(msgspec.json.encode(work.BLUEPRINTS))


def tidegate(
    world: str, folder: Path, settings: Mapping[str, str] | None = None, *, wait: bool = True
) -> Iterator[Running]:
    if not (folder / ".port").exists():
        write_resources(folder)
        (folder / "main.py").write_text(SOURCE)
    port, admin = free_port(), free_port()
    environment = {
        "TIDEGATE__TARGET": "port",
        "TIDEGATE__PORT__BASE_URL": world,
        "TIDEGATE__PORT__CLIENT_ID": "bench",
        "TIDEGATE__PORT__CLIENT_SECRET": "bench",
        "TIDEGATE__INTEGRATION__CONFIG__SOURCE": world,
        **(settings or {}),
    }
    command = [sys.executable, "-m", "tidegate", "run", "main:integration"]
    command += ["--port", str(port), "--admin-port", str(admin)]
    with process(command, folder, environment) as started:
        if wait:
            wait_for(started, folder / "out.log", 60, lambda: answers(f"http://127.0.0.1:{admin}/readyz"))
        yield Running(f"http://127.0.0.1:{port}/integration/webhook", [started.pid])


def tidegate_on_postgres(world: str, folder: Path) -> Iterator[Running]:
    """The server is the contender's own, writes everything to disk, and is counted."""
    with postgres_server.running(durable=True, shared_buffers="256MB") as server:
        assert server.process is not None
        for running in tidegate(world, folder, {"TIDEGATE__ENGINE__URL": server.url()}):
            yield replace(running, pids=[*running.pids, server.process.pid])


def ocean(world: str, folder: Path) -> Iterator[Running]:
    write_resources(folder)
    sources = ROOT / "bench" / "contenders" / "ocean"
    shutil.copy(sources / "spec.yaml", folder / ".port" / "spec.yaml")
    shutil.copy(sources / "main.py", folder / "main.py")
    (folder / "pyproject.toml").write_text('[tool.poetry]\nname = "bench"\nversion = "1"\n')
    port = free_port()
    environment = {
        "OCEAN__PORT__BASE_URL": world,
        "OCEAN__PORT__CLIENT_ID": "bench",
        "OCEAN__PORT__CLIENT_SECRET": "bench",
        "OCEAN__INTEGRATION__IDENTIFIER": "bench",
        "OCEAN__INTEGRATION__TYPE": "bench",
        "OCEAN__INTEGRATION__CONFIG__SOURCE": world,
        "OCEAN__EVENT_LISTENER__TYPE": "WEBHOOKS_ONLY",
        "OCEAN__BASE_URL": f"http://127.0.0.1:{port}",
    }
    with process([OCEAN_BIN / "ocean", "sail", "--port", str(port)], folder, environment) as started:
        wait_for(started, folder / "out.log", 120, lambda: answers(f"http://127.0.0.1:{port}/health/ready"))
        yield Running(f"http://127.0.0.1:{port}/integration/webhook", [started.pid])


def handwritten(world: str, folder: Path) -> Iterator[Running]:
    port, redis_port = free_port(), free_port()
    environment = {
        "BENCH_WORLD": world,
        "BENCH_REDIS": f"redis://127.0.0.1:{redis_port}",
        "PYTHONPATH": str(ROOT),
    }
    redis = [BENCH_BIN / "redis-server", "--port", str(redis_port), "--bind", "127.0.0.1"]
    redis += ["--appendonly", "yes", "--save", "", "--dir", str(folder)]
    web = [BENCH_BIN / "uvicorn", "bench.contenders.handwritten.web:app", "--port", str(port)]
    web += ["--no-access-log"]
    worker = [BENCH_BIN / "arq", "bench.contenders.handwritten.worker.WorkerSettings"]
    with ExitStack() as stack:
        server = stack.enter_context(process(redis, folder, name="redis"))
        wait_for(server, folder / "redis.log", 20, lambda: listens(redis_port))
        receiving = stack.enter_context(process(web, folder, environment, "web"))
        working = stack.enter_context(process(worker, folder, environment, "worker"))
        wait_for(receiving, folder / "web.log", 30, lambda: listens(port))
        yield Running(f"http://127.0.0.1:{port}/webhook", [server.pid, receiving.pid, working.pid])


def bare(world: str, folder: Path) -> Iterator[Running]:
    yield from _server(["bench.contenders.bare", world], folder, "/webhook")


def ingress(world: str, folder: Path) -> Iterator[Running]:
    yield from _server(["bench.ingress", "--serve", "sqlite"], folder, "/integration/webhook")


def no_op(world: str, folder: Path) -> Iterator[Running]:
    yield from _server(["bench.contenders.bare"], folder, "/webhook")


def no_op_on_uvicorn(world: str, folder: Path) -> Iterator[Running]:
    """As `uvicorn` runs it with httptools and uvloop, which are its fast ones; one process, as it does by itself."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.contenders.no_op:no_op", "--port", str(port)]
    command += ["--http", "httptools", "--loop", "uvloop", "--no-access-log"]
    with process(command, folder, {"PYTHONPATH": str(ROOT)}) as started:
        wait_for(started, folder / "out.log", 30, lambda: listens(port))
        yield Running(f"http://127.0.0.1:{port}/webhook", [started.pid])


def _server(module: list[str], folder: Path, path: str) -> Iterator[Running]:
    command = [sys.executable, "-m", *module]
    log = folder / "out.log"
    with process(command, folder, {"PYTHONPATH": str(ROOT)}) as started:
        wait_for(started, log, 30, lambda: log.read_text().endswith("\n"))
        yield Running(f"http://127.0.0.1:{int(log.read_text())}{path}", [started.pid])


@contextmanager
def world_running(folder: Path) -> Iterator[str]:
    """The third party and Port; its address."""
    folder.mkdir(parents=True)
    config = {"resources": work.RESOURCES}
    integration = {"identifier": "bench", "installationAppType": "bench", "config": config}
    known = folder / "known.json"
    known.write_bytes(msgspec.json.encode({"integration": integration, "blueprints": work.BLUEPRINTS}))
    command = [sys.executable, "-m", "bench.compare.world", known]
    with process(command, folder, {"PYTHONPATH": str(ROOT)}, "world") as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise StartError((folder / "world.log").read_text())
        with started.stdout:
            yield f"http://127.0.0.1:{int(line)}"


CONTENDERS = (
    Contender("tidegate", "Tidegate", tidegate),
    Contender("postgres", "Tidegate on PostgreSQL", tidegate_on_postgres),
    Contender("ocean", "port-ocean", ocean, share=0.01, quiet_seconds=2.5, environment="ocean"),
    Contender("handwritten", "FastAPI + Redis + arq", handwritten, environment="bench"),
    Contender("bare", "bare loop", bare),
    Contender("ingress", "Tidegate's ingress alone", ingress, works=False),
    Contender("no_op", "no-op server", no_op, works=False),
    Contender("uvicorn", "no-op server on uvicorn as it comes", no_op_on_uvicorn, works=False),
)
