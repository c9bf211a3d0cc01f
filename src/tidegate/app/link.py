"""What a child tells its parent: that it is ready, and that its event loop turns."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec

_BEAT = b"."
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class Ready(msgspec.Struct, frozen=True):
    """What the child serves, to be shown to people."""

    identifier: str
    paths: tuple[str, ...]


class Link:
    """The child's end. It never waits: a parent that does not read must not hold it up."""

    def __init__(self, pipe: Connection) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe

    def ready(self, ready: Ready) -> None:
        """Say that it is ready; from then on beats are expected."""
        self._send(msgspec.json.encode(ready))

    def beat(self) -> None:
        """Say that it is alive."""
        self._send(_BEAT)

    def _send(self, message: bytes) -> None:
        # The pipe may be full of beats, and the parent about to take this process with it.
        with suppress(BlockingIOError, BrokenPipeError):
            self._pipe.send_bytes(message)


def read_link(pipe: Connection) -> Ready | None:
    """The next message; None for a beat. Raises EOFError."""
    message = pipe.recv_bytes()
    return None if message == _BEAT else msgspec.json.decode(message, type=Ready)


def be_child(name: str, parent: int) -> None:
    """Be killed by the kernel when the parent's life ends, however it ends; and be known by a name to `ps`."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        sys.exit(1)
