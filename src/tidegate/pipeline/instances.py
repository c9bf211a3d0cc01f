"""Keeps processor instances between routing and processing, so that what an author set on `self` is there.

Only a shortcut: an instance that is not here any more is made anew and asked `should_process_event` again.
"""

from collections import OrderedDict
from dataclasses import dataclass

from tidegate.authoring import AbstractWebhookProcessor

MAX_INSTANCES = 4096
MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class _Entry:
    instance: AbstractWebhookProcessor
    uses: int


class InstanceCache:
    """Instances by (event's seq, processor name), bounded in number and in the bytes of their events' bodies.

    Runs come about in the order of their events. So if routing is far ahead, what is here is needed sooner than what
    comes; only what was passed over (its run stands for a newer event, or another process has it) makes room.
    """

    def __init__(self, max_instances: int = MAX_INSTANCES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._entries: OrderedDict[tuple[int, str], _Entry] = OrderedDict()
        self._max_instances = max_instances
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0
        self._newest_taken = 0

    def put(self, seq: int, name: str, instance: AbstractWebhookProcessor, uses: int) -> None:
        """Keep an instance for `uses` runs (one for each resource config), if there is room."""
        self.discard(seq, name)
        size = len(instance.event.body)
        while len(self._entries) >= self._max_instances or self._body_bytes + size > self._max_body_bytes:
            oldest = next(iter(self._entries), None)
            if oldest is None or oldest[0] >= self._newest_taken:
                return
            self.discard(*oldest)
        self._entries[seq, name] = _Entry(instance, uses)
        self._body_bytes += size

    def take(self, seq: int, name: str) -> AbstractWebhookProcessor | None:
        """The instance, for one of its runs; None if it is not here."""
        self._newest_taken = max(self._newest_taken, seq)
        entry = self._entries.get((seq, name))
        if entry is None:
            return None
        entry.uses -= 1
        if entry.uses <= 0:
            self.discard(seq, name)
        return entry.instance

    def discard(self, seq: int, name: str) -> None:
        """Forget an instance, as after a failure: the next attempt begins with a fresh one."""
        entry = self._entries.pop((seq, name), None)
        if entry is not None:
            self._body_bytes -= len(entry.instance.event.body)
