"""Child processes that never outlive the demo: each in a group of its own, its output in a log file."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 20
POLL_SECONDS = 0.05


class ChildFailedError(Exception):
    """A child did not start, or ended by itself. The message ends with what it last said."""


@dataclass(eq=False)
class Child:
    """A running process. `stop` ends it and all that it started."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (it said nothing)"

    async def until_ready(self, ready: Callable[[], Awaitable[bool]], timeout_seconds: float) -> None:
        """Wait until `ready` says yes. Raises ChildFailedError if the process ends or the time is over."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await ready():
                    if self.process.returncode is not None:
                        raise ChildFailedError(
                            f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
                        )
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ChildFailedError(
                f"{self.name} was not ready after {timeout_seconds:g} s:\n{self.tail()}"
            ) from None

    async def stop(self, grace_seconds: float = 30.0) -> int:
        """Ask the process to end, insist after a while, and leave nothing of its group behind."""
        if self.process.returncode is None:
            self.process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), grace_seconds)
        return await self.kill()

    async def kill(self) -> int:
        """End the whole group at once, as kill -9 does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return await self.process.wait()


async def start_child(
    name: str,
    command: Sequence[str | Path],
    *,
    directory: Path,
    environment: Mapping[str, str],
    piped: bool = False,
) -> Child:
    """Start a process. With `piped`, its standard input and output are ours; the log takes the rest."""
    log = directory / f"{name.lower().replace(' ', '-')}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if piped else output,
            stderr=output,
            start_new_session=True,
        )
    return Child(name, process, log)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def inherited(*without: str) -> dict[str, str]:
    """This process's environment without the variables that begin so."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(without)}
