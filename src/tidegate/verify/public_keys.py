"""Senders' public keys: fetched when first needed, one fetch at a time, kept, and bounded in number."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from tidegate.core.errors import UnavailableError
from tidegate.core.verification import KeysNeeded

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Key]):
    key: Key
    fetched_at: datetime


@dataclass(slots=True)
class KeyCache(Generic[Key]):
    """Keys by the address they are fetched from. Time is that of the requests.

    `load` fetches and parses; whatever it raises reaches the ingress, which then asks the sender to try
    again. An address that failed is left alone for `pause`, so that forged requests cannot make this
    service knock at it without end. A key that is old but cannot be fetched anew stays in use.
    """

    load: Callable[[str], Awaitable[Key]]
    pause: timedelta = timedelta(seconds=30)
    limit: int = 32
    _kept: dict[str, _Kept[Key]] = field(default_factory=dict[str, "_Kept[Key]"], init=False)
    _failed: dict[str, datetime] = field(default_factory=dict[str, datetime], init=False)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def find(self, address: str, now: datetime, max_age: timedelta) -> Key | KeysNeeded:
        """The key, if one is kept that is younger than `max_age`."""
        kept = self._kept.get(address)
        if kept is not None and now - kept.fetched_at < max_age:
            return kept.key
        return KeysNeeded(partial(self._fetch, address, now, max_age))

    async def _fetch(self, address: str, now: datetime, max_age: timedelta) -> None:
        async with self._one_at_a_time:
            kept = self._kept.get(address)
            if kept is not None and now - kept.fetched_at < max_age:
                return  # another request's fetch, which this one waited for, brought it
            failed_at = self._failed.get(address)
            if failed_at is not None and now - failed_at < self.pause:
                raise UnavailableError(f"the keys at {address} could not be fetched a moment ago")
            try:
                key = await self.load(address)
            except Exception:  # of the host, of the network or of what was sent: all mean no new key
                if kept is not None:
                    _put(self._kept, address, _Kept(kept.key, now), self.limit)
                    return
                _put(self._failed, address, now, self.limit)
                raise
            _put(self._kept, address, _Kept(key, now), self.limit)
            self._failed.pop(address, None)


Value = TypeVar("Value")


def _put(entries: dict[str, Value], address: str, value: Value, limit: int) -> None:
    """Set an entry as the newest, and drop the oldest above the limit."""
    entries.pop(address, None)
    entries[address] = value
    while len(entries) > limit:
        del entries[next(iter(entries))]
