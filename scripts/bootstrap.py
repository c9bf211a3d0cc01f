"""Makes the virtual environments from the hash-locked requirements. Standard library only.

An environment counts as done only by a stamp that is written last; one whose setup was interrupted is made anew.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".tidegate" / "setup"
QUIET_SECONDS = 15
UNPACKING = "Installing collected packages"
"""What pip says when it begins to change the environment."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment: what goes into it, how large that is, and the Python that it needs at least."""

    name: str
    directory: str
    locks: tuple[str, ...]
    size: str
    editable: bool = False
    least: tuple[int, int] = (3, 11)

    @property
    def path(self) -> Path:
        return ROOT / self.directory

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def lock_paths(self) -> list[Path]:
        return [ROOT / "requirements" / lock for lock in self.locks]


ENVIRONMENTS = {
    "run": Environment("run", ".venv", ("run.txt", "build.txt"), "about 130 MB", editable=True),
    "dev": Environment("dev", ".venv", ("dev.txt",), "about 680 MB", editable=True),
    "mlflow": Environment("mlflow", ".venv-mlflow", ("mlflow.txt",), "about 850 MB"),
    "bench": Environment("bench", ".venv-bench", ("bench.txt",), "about 270 MB"),
    "ocean": Environment("ocean", ".venv-ocean", ("ocean.txt",), "about 200 MB", least=(3, 12)),
}


@dataclass(frozen=True)
class Program:
    """A program of Debian's, for some tests. If it cannot be installed that is said; the tests say so once more."""

    commands: tuple[str, ...]
    package: str
    serves: str


PROGRAMS = {
    "browser": Program(
        ("chromium", "chromium-browser", "google-chrome"), "chromium", "the console's tests in a browser"
    ),
    "pooler": Program(
        ("pgbouncer", "/usr/sbin/pgbouncer"), "pgbouncer", "the engine's tests behind PgBouncer"
    ),
}
INCLUDES = {"run": ("dev",)}
"""Whoever has the second has the first."""


class SetupError(Exception):
    """The setup cannot go on. The message says why and how to mend it."""


class UntouchedError(SetupError):
    """The setup failed before it changed anything in the environment."""


class Progress:
    """One line a step: rewritten in place on a terminal, every QUIET_SECONDS otherwise."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._started = time.monotonic()
        self._shown_at = self._started
        self._live = sys.stdout.isatty()
        self._write(text)

    def _write(self, line: str, end: str = "") -> None:
        if self._live:
            print(f"\r\033[K{line}", end=end, flush=True)
        else:
            print(line, flush=True)

    def update(self, detail: str) -> None:
        now = time.monotonic()
        if self._live or now - self._shown_at >= QUIET_SECONDS:
            self._shown_at = now
            self._write(f"{self._text}: {detail} ({now - self._started:.0f} s)")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        word = "done" if kind is None else "failed"
        self._write(f"{self._text}: {word} ({time.monotonic() - self._started:.0f} s)", end="\n")


def main(names: list[str]) -> int:
    known = [*ENVIRONMENTS, *PROGRAMS]
    if not names or not set(names) <= set(known):
        print(f"usage: scripts/bootstrap {'|'.join(known)} …", file=sys.stderr)
        return 2
    STATE.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        for name in names:
            if name in PROGRAMS:
                set_up_program(PROGRAMS[name])
            else:
                set_up(ENVIRONMENTS[name])
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to start over", file=sys.stderr)
        return 130
    return 0


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def set_up(environment: Environment) -> None:
    """Make the environment what its locks say. Cheap if it is already."""
    if is_done(environment):
        return
    with only_one(environment):
        if is_done(environment):
            return
        make_venv(environment)
        with unfinished(environment):
            install_packages(environment)
            if environment.editable:
                install_project(environment)
            stamp_path(environment).write_text(key(environment))


def is_done(environment: Environment) -> bool:
    candidates = [environment, *(ENVIRONMENTS[name] for name in INCLUDES.get(environment.name, ()))]
    return not marker_path(environment).exists() and any(is_stamped(candidate) for candidate in candidates)


def is_stamped(environment: Environment) -> bool:
    stamp = stamp_path(environment)
    return environment.python.exists() and stamp.exists() and stamp.read_text() == key(environment)


def key(environment: Environment) -> str:
    """What the environment depends on: where it is, what is locked, and the project's own metadata."""
    digest = hashlib.sha256(str(environment.path).encode())
    for path in [*environment.lock_paths(), *([ROOT / "pyproject.toml"] if environment.editable else [])]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def stamp_path(environment: Environment) -> Path:
    return environment.path / f".installed-{environment.name}"


