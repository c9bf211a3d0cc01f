"""Counts open connections, in all and per address, and makes room by closing one that idles."""

import asyncio
from collections import Counter
from itertools import islice
from typing import Protocol

from tidegate.core.signals import ConnectionCut, ConnectionsOpen, Telemetry
from tidegate.ingress.answers import Refusal
from tidegate.ingress.limits import ListenerLimits
from tidegate.ingress.senders import address_key, is_within, parse_address

_CONSIDERED = 32
"""Of those that idled longest, the one goes whose address has most: a flood from few addresses closes its own
connections, not the one that a sender has just opened."""


class Connection(Protocol):
    """What the ledger needs of a connection."""

    def close_idle(self) -> None:
        """Close it now; it is between requests."""
        ...

    def shut_down(self) -> None:
        """Close it once what has begun is answered."""
        ...

    def abort(self) -> None:
        """Cut it, whatever it is doing."""
        ...


class ConnectionLedger:
    """The open connections of one listener.

    A connection idles from its opening, or from its last answer, until the head of its next request is complete.
    Then it is reading until the body is complete, and busy until the answer. A busy one is never closed.
    """

    def __init__(self, limits: ListenerLimits, max_connections: int, telemetry: Telemetry) -> None:
        self._limits = limits
        self._telemetry = telemetry
        self._most = max_connections
        self._keys: dict[Connection, str] = {}
        self._per_key: Counter[str] = Counter()
        self._idle: dict[Connection, None] = {}
        self._reading: dict[Connection, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._keys)

    def admit(self, connection: Connection, address: str) -> Refusal | None:
        """Count a connection that opened. Refused ones are not counted."""
        key = self._key(address)
        if key and self._per_key[key] >= self._limits.max_connections_per_address:
            return _refusal("this address has too many connections open")
        if len(self._keys) >= self._most and not self._evict(key):
            return _refusal("too many connections are open")
        self._keys[connection] = key
        self._per_key[key] += 1
        self._idle[connection] = None
        self._empty.clear()
        self._telemetry.emit(ConnectionsOpen(len(self._keys)))
        return None

    def release(self, connection: Connection) -> None:
        """A connection ended. One that was refused changes nothing."""
        key = self._keys.pop(connection, None)
        self._rouse(connection)
        if key is not None:
            self._per_key[key] -= 1
            if self._per_key[key] == 0:
                del self._per_key[key]
            self._telemetry.emit(ConnectionsOpen(len(self._keys)))
        if not self._keys:
            self._empty.set()

    def reading(self, connection: Connection) -> None:
        """The head of a request is complete, its body is to come."""
        self._rouse(connection)
        if connection in self._keys:
            self._reading[connection] = None

    def busy(self, connection: Connection) -> None:
        """A whole request is there."""
        self._rouse(connection)

    def idle(self, connection: Connection) -> None:
        """The last request was answered."""
        self._rouse(connection)
        if connection in self._keys:
            self._idle[connection] = None

    def _rouse(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        self._reading.pop(connection, None)

    def shut_down_all(self) -> None:
        """Close every connection once it is between requests."""
        for connection in list(self._keys):
            connection.shut_down()

    def abort_all(self) -> None:
        """Cut every connection."""
        for connection in list(self._keys):
            connection.abort()

    async def wait_empty(self) -> None:
        """Return once no connection is open."""
        await self._empty.wait()

    def _key(self, address: str) -> str:
        """Empty for those who send for many: their connections count towards the total only."""
        if is_within(parse_address(address), self._limits.shared_networks):
            return ""
        return address_key(address)

    def _share(self, connection: Connection) -> int:
        """How many connections its address has; those who send for many come last."""
        key = self._keys[connection]
        return self._per_key[key] if key else 0

    def _evict(self, newcomer: str) -> bool:
        """Make room. The connection leaves the ledger at once, its socket a moment later.

        A body that is on its way is cut for an address that has fewer connections, and for no other.
        """
        waiting = list(islice(self._idle, _CONSIDERED))
        if not waiting:
            share = self._per_key[newcomer] + 1
            waiting = [each for each in islice(self._reading, _CONSIDERED) if self._share(each) > share]
        if not waiting:
            return False
        chosen = max(waiting, key=self._share)  # of equal ones, the first: the one that has waited longest
        body_open = chosen in self._reading
        self.release(chosen)
        if body_open:
            chosen.abort()
        else:
            chosen.close_idle()
        self._telemetry.emit(ConnectionCut("made-room"))
        return True


def _refusal(detail: str) -> Refusal:
    return Refusal(503, "too-many-connections", detail, retry_after_seconds=1, close=True)
