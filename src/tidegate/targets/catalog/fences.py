"""Fences: which change of each source came last to each entity, deleted ones included.

A row of the table of entities holds the fence of the source that owns it; every other fence is in the table of
fences. Fences of different sources are never compared: each source has a counter of its own.
"""

from dataclasses import dataclass

from tidegate.core.entities import EntityRef
from tidegate.targets.catalog.rows import StoredEntity
from tidegate.targets.catalog.store import Store


@dataclass(frozen=True, slots=True)
class Fences:
    """The fences of one transaction. `source` is who makes the changes."""

    store: Store
    source: str
    now_ms: int

    def last(self, ref: EntityRef, row: StoredEntity | None) -> int | None:
        """The fence of this source's last change to the entity; None if it made none."""
        if row is not None and row.source == self.source:
            return row.fence
        return self.store.fence(ref, self.source)

    def written(self, row: StoredEntity, old: StoredEntity | None, last: int | None, fence: int) -> None:
        """The entity was written as `row`. Keeps every fence that the row does not hold."""
        ref = row.ref
        if row.source != self.source:
            self.store.put_fence(ref, self.source, fence, self.now_ms)
            return
        if old is not None and old.source != self.source:
            self.store.put_fence(ref, old.source, old.fence, self.now_ms)
        if last is not None and (old is None or old.source != self.source):
            self.store.drop_fence(ref, self.source)

    def removed(self, ref: EntityRef, row: StoredEntity | None, fence: int) -> None:
        """The entity is gone (or was not there)."""
        if row is not None and row.source != self.source:
            self.store.put_fence(ref, row.source, row.fence, self.now_ms)
        self.store.put_fence(ref, self.source, fence, self.now_ms)
