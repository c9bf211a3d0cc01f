"""A real PgBouncer in transaction mode before a PostgreSQL server, for tests and fault trials.

The program comes from Debian's package pgbouncer, which `scripts/bootstrap pooler` installs where it may; PGBOUNCER names
another. It refuses to run as root: then it runs as the user `nobody`.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.postgres_server import UNPRIVILEGED, USER, NoServerError, PostgresServer, free_port

PROGRAMS = ("pgbouncer", "/usr/sbin/pgbouncer")
SERVER_CONNECTIONS = 6
_START_SECONDS = 10.0
_SETTINGS = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {connections}
max_client_conn = 200
logfile = {folder}/log
"""


def find_pgbouncer() -> str | None:
    """The program, if there is one."""
    return os.environ.get("PGBOUNCER") or next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class PgBouncer:
    """One pooler before one server. It can be killed and started again; its port stays the same."""

    server: PostgresServer
    folder: Path
    mode: str
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start, and wait until it listens."""
        program = find_pgbouncer()
        if program is None:
            raise NoServerError(
                "there is no PgBouncer: install Debian's package pgbouncer, or name one: PGBOUNCER"
            )
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                host=self.server.host,
                server_port=self.server.port,
                user=USER,
                port=self.port,
                mode=self.mode,
                connections=SERVER_CONNECTIONS,
                folder=self.folder,
            )
        )
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self.folder, pwd.getpwnam(user).pw_uid, -1)
        self.process = subprocess.Popen([program, "-q", str(settings)], user=user, cwd=self.folder)
        self._await_ready(self.process)

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        ends_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends_at and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
        raise NoServerError(f"PgBouncer does not start: {(self.folder / 'log').read_text(errors='replace')}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def pooled(server: PostgresServer, mode: str = "transaction") -> Iterator[PgBouncer]:
    """A pooler that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tidegate-pgbouncer-") as folder:
        pooler = PgBouncer(server, Path(folder), mode, free_port())
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.kill()
