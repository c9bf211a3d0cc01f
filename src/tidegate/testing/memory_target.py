"""A target in memory, with faults: for the tests of integrations and of the pipeline itself."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Applied, Change, ChangeOutcome, Overtaken, Refused, Upsert


@dataclass(eq=False)
class MemoryTarget:
    """Keeps entities in a dict. `fenced=False` makes it take late writes, as Port does.

    `before_apply` is awaited before each request and may raise TargetUnavailableError, or wait; `refuse` may
    answer a reason for which one entity is refused.
    """

    fenced: bool = True
    batch_limit: int = 20
    entities: dict[EntityRef, Entity] = field(default_factory=dict[EntityRef, Entity])
    requests: list[list[Change]] = field(default_factory=list[list[Change]])
    before_apply: Callable[[Sequence[Change]], Awaitable[None]] | None = None
    refuse: Callable[[Change], Refused | None] = lambda _: None
    _fences: dict[EntityRef, int] = field(default_factory=dict[EntityRef, int])

    async def prepare(self, blueprints: Sequence[Mapping[str, Json]], default_mapping: Json) -> None:
        """There is nothing to prepare."""

    async def apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        """Apply changes, unless a fault says otherwise."""
        if self.before_apply is not None:
            await self.before_apply(changes)
        self.requests.append(list(changes))
        return [self._apply(change) for change in changes]

    def _apply(self, change: Change) -> ChangeOutcome:
        refusal = self.refuse(change)
        if refusal is not None:
            return refusal
        if self.fenced and change.fence < self._fences.get(change.ref, 0):
            return Overtaken()
        self._fences[change.ref] = change.fence
        if isinstance(change, Upsert):
            self.entities[change.ref] = change.entity
        else:
            self.entities.pop(change.ref, None)
        return Applied()

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        """All that exist: everything in it was written by the one integration."""
        return frozenset(ref for ref in refs if ref in self.entities)

    async def close(self) -> None:
        """There is nothing to close."""
