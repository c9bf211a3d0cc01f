"""Slow and idle connections from many addresses, while a legitimate sender goes on and must not notice."""

import resource
import selectors
import socket
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from attacks.tally import Tally
from attacks.target import BODY, address, service, signed
from tests.app.service_process import Service

SLOW = 1_200
IDLE = 1_200
ADDRESSES = 40
AT_ONCE = 30
TOLERATED_SECONDS = 5.0
"""The tightest senders allow 1 to 5 seconds."""


@dataclass
class Sender:
    """Sends a signed delivery on a connection of its own, again and again, and keeps how long each took."""

    running: Service
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        number = 0
        while not self.ended.wait(0.02):
            number += 1
            data = signed(BODY.replace(b'"t"', b'"t %d"' % number))
            began = time.monotonic()
            try:
                with socket.create_connection(address(self.running), TOLERATED_SECONDS) as wire:
                    wire.sendall(data)
                    accepted = b" 202 " in wire.recv(1_000)
            except OSError:
                accepted = False
            self.seconds.append(time.monotonic() - began)
            self.refused += not accepted


def floods(seed: int, scale: float) -> Tally:
    """Half of the connections drip a header a second, the others say nothing; those that are cut come again."""
    tally = Tally("slowloris and connection floods")
    with service(INGRESS__HEADER_TIMEOUT_SECONDS="3") as running:
        sender = Sender(running)
        thread = threading.Thread(target=sender.go_on)
        thread.start()
        # In a process of its own, so that the sender's times are the service's and not the flood's.
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            opened, answered, most = apart.submit(flood, address(running), 15 * scale).result()
        sender.ended.set()
        thread.join()
    tally.tried = opened
    tally.refused = opened - answered
    tally.wrong = answered
    tally.crashes = sender.refused
    taken = sorted(sender.seconds)
    p99 = taken[int(len(taken) * 0.99)] if taken else 0.0
    tally.detail = (
        f"legitimate: {len(taken) - sender.refused} of {len(taken)} accepted, p99 {p99 * 1000:.0f} ms, "
        f"beside up to {most} open connections"
    )
    return tally


def flood(target: tuple[str, int], seconds: float) -> tuple[int, int, int]:
    """Connections opened, answered with 202, and most open at once."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attacker = Flood(target)
    attacker.go_on(seconds)
    attacker.close()
    return attacker.opened, attacker.answered, attacker.most


class Flood:
    """Connections from many addresses of this machine."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open: dict[socket.socket, bool] = {}
        self._reading = selectors.DefaultSelector()
        self.opened = 0
        self.answered = 0
        self.most = 0

    def go_on(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        dripped = time.monotonic()
        while time.monotonic() < until:
            missing = SLOW + IDLE - len(self._open)
            for _ in range(min(missing, AT_ONCE)):
                self._connect()
            self.most = max(self.most, len(self._open))
            for key, _ in self._reading.select(0.05):
                self._hear(key.fileobj)  # type: ignore[arg-type]
            if time.monotonic() - dripped > 1:
                dripped = time.monotonic()
                for wire in [each for each, slow in self._open.items() if slow]:
                    self._say(wire, b"X-Slow: 1\r\n")

    def _connect(self) -> None:
        self.opened += 1
        wire = socket.socket()
        try:
            wire.bind((f"127.0.1.{self.opened % ADDRESSES + 1}", 0))
            wire.settimeout(2)
            wire.connect(self._target)
        except OSError:
            wire.close()
            return
        wire.setblocking(False)
        slow = self.opened % 2 == 0
        self._open[wire] = slow
        self._reading.register(wire, selectors.EVENT_READ)
        if slow:
            self._say(wire, b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n")

    def _say(self, wire: socket.socket, data: bytes) -> None:
        try:
            wire.send(data)
        except OSError:
            self._drop(wire)

    def _hear(self, wire: socket.socket) -> None:
        try:
            said = wire.recv(4_096)
        except OSError:
            said = b""
        self.answered += b" 202 " in said
        if not said:
            self._drop(wire)

    def _drop(self, wire: socket.socket) -> None:
        if self._open.pop(wire, None) is not None:
            self._reading.unregister(wire)
            wire.close()

    def close(self) -> None:
        for wire in list(self._open):
            self._drop(wire)
        self._reading.close()
