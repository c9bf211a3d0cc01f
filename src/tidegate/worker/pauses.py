"""Which processors are not to be claimed for now: a third-party host that their runs need is paused."""

from dataclasses import dataclass, field

from tidegate.fetch import HostBreakers


@dataclass(slots=True)
class ProcessorPauses:
    """Learns from failed runs which hosts a processor depends on."""

    hosts: HostBreakers
    _hosts_of: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def learn(self, processor: str, host: str) -> None:
        """Note that a run of the processor met a paused host."""
        self._hosts_of.setdefault(processor, set()).add(host)

    def paused(self) -> frozenset[str]:
        """The processors that wait for a host, and cannot probe it yet."""
        return frozenset(
            name
            for name, hosts in self._hosts_of.items()
            if any(self.hosts.wait_seconds(host) > 0 for host in hosts)
        )

    def wait_seconds(self) -> float | None:
        """How long until the first of them may probe; None if none is paused."""
        waits = [self.hosts.wait_seconds(host) for hosts in self._hosts_of.values() for host in hosts]
        waiting = [wait for wait in waits if wait > 0]
        return min(waiting) if waiting else None
