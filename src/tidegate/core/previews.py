"""What a mapping would do: to the items of one run, and to the last that came in."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.core.differences import FieldChange
from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import MappingWarning


class EntityFate(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "absent"  # it would be deleted, and is not there


@dataclass(frozen=True, slots=True)
class EntityPreview:
    """What would become of one entity, and why. `document` is the entity's JSON as it would be written.

    `changes` are against what was last written or, if that is forgotten, what is in the catalog.
    """

    ref: EntityRef
    fate: EntityFate
    reason: str = ""
    document: dict[str, Json] | None = None
    changes: tuple[FieldChange, ...] = ()
    config: str = ""
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigWarning:
    """A mapping warning, and the resource config that it is of."""

    config: str
    warning: MappingWarning


@dataclass(frozen=True, slots=True)
class ItemsPreview:
    """What a mapping makes of some items. `skipped` items came to nothing: a warning says why.

    `run_id` and `event_id` tell where the items were recorded.
    """

    kind: str
    configs: tuple[str, ...]
    entities: tuple[EntityPreview, ...]
    warnings: tuple[ConfigWarning, ...]
    skipped: int = 0
    run_id: int | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class FieldCount:
    """In how many entities of a blueprint a field would be other than it is."""

    blueprint: str
    field: str
    count: int


@dataclass(frozen=True, slots=True)
class WarningCount:
    """Warnings of one field with one cause; `example` is the whole of the first one."""

    config: str
    field: str
    cause: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would change if a mapping were deployed, judged by the newest recorded items of each resource.

    `runs` were looked at and held `items`; `unrecorded` more had no items kept (too large, or none fetched).
    `gone` are resource configs that the mapping does not have any more: what they wrote stays as it is.
    `entities` shows some of those that would change. `cut_short` if the time was over before the end.
    """

    runs: int = 0
    items: int = 0
    unrecorded: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    warned: int = 0
    fields: tuple[FieldCount, ...] = ()
    warnings: tuple[WarningCount, ...] = ()
    gone: tuple[str, ...] = ()
    entities: tuple[EntityPreview, ...] = ()
    cut_short: bool = False

    @property
    def differs(self) -> bool:
        """True if anything would be other than it is."""
        return bool(self.created or self.changed or self.deleted or self.gone)
