"""The parent of a service's processes: starts them, starts again what dies, and ends them together.

It runs no code of authors, no event loop and no thread. So nothing can hang it, and it may fork at any time.
"""

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from tidegate.app.link import Ready, be_child, read_link

logger = logging.getLogger("tidegate")

EXIT_USAGE = 2
"""A child's exit code that says: the configuration is wrong."""

LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
LAST_CALL_SECONDS = 10.0
"""How long beyond its drain a child may take to end."""


@dataclass(eq=False, slots=True)
class Child:
    """A process, by the name that it keeps over its lives. `proven`: it was ready in one of them.

    `last`: it ends after the others, so that one can watch them end.
    """

    name: str
    last: bool = False
    process: BaseProcess | None = None
    pipe: Connection | None = None
    ready: bool = False
    proven: bool = False
    deaths: int = 0
    began_at: float = 0.0
    due_at: float | None = None
    heard: bool = False
    silent_looks: int = 0
    told_to_stop: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """`silence_seconds`: a child whose event loop has not turned for so long is killed."""

    drain_seconds: float
    silence_seconds: float


@dataclass(eq=False, slots=True)
class Supervisor:
    """`main` is what a child does, with its name and its end of the pipe. The first child proves the
    configuration: the others begin when it is ready.

    `started` is called when the first child is ready, `draining` when a signal came, `missing` with the name and state of a child that is
    not at work, `where` asked, by its name and process id, where one stands that does not
    answer, before it is killed.
    """

    children: Sequence[Child]
    main: Callable[[str, Connection], None]
    bounds: Bounds
    started: Callable[[Ready], None]
    draining: Callable[[], None]
    missing: Callable[[str, str], None]
    where: Callable[[str, int], str]
    release_sockets: Callable[[], None]
    _exit_code: int = 0
    _stop_at: float | None = None
    _signalled: bool = False
    _looked_at: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a start that can never work; answers the exit code."""
        with self._signals() as woken:
            self._start(self.children[0])
            while any(child.process or child.due_at is not None for child in self.children):
                self._wait(woken)
                if self._signalled and self._stop_at is None:
                    self.draining()
                    self._begin_to_stop()
                for child in self.children:
                    self._hear(child)
                    self._reap(child)
                    self._start_if_due(child)
                self._look()
                self._go_on_stopping()
        return self._exit_code

    @contextmanager
    def _signals(self) -> Generator[socket.socket]:
        """Notice SIGTERM and SIGINT, and wake the loop by them."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        known = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in known:
            signal.signal(number, self._note_signal)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(-1)
            for number, before in known.items():
                signal.signal(number, before)
            woken.close()
            waker.close()

    def _note_signal(self, *_: object) -> None:
        self._signalled = True

    def _wait(self, woken: socket.socket) -> None:
        waits: list[Connection | socket.socket | int] = [woken]
        for child in self.children:
            if child.pipe is not None:
                waits.append(child.pipe)
            if child.process is not None:
                waits.append(child.process.sentinel)
        due = [child.due_at - time.monotonic() for child in self.children if child.due_at is not None]
        wait(waits, max(min([LOOK_SECONDS, *due]), 0.0))
        with suppress(BlockingIOError):
            woken.recv(64)

    # --- lives -----------------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        parent = os.getpid()
        process = multiprocessing.get_context("fork").Process(
            target=self._be_child, args=(child.name, theirs, parent), name=child.name
        )
        self.missing(child.name, "is starting")
        process.start()
        theirs.close()
        child.process, child.began_at, child.due_at = process, time.monotonic(), None
        child.pipe = cast("Connection", ours)
        child.ready, child.heard, child.silent_looks = False, True, 0

    def _be_child(self, name: str, pipe: Connection, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent tells us
        be_child(name, parent)
        self.main(name, pipe)

    def _start_if_due(self, child: Child) -> None:
        if child.due_at is not None and time.monotonic() >= child.due_at:
            self._start(child)

    def _hear(self, child: Child) -> None:
        if child.pipe is None:
            return
        try:
            while child.pipe.poll():
                child.heard = True
                message = read_link(child.pipe)
                if message is not None:
                    self._is_ready(child, message)
        except (EOFError, OSError):
            child.pipe.close()
            child.pipe = None

    def _is_ready(self, child: Child, message: Ready) -> None:
        first = child is self.children[0] and not child.proven
        child.ready = child.proven = True
        if first and self._stop_at is None:
            self.started(message)
            for other in self.children[1:]:
                other.due_at = time.monotonic()

    def _reap(self, child: Child) -> None:
        process = child.process
        if process is None or process.is_alive():
            return
        code = process.exitcode or 0
        process.close()
        child.process = None
        if child.pipe is not None:
            child.pipe.close()
            child.pipe = None
        if self._stop_at is not None:
            return
        if not child.proven and code > 0 and (code == EXIT_USAGE or child is self.children[0]):
            self._exit_code = code
            self._begin_to_stop()
            return
        self._plan_restart(child, code)

    def _plan_restart(self, child: Child, code: int) -> None:
        if time.monotonic() - child.began_at > LONGEST_PAUSE_SECONDS * 2:
            child.deaths = 0
        pause = min(FIRST_PAUSE_SECONDS * 2**child.deaths, LONGEST_PAUSE_SECONDS)
        child.deaths += 1
        child.due_at = time.monotonic() + pause
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self.missing(child.name, f"{how} and is started again")
        logger.error("%s %s: it is started again in %.1f s", child.name, how, pause)

    # --- pulse -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Count looks, not time: a pause of the whole machine must not look like silence."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        for child in self.children:
            child.silent_looks = 0 if child.heard or not child.ready else child.silent_looks + 1
            child.heard = False
            if child.process is not None and child.silent_looks * LOOK_SECONDS > self.bounds.silence_seconds:
                seconds = child.silent_looks * LOOK_SECONDS
                where = self.where(child.name, child.process.pid or 0)
                place = f", at {where}" if where else ""
                logger.error("%s has stood still for %.0f s and is killed%s", child.name, seconds, place)
                child.process.kill()
                child.silent_looks = 0

    # --- the end ---------------------------------------------------------------------------------------

    def _begin_to_stop(self) -> None:
        self._stop_at = time.monotonic() + self.bounds.drain_seconds + LAST_CALL_SECONDS
        self.release_sockets()
        for child in self.children:
            child.due_at = None
            if not child.last:
                self._tell_to_stop(child)

    def _go_on_stopping(self) -> None:
        if self._stop_at is None:
            return
        if not any(child.process for child in self.children if not child.last):
            for child in self.children:
                self._tell_to_stop(child)
        if time.monotonic() > self._stop_at:
            for child in self.children:
                if child.process is not None:
                    child.process.kill()

    def _tell_to_stop(self, child: Child) -> None:
        if child.process is not None and not child.told_to_stop:
            child.process.terminate()
            child.told_to_stop = True
