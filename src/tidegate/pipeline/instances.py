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
    """Instances by (event id, processor name), bounded in number and in the bytes of their events' bodies."""

    def __init__(self, max_instances: int = MAX_INSTANCES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._max_instances = max_instances
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0

    def put(self, event_id: str, name: str, instance: AbstractWebhookProcessor, uses: int) -> None:
        """Keep an instance for `uses` runs (one for each resource config)."""
        self.discard(event_id, name)
        self._entries[event_id, name] = _Entry(instance, uses)
        self._body_bytes += len(instance.event.body)
        while len(self._entries) > self._max_instances or self._body_bytes > self._max_body_bytes:
            _, evicted = self._entries.popitem(last=False)
            self._body_bytes -= len(evicted.instance.event.body)

    def take(self, event_id: str, name: str) -> AbstractWebhookProcessor | None:
        """The instance, for one of its runs; None if it is not here (any more)."""
        entry = self._entries.get((event_id, name))
        if entry is None:
            return None
        entry.uses -= 1
        if entry.uses <= 0:
            self.discard(event_id, name)
        return entry.instance

    def discard(self, event_id: str, name: str) -> None:
        """Forget an instance, as after a failure: the next attempt begins with a fresh one."""
        entry = self._entries.pop((event_id, name), None)
        if entry is not None:
            self._body_bytes -= len(entry.instance.event.body)
