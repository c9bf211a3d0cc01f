"""Where the queues begin, as far as this process knows: claims need not look at what comes before.

While somebody holds an old snapshot, dead index entries of all that was done since stay there, and a look for the
oldest entry steps over them. See the verb `look_low`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.engines.postgres.calls import Verbs

LOOK_SECONDS = 0.1
FULL_LOOK_SECONDS = 60.0
"""After so long the queues are looked at from the very beginning: nothing is left behind, whatever happened. Seldomer if
that takes long."""

FULL_LOOK_SHARE = 0.01
OLD_SECONDS = 10.0
"""A transaction that has been running for so long is none of ours."""


class Lows(NamedTuple):
    """No queued event has a lower number, none was lent with an earlier end, and no run of a processor is due earlier."""

    seq: int = 0
    lease_us: int = 0
    dues: dict[str, int] = {}  # noqa: RUF012 - nobody changes it


class Mark(NamedTuple):
    """What was newest at a time, and the number of the transaction that looked."""

    own_number: int
    newest_seq: int
    newest_us: int
    at: float


class Found(NamedTuple):
    """The least that is there."""

    seq: int | None
    lease_us: int | None
    names: list[str | None]
    dues: list[int | None]

    def or_less(self, seq: int, lease_us: int, due_us: Callable[[str], int]) -> Lows:
        """What was found, but nothing above these."""
        return Lows(
            seq=seq if self.seq is None else min(self.seq, seq),
            lease_us=lease_us if self.lease_us is None else min(self.lease_us, lease_us),
            dues={
                name: due_us(name) if due is None else min(due, due_us(name))
                for name, due in zip(self.names, self.dues, strict=True)
                if name is not None
            },
        )


@dataclass(eq=False, slots=True)
class Horizon:
    """Looks again now and then; `seconds` is the least time between."""

    monotonic: Callable[[], float]
    seconds: float = LOOK_SECONDS
    lows: Lows = field(default_factory=Lows)
    _mark: Mark | None = None
    _look_at: float = 0.0
    _full_at: float = 0.0

    async def look(self, verbs: Verbs) -> Lows:
        """From where on to claim."""
        now = self.monotonic()
        if now < self._look_at:
            return self.lows
        self._look_at = now + self.seconds
        everything = now >= self._full_at
        known = Lows() if everything else self.lows
        [(oldest, own_number, newest_seq, newest_us, *least)] = await verbs.call(
            "look_low",
            low_seq=known.seq,
            low_lease_us=known.lease_us,
            low_names=list(known.dues),
            low_dues=list(known.dues.values()),
            everything=everything,
        )
        if everything:
            took = self.monotonic() - now
            self._full_at = now + max(FULL_LOOK_SECONDS, took / FULL_LOOK_SHARE)
        self._learn(Mark(own_number, newest_seq, newest_us, now), oldest, Found(*least), everything)
        return self.lows

    def _learn(self, mark: Mark, oldest_running: int, found: Found, everything: bool) -> None:
        former, lows = self._mark, self.lows
        if former is None or any(now < before for now, before in zip(mark, former, strict=True)):
            # The beginning; or a fail-over, or a step of the server's clock: what was known may be wrong.
            self._mark, self.lows = mark, Lows()
        elif oldest_running >= former.own_number or mark.at >= former.at + OLD_SECONDS:
            newest_us = former.newest_us
            self._mark, self.lows = mark, found.or_less(former.newest_seq, newest_us, lambda _: newest_us)
        elif everything:
            self.lows = found.or_less(lows.seq, lows.lease_us, lambda name: lows.dues.get(name, 0))
