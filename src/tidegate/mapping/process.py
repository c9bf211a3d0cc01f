"""The parent's side of one JQ worker process: start it, exchange frames with it, stop it when it is stuck."""

import asyncio
import importlib.util
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tidegate.core.errors import MapperUnavailableError
from tidegate.mapping import evaluate

_SCRIPT = Path(evaluate.__file__)
_LENGTH_BYTES = 4
_MEBIBYTE = 1 << 20
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class MapperLimits:
    """What JQ may take.

    `item_timeout_seconds`: one item's evaluation, on the wall clock (noticed at most a quarter later).
    `memory_bytes`: address space of each worker process. `result_bytes`: what one item may come to, as JSON.
    `workers`: processes that share the work; one more is started for expressions that were stopped or slow.
    """

    item_timeout_seconds: float = 2.0
    memory_bytes: int = 512 * _MEBIBYTE
    result_bytes: int = 4 * _MEBIBYTE
    workers: int = 1
    start_timeout_seconds: float = 30.0


class StoppedError(Exception):
    """The process was stopped, or died (`died`), in the middle of a document.

    `section` and `document` number what it had in hand.
    """

    def __init__(self, reason: str, section: int, document: int, *, died: bool) -> None:
        super().__init__(reason)
        self.section = section
        self.document = document
        self.died = died


