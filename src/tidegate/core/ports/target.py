"""Where entities go."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import Json


class Upsert(msgspec.Struct, frozen=True):
    """Write an entity. `fence` is the claim's token."""

    entity: Entity
    fence: int

    @property
    def ref(self) -> EntityRef:
        return self.entity.ref


class Delete(msgspec.Struct, frozen=True):
    """Remove an entity; one that is not there counts as removed."""

    ref: EntityRef
    fence: int


Change: TypeAlias = Upsert | Delete


class Applied(msgspec.Struct, frozen=True):
    """The target has it."""


class Refused(msgspec.Struct, frozen=True):
    """The target says that this entity is wrong. `retryable` if it may be right later (a missing relation)."""

    reason: str
    retryable: bool = False


class Overtaken(msgspec.Struct, frozen=True):
    """A change with a higher fence was applied to this entity before: nothing was written."""


ChangeOutcome: TypeAlias = Applied | Refused | Overtaken


class EntityTarget(Protocol):
    """Where entities go."""

    @property
    def batch_limit(self) -> int:
        """The most changes that one `apply` should carry."""
        ...

    @property
    def fenced(self) -> bool:
        """True if the target itself refuses changes with a lower fence than the last one applied."""
        ...

    async def prepare(self, blueprints: Sequence[Mapping[str, Json]], default_mapping: Json) -> None:
        """Register the integration, and create the blueprints and the mapping that are missing."""
        ...

    async def apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        """Apply changes of distinct entities; one outcome each, in order.

        Raises TargetUnavailableError if none can be known to be applied; the same changes may be sent again.
        """
        ...

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        """Which of these exist and were written by this integration. Raises TargetUnavailableError."""
        ...

    async def close(self) -> None: ...
