"""The shape of a mapping document (port-app-config.yml), as pydantic models: the edge where it is parsed.

Unknown keys are passed over, as Port's framework does, save where one is a known key misspelt.
"""

import difflib
import json
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from tidegate.core.events import Json
from tidegate.mapping.document import Location

TAG = "<"
"""Begins the names of alternatives in pydantic's error locations; they are no keys of the document."""


def _jq_text(value: object) -> str:
    """Text, or the number or boolean that YAML made of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise PydanticCustomError("jq", "must be a JQ expression (text)")


def _form(value: object) -> str:
    return "<search>" if isinstance(value, dict) else "<jq>"


def _rule_form(value: object) -> str:
    nested = isinstance(value, dict) and not {"combinator", "rules"}.isdisjoint(cast(dict[str, Any], value))
    return "<search>" if nested else "<rule>"


Jq: TypeAlias = Annotated[str, BeforeValidator(_jq_text)]
Rule: TypeAlias = Annotated[
    Annotated["RuleModel", Tag("<rule>")] | Annotated["SearchModel", Tag("<search>")],
    Discriminator(_rule_form),
]
JqOrSearch: TypeAlias = Annotated[
    Annotated[Jq, Tag("<jq>")] | Annotated["SearchModel", Tag("<search>")], Discriminator(_form)
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class RuleModel(_Model):
    """One rule of a search; all three are JQ."""

    property: Jq
    operator: Jq
    value: Jq

    def to_json(self) -> dict[str, Json]:
        return {"property": self.property, "operator": self.operator, "value": self.value}


class SearchModel(_Model):
    """A search that the target resolves: for an identifier, a relation or a team."""

    combinator: Jq
    rules: list[Rule]

    def to_json(self) -> dict[str, Json]:
        return {"combinator": self.combinator, "rules": [rule.to_json() for rule in self.rules]}


class EntityModel(_Model):
    """`port.entity.mappings`."""

    identifier: JqOrSearch
    blueprint: Jq
    title: Jq | None = None
    icon: Jq | None = None
    team: JqOrSearch | None = None
    properties: dict[str, Jq] = Field(default_factory=dict[str, Jq])
    relations: dict[str, JqOrSearch] = Field(default_factory=dict[str, JqOrSearch])


class EntitySectionModel(_Model):
    """`port.entity`."""

    mappings: EntityModel


class PortModel(_Model):
    """`port`."""

    entity: EntitySectionModel
    itemsToParse: Jq | None = None  # noqa: N815 - the document's names
    itemsToParseName: Annotated[str, Field(min_length=1)] = "item"  # noqa: N815
    itemsToParseTopLevelTransform: bool = True  # noqa: N815


class SelectorModel(_Model):
    """`selector`; other keys are the integration's own."""

    model_config = ConfigDict(extra="allow", strict=True)
    query: Jq


class ResourceModel(_Model):
    """One entry of `resources`."""

    kind: Annotated[str, Field(min_length=1)]
    selector: SelectorModel
    port: PortModel


class MappingModel(_Model):
    """The document."""

    resources: list[ResourceModel]
    deleteDependentEntities: bool = True  # noqa: N815
    createMissingRelatedEntities: bool = True  # noqa: N815
    enableMergeEntity: bool = True  # noqa: N815


_TAKEN: dict[str, str] = {
    "resources": "a list with an entry for each kind",
    "kind": "the kind's name, as the processors name it",
    "selector": "an object with a `query`",
    "query": "a JQ expression that gives true or false, such as 'true'",
    "port": "an object with `entity.mappings`",
    "entity": "an object with `mappings`",
    "mappings": "an object with `identifier`, `blueprint` and what else the entity has",
    "identifier": "a JQ expression such as .id, or a search object",
    "blueprint": "a JQ expression, as a rule a name in two kinds of quotes: '\"service\"'",
    "properties": "an object of JQ expressions; without properties, leave it out",
    "relations": "an object of JQ expressions or search objects; without relations, leave it out",
    "combinator": "'\"and\"' or '\"or\"'",
    "rules": "a list of rules with `property`, `operator` and `value`, or of search objects",
    "itemsToParse": "a JQ expression that gives a list",
    "itemsToParseName": "the key under which each element is merged into the item",
    "itemsToParseTopLevelTransform": "true or false",
    "deleteDependentEntities": "true or false",
    "createMissingRelatedEntities": "true or false",
    "enableMergeEntity": "true or false",
}
_TAKEN_UNDER = {"properties": "a JQ expression", "relations": "a JQ expression or a search object"}


def what_is_taken(parent: str, key: str) -> str:
    """What a key takes, to end the sentence «it takes …» in an error message."""
    return _TAKEN_UNDER.get(parent) or _TAKEN.get(key, "a JQ expression")


def misspelt_keys(document: dict[str, Json]) -> Iterator[tuple[Location, str]]:
    """Where a key stands that is a known one misspelt, and which is meant."""
    yield from _misspelt(document, MappingModel, ())
    resources = document.get("resources")
    for index, resource in enumerate(cast(list[Json], resources) if isinstance(resources, list) else []):
        location: Location = ("resources", index)
        yield from _misspelt(resource, ResourceModel, location)
        part = resource
        for key, model in _NESTED:
            part = cast(dict[str, Json], part).get(key) if isinstance(part, dict) else None
            location = (*location, key)
            yield from _misspelt(part, model, location)


_NESTED: tuple[tuple[str, type[BaseModel]], ...] = (
    ("port", PortModel),
    ("entity", EntitySectionModel),
    ("mappings", EntityModel),
)


def _misspelt(value: Json, model: type[BaseModel], location: Location) -> Iterator[tuple[Location, str]]:
    if not isinstance(value, dict):
        return
    keys = [key for key in cast(dict[object, Json], value) if isinstance(key, str)]
    missing = [name for name in model.model_fields if name not in keys]
    for key in keys:
        close = () if key in model.model_fields else difflib.get_close_matches(key, missing, 1, cutoff=0.8)
        for meant in close:
            yield (*location, key), meant
