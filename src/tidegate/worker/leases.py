"""Leases of the runs in hand: renewed while work goes on, and given up on time when they cannot be."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.core.ports import Clock, Engine
from tidegate.core.runs import EntityWrite, RunClaim

RENEWALS_PER_LEASE = 3


@dataclass(slots=True)
class Lease:
    """What a worker knows of its claim's lease, by its own monotonic clock and never too long.

    `sent` is what was sent to the target under it; `task`, which works under it, is cancelled if it is lost;
    `mapped` is called when the run needs nothing more of the third party.
    """

    claim: RunClaim
    clock: Clock
    ends_at: float
    mapped: Callable[[], None]
    task: asyncio.Task[object] = field(init=False)
    lost: bool = False
    sent: tuple[EntityWrite, ...] = ()

    def holds(self) -> bool:
        return not self.lost and self.clock.monotonic() < self.ends_at

    def sending(self, writes: tuple[EntityWrite, ...]) -> None:
        self.sent = writes


@dataclass(slots=True)
class LeaseKeeper:
    """Renews all leases together, a third of their length before anything can go wrong."""

    engine: Engine
    clock: Clock
    _leases: dict[int, Lease] = field(default_factory=dict[int, Lease])

    def take(self, claim: RunClaim, asked_at: float, mapped: Callable[[], None]) -> Lease:
        """Begin to keep a lease. `asked_at` is the monotonic time before the claim was asked for."""
        lease = Lease(claim, self.clock, asked_at + self.engine.lease_seconds, mapped)
        self._leases[claim.run_id] = lease
        return lease

    def drop(self, claim: RunClaim) -> None:
        """The claim has ended, if it had a lease."""
        lease = self._leases.get(claim.run_id)
        if lease is not None and lease.claim is claim:
            del self._leases[claim.run_id]

    async def keep(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self.engine.lease_seconds / RENEWALS_PER_LEASE)
            await self.renew()

    async def renew(self) -> None:
        """Renew every lease once; tell those that are lost."""
        leases = list(self._leases.values())
        if not leases:
            return
        asked_at = self.clock.monotonic()
        renewed = await self.engine.renew([lease.claim for lease in leases])
        for lease in leases:
            if lease.claim.run_id in renewed:
                lease.ends_at = asked_at + self.engine.lease_seconds
            elif self._leases.get(lease.claim.run_id) is lease:
                lease.lost = True
                self.drop(lease.claim)
                lease.task.cancel()
