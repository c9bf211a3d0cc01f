"""What makes entities of the third party's items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from tidegate.core.entities import Entity
from tidegate.core.resources import RawItem, ResourceConfig


@dataclass(frozen=True, slots=True)
class MappingWarning:
    """One field that came out null because its expression failed, or one item that was skipped.

    `item` is the index of the raw item; `field` e.g. `properties.url`, `identifier`, `selector`.
    """

    item: int
    field: str
    expression: str
    reason: str

    def __str__(self) -> str:
        return f"item {self.item}: {self.field}: {self.reason} (in {self.expression})"


class Mapped(msgspec.Struct, frozen=True):
    """Entities whose selector passed, entities whose selector said no, and what was odd.

    `skipped` counts the items of which nothing is known: their selector, identifier or blueprint did not come
    out, or they could not be unfolded. Each has a warning.
    """

    passed: tuple[Entity, ...] = ()
    failed: tuple[Entity, ...] = ()
    warnings: tuple[MappingWarning, ...] = ()
    skipped: int = 0


class EntityMapper(Protocol):
    """Maps raw items to entities with JQ, bounded in time and memory."""

    @property
    def configs(self) -> Sequence[ResourceConfig]: ...

    async def map(self, config: ResourceConfig, items: Sequence[RawItem], *, select: bool = True) -> Mapped:
        """Map items. With `select=False` the selector is not asked and every entity counts as passed.

        An item or expression never raises: it warns. Raises MapperUnavailableError if the JQ worker process
        cannot be started.
        """
        ...