class _Frames(asyncio.Protocol):
    """Puts the frames of a byte stream together; one is expected at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._expected: asyncio.Future[bytes] | None = None
        self._lost = False

    def expect(self) -> asyncio.Future[bytes]:
        self._expected = asyncio.get_running_loop().create_future()
        expected = self._expected
        self._deliver()
        if self._lost and not expected.done():
            expected.set_exception(ConnectionResetError())
        return expected

    def forget(self) -> None:
        """Expect nothing any more: the process is being stopped."""
        self._expected = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._deliver()

    def _deliver(self) -> None:
        if self._expected is None or self._expected.done() or len(self._received) < _LENGTH_BYTES:
            return
        end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
        if len(self._received) >= end:
            self._expected.set_result(bytes(self._received[_LENGTH_BYTES:end]))
            del self._received[:end]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._expected is not None and not self._expected.done():
            self._expected.set_exception(ConnectionResetError())


class _Watch:
    """Fails a future with TimeoutError once what is in hand has been so for longer than the limit."""

    def __init__(
        self, reply: asyncio.Future[bytes], in_hand: Callable[[], tuple[int, int]], limit_seconds: float
    ) -> None:
        self._reply = reply
        self._in_hand = in_hand
        self._limit_seconds = limit_seconds
        self._loop = asyncio.get_running_loop()
        self._seen, self._since = in_hand(), self._loop.time()
        self._timer = self._loop.call_later(limit_seconds / _LOOKS, self._look)

    def _look(self) -> None:
        now, current = self._loop.time(), self._in_hand()
        if current != self._seen:
            self._seen, self._since = current, now
        elif now - self._since >= self._limit_seconds and not self._reply.done():
            self._reply.set_exception(TimeoutError())
            return
        self._timer = self._loop.call_later(self._limit_seconds / _LOOKS, self._look)

    def end(self) -> None:
        self._timer.cancel()


class JqProcess:
    """One worker process. It answers one frame at a time; `programs` are the ids that it has compiled."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        position: mmap.mmap,
        frames: _Frames,
        transport: asyncio.WriteTransport,
        memory_bytes: int,
    ) -> None:
        self._process = process
        self._position = position
        self._frames = frames
        self._transport = transport
        self._memory_bytes = memory_bytes
        self.programs: set[int] = set()

    @classmethod
    async def start(cls, limits: MapperLimits, niceness: int = 0) -> "JqProcess":
        """Start a process and wait until it is ready. Raises MapperUnavailableError."""
        try:
            process, ours, position = _spawn(limits, niceness)
        except OSError as error:
            raise MapperUnavailableError(f"the JQ worker process cannot be started: {error}") from error
        loop = asyncio.get_running_loop()
        try:
            transport, frames = await loop.create_unix_connection(_Frames, sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        started = cls(process, position, frames, transport, limits.memory_bytes)
        await started._greet(limits.start_timeout_seconds)
        return started

    async def _greet(self, timeout_seconds: float) -> None:
        problem = "it is not ready in time"
        try:
            async with asyncio.timeout(timeout_seconds):
                problem = (await self._frames.expect()).decode()
        except ConnectionResetError:
            problem = "it ended before it was ready"
        except TimeoutError:
            pass
        except BaseException:
            await self.close()
            raise
        if problem:
            await self.close()
            raise MapperUnavailableError(f"the JQ worker process cannot be started: {problem}")

    @property
    def alive(self) -> bool:
        return not self._transport.is_closing() and self._process.poll() is None

    async def exchange(self, frame: bytes, limit_seconds: float) -> bytes:
        """Send a request and wait for its reply. Raises StoppedError, after which the process is gone.

        The process is stopped if it has the same document in hand for longer than the limit.
        """
        evaluate.POSITION.pack_into(self._position, 0, 0, 0)
        reply = self._frames.expect()
        self._transport.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
        watch = _Watch(reply, self._in_hand, limit_seconds)
        try:
            return await reply
        except TimeoutError:
            reason = f"took more than {limit_seconds:g} s"
        except ConnectionResetError:
            reason = None
        finally:
            watch.end()
        raise await self._stopped(reason)

    def _in_hand(self) -> tuple[int, int]:
        return cast(tuple[int, int], evaluate.POSITION.unpack_from(self._position))

    async def _stopped(self, reason: str | None) -> StoppedError:
        section, document = self._in_hand()
        await self.close()
        return StoppedError(reason or self._cause_of_death(), section, document, died=reason is None)

    def _cause_of_death(self) -> str:
        code = self._process.returncode
        if code == -signal.SIGABRT:
            return f"needs more than {self._memory_bytes // _MEBIBYTE} MiB of memory, or crashed jq"
        if code == -signal.SIGSEGV:
            return "crashed jq (too deeply nested, as a rule)"
        return f"ended the JQ worker process ({_death(code)})"

    async def close(self) -> None:
        """End the process, whatever it does, and wait until it is gone."""
        self._frames.forget()
        self._transport.abort()
        self._process.kill()
        self._position.close()
        await asyncio.shield(asyncio.to_thread(self._process.wait))


def _death(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _spawn(limits: MapperLimits, niceness: int) -> tuple[subprocess.Popen[bytes], socket.socket, mmap.mmap]:
    """Start the script in an interpreter of its own: no site, no environment, no other files, no terminal.

    Gives the process, our end of its input and output, and the memory shared with it. Raises OSError.
    """
    if not sys.executable:
        raise OSError("this interpreter does not know where its executable is")
    position_file = _shared_file(evaluate.POSITION.size)
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603
            [
                *(sys.executable, "-I", "-S", str(_SCRIPT)),
                *(str(limits.memory_bytes), str(niceness), str(position_file), _jq_directory()),
            ],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            pass_fds=(position_file,),
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        return process, ours, mmap.mmap(position_file, evaluate.POSITION.size)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(position_file)


def _shared_file(size: int) -> int:
    """A descriptor of a nameless file to be shared with the process."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tidegate-jq")
    else:  # macOS
        descriptor, name = tempfile.mkstemp()
        Path(name).unlink()
    os.ftruncate(descriptor, size)
    return descriptor


def _environment() -> dict[str, str]:
    """UTC, as Port evaluates mappings, and what the interpreter itself may need to find its libraries."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"TZ": "UTC0", "LC_ALL": "C.UTF-8", **kept}


def _jq_directory() -> str:
    """The directory from which the process imports jq, and from which it imports nothing else."""
    spec = importlib.util.find_spec("jq")
    if spec is None or spec.origin is None:
        raise OSError("the package jq is not installed")
    origin = Path(spec.origin)
    return str(origin.parent.parent if spec.submodule_search_locations else origin.parent)
