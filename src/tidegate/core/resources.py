"""Resource configs (one entry of the mapping each) and the raw results that processors return for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tidegate.core.events import Json

RawItem: TypeAlias = Json
"""One item as the third party gave it; an object as a rule."""


@dataclass(frozen=True, slots=True)
class Selector:
    """`query` is JQ and decides whether an item is in the catalog; `options` are the integration's own keys."""

    query: str = "true"
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """The JQ expressions of one entity. Values are expressions, search objects, or lists and maps of them.

    None means that the mapping does not name the field (so it is not sent).
    """

    identifier: Json
    blueprint: str
    title: str | None = None
    icon: str | None = None
    team: Json = None
    properties: Mapping[str, Json] | None = None
    relations: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class PortMapping:
    """How a resource config's items become entities, with `itemsToParse` and its siblings."""

    entity: EntityMapping
    items_to_parse: str | None = None
    items_to_parse_name: str = "item"
    items_to_parse_top_level_transform: bool = True


@dataclass(frozen=True, slots=True)
class ResourceConfig:
    """One entry of the mapping.

    `id` names it among the entries: the kind, or `kind#2` for the second entry of the same kind and so on.
    It is part of what runs and lineage are keyed by.
    """

    id: str
    kind: str
    selector: Selector
    port: PortMapping


@dataclass(frozen=True, slots=True)
class MappingText:
    """The resource configs that a text holds: those of a `whole` mapping, or a single one by itself."""

    configs: tuple[ResourceConfig, ...]
    whole: bool = True

    def entries_for(self, config_id: str, kind: str) -> tuple[ResourceConfig, ...]:
        """The entry of this id; a single config by itself stands for any entry of its kind."""
        if self.whole:
            return tuple(config for config in self.configs if config.id == config_id)
        return tuple(replace(config, id=config_id) for config in self.configs if config.kind == kind)


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The mapping file's top-level switches that concern the target (names and defaults as in Port's framework)."""

    delete_dependent_entities: bool = True
    create_missing_related_entities: bool = True
    enable_merge_entity: bool = True


@dataclass(slots=True)
class WebhookEventRawResults:
    """What `handle_event` returns: items to map and upsert, and items to map and delete."""

    updated_raw_results: list[RawItem] = field(default_factory=list[RawItem])
    deleted_raw_results: list[RawItem] = field(default_factory=list[RawItem])
