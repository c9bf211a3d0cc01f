"""Catalog entities and how they are named."""

from functools import cached_property
from typing import NamedTuple

import msgspec

from tidegate.core.events import Json


class EntityRef(NamedTuple):
    """An entity's name. `identifier` is the text itself, or the canonical JSON of any other value."""

    blueprint: str
    identifier: str

    def __str__(self) -> str:
        return f"{self.blueprint}/{self.identifier}"


class Entity(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """What the mapping makes of a raw item, in the shape that Port's API takes.

    A field that the mapping does not name is UNSET and is not sent; a field that came out null is sent as
    null. `identifier` is a string as a rule; numbers, lists and search objects pass through to the target.
    """

    identifier: Json
    blueprint: str
    title: Json | msgspec.UnsetType = msgspec.UNSET
    icon: Json | msgspec.UnsetType = msgspec.UNSET
    team: Json | msgspec.UnsetType = msgspec.UNSET
    properties: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET
    relations: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET

    @cached_property
    def ref(self) -> EntityRef:
        return EntityRef(self.blueprint, identifier_text(self.identifier))

    @property
    def is_search(self) -> bool:
        """True if the identifier is a search query that only the target can resolve."""
        return isinstance(self.identifier, dict)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self, order="deterministic")


def identifier_text(identifier: Json) -> str:
    """The text under which an identifier is kept: itself, or canonical JSON."""
    if isinstance(identifier, str):
        return identifier
    return msgspec.json.encode(identifier, order="deterministic").decode()
