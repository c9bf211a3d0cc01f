"""Tells other processes that have the same file open that there is something to claim: without it they would poll.

Who waits has a datagram socket in a folder beside the file; who commits sends a byte to each. Nothing is sent
while nothing is committed, and a ring that is lost costs a pause of the slow look, no event.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tidegate.engines.wakeups import Work

_SETTLED_SECONDS = 0.1
"""A folder that changed less long ago may change again without its time stamp telling."""

_BYTES = {Work.EVENTS: b"e", Work.RUNS: b"r"}
_WORKS = {content: work for work, content in _BYTES.items()}
_READ_AT_ONCE = 64


class Doorbell:
    """Of one engine in one process. `ring` is the writing thread's; the rest belongs to the event loop."""

    def __init__(self, path: Path) -> None:
        self._folder = path.with_name(f"{path.name}-bells")
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._listener: socket.socket | None = None
        self._directory: int | None = None
        self._peers: list[str] = []
        self._peers_of = -1.0

    def listen(self, heard: Callable[[Work], None]) -> bool:
        """Call `heard` for what other processes ring. False if that cannot be (a full disk, no sockets here)."""
        if self._listener is not None:
            return True
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            bound.bind(self._address(self._name))
        except OSError:
            bound.close()
            return False
        asyncio.get_running_loop().add_reader(bound, self._hear, bound, heard)
        self._listener = bound
        return True

    def ring(self, works: Iterable[Work]) -> None:
        """Let all who listen look for work. Never waits, never fails."""
        try:
            peers = self._find_peers()
        except OSError:  # nobody has listened yet
            return
        for peer in peers:
            for work in works:
                self._ring_one(peer, _BYTES[work])

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._forget(self._name)
        self._sender.close()
        if self._directory is not None:
            os.close(self._directory)

    def _hear(self, bound: socket.socket, heard: Callable[[Work], None]) -> None:
        rung = set[bytes]()
        with suppress(BlockingIOError):
            for _ in range(_READ_AT_ONCE):
                rung.add(bound.recv(1))
        for content in rung:
            if content in _WORKS:
                heard(_WORKS[content])

    def _ring_one(self, peer: str, content: bytes) -> None:
        try:
            self._sender.sendto(content, self._address(peer))
        except (ConnectionRefusedError, FileNotFoundError):
            self._forget(peer)  # it was killed
        except OSError:
            pass  # it has not heard the last ones yet

    def _forget(self, name: str) -> None:
        with suppress(OSError):
            (self._folder / name).unlink()

    def _find_peers(self) -> list[str]:
        """Who listens, asked anew when the folder has changed. Raises OSError."""
        changed_at = self._folder.stat().st_mtime
        if changed_at != self._peers_of:
            self._peers = [bell.name for bell in self._folder.iterdir() if bell.name != self._name]
            self._peers_of = changed_at if time.time() - changed_at > _SETTLED_SECONDS else -1.0
        return self._peers

    def _address(self, name: str) -> str:
        """Through the open folder: a socket's path must not be longer than 107 bytes."""
        if self._directory is None:
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._directory}/{name}"