def marker_path(environment: Environment) -> Path:
    return STATE / f"{environment.directory.lstrip('.')}.unfinished"


@contextmanager
def only_one(environment: Environment) -> Iterator[None]:
    """Hold the environment's lock, which ends with this process however it ends."""
    with (STATE / f"{environment.directory.lstrip('.')}.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # pip holds it too, should this process be killed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another setup of {environment.directory} to finish", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def unfinished(environment: Environment) -> Iterator[None]:
    """Mark the environment as not to be trusted until all is done, or nothing was touched."""
    marker_path(environment).touch()
    try:
        yield
    except UntouchedError:
        marker_path(environment).unlink()
        raise
    marker_path(environment).unlink()


def make_venv(environment: Environment) -> None:
    """Create the environment, or keep the one that is there if a setup finished in it."""
    if marker_path(environment).exists() and environment.path.exists():
        print(f"the last setup of {environment.directory} was interrupted: making it anew", flush=True)
        shutil.rmtree(environment.path)
    if works(environment):
        return
    python = interpreter(environment)
    require_venv_module(python)
    marker_path(environment).touch()
    shutil.rmtree(environment.path, ignore_errors=True)
    command = [python, "-m", "venv", str(environment.path)]
    with Progress(f"Creating {environment.directory}") as progress:
        run_logged(command, f"{environment.name}-venv", progress)


def works(environment: Environment) -> bool:
    """True if its interpreter starts, is new enough, and knows itself under this path."""
    script = f"import pip, sys; print(sys.prefix if sys.version_info >= {environment.least} else '')"
    try:
        answer = subprocess.run(
            [environment.python, "-I", "-c", script], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == str(environment.path)


def interpreter(environment: Environment) -> str:
    """The running Python, or one that is new enough: on the path, or among pyenv's. Raises SetupError."""
    if sys.version_info >= environment.least:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(environment.least[1], environment.least[1] + 5)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in names:
        for python in (shutil.which(name), *map(str, sorted(versions.glob(f"*/bin/{name}")))):
            # pyenv puts a script of each name on the path, whether it has that version or not
            if python and not subprocess.run([python, "-V"], capture_output=True, check=False).returncode:
                return python
    wanted = ".".join(map(str, environment.least))
    raise SetupError(
        f"{environment.directory} needs Python {wanted} or newer; this is {platform.python_version()}, and neither "
        f"the path nor {versions} has another ({', '.join(names)}).\nInstall one, then run the same command again."
    )


def require_venv_module(python: str) -> None:
    """Debian ships Python without ensurepip: install its package if we may, else say how."""
    check = [python, "-I", "-c", "import ensurepip, venv"]
    if subprocess.run(check, capture_output=True, check=False).returncode == 0:
        return
    version = "import sys; print(sys.version_info.minor)"
    minor = subprocess.run([python, "-I", "-c", version], capture_output=True, text=True, check=True).stdout
    package = f"python3.{minor.strip()}-venv"
    rights = administrator_prefix()
    if shutil.which("apt-get") is None or rights is None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise SetupError(
            f"{python} cannot create virtual environments: its modules venv and ensurepip are missing.\n"
            "Install them, then run the same command again. On Debian or Ubuntu:\n\n"
            f"    {sudo}apt-get update && {sudo}apt-get install -y {package}\n"
        )
    install_from_debian(package, rights)


def set_up_program(program: Program) -> None:
    """See that there is a program. Where none can be installed, say how, and go on: only some tests need it."""
    if any(shutil.which(command) for command in program.commands):
        return
    rights = administrator_prefix()
    why = "there is no right to install it"
    if shutil.which("apt-get") is not None and rights is not None:
        try:
            install_from_debian(program.package, rights)
        except SetupError as error:
            why = str(error)
        else:
            return
    print(
        f"There is no {program.package} here, so {program.serves} will be skipped: {why}\n"
        f"On Debian: sudo apt-get update && sudo apt-get install -y {program.package}",
        flush=True,
    )


def install_from_debian(package: str, rights: list[str]) -> None:
    """Install one of Debian's packages. Raises SetupError."""
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
    with Progress("Reading Debian's package lists") as progress:
        run_logged([*apt, "update"], "apt-update", progress)
    with Progress(f"Installing Debian's {package}") as progress:
        run_logged([*apt, "install", "--yes", "--no-install-recommends", package], "apt-install", progress)


def administrator_prefix() -> list[str] | None:
    """What to put before a command that needs root; None if we cannot become root without a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo", "-n"] if allowed else None


def install_packages(environment: Environment) -> None:
    """Install what the locks name, each file checked against its hash, and nothing else."""
    options = [option for path in environment.lock_paths() for option in ("-r", str(path))]
    total = sum(lock_size(path) for path in environment.lock_paths())
    command = [*pip(environment), "install", "--require-hashes", "--no-deps", *options]
    with Progress(f"Installing {environment.directory} ({environment.size})") as progress:
        run_logged(command, f"{environment.name}-packages", progress, lambda log: pip_state(log, total))


def install_project(environment: Environment) -> None:
    """Install the project itself, editable, with the build backend that the lock names."""
    command = [*pip(environment), "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    with Progress(f"Installing tidegate into {environment.directory}") as progress:
        run_logged(command, f"{environment.name}-project", progress)


def pip(environment: Environment) -> list[str]:
    options = ["--no-input", "--disable-pip-version-check", "--no-color"]
    return [str(environment.python), "-m", "pip", *options]


def lock_size(path: Path) -> int:
    """How many packages a lock names."""
    return sum("==" in line and not line.startswith((" ", "#")) for line in path.read_text().splitlines())


def pip_state(log: str, total: int) -> str:
    """Where pip stands, from what it wrote so far."""
    if UNPACKING in log:
        return "unpacking"
    seen = sum(line.startswith(("Collecting ", "Requirement already")) for line in log.splitlines())
    return f"package {seen} of {total}"


def run_logged(
    command: list[str], name: str, progress: Progress, describe: Callable[[str], str] = lambda _: "working"
) -> None:
    """Run a command, its output kept in a log file, and show what it is at. Raises SetupError."""
    log = STATE / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, close_fds=False
        )
    try:
        while process.poll() is None:
            progress.update(describe(log.read_text(errors="replace")))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        said = log.read_text(errors="replace")
        failure = SetupError if UNPACKING in said else UntouchedError
        raise failure(
            f"{shown(command)} ended with {process.returncode}:\n\n{reason(said)}\n\nAll of it: {log}"
        )


def shown(command: list[str]) -> str:
    """The command as one would type it here."""
    return " ".join(part.removeprefix(f"{ROOT}{os.sep}") for part in command)


def reason(log: str) -> str:
    """The part of a log that says what went wrong: its error lines, or else its end."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [
        line for line in lines if line.lower().startswith(("error", "e:", "fatal", "warning: retrying"))
    ]
    return "\n".join(f"    {line}" for line in (errors or lines)[-15:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
