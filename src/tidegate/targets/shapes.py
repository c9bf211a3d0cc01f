"""The shapes that Port's API gives entities, and that every target holds them to.

Sources: Port's API reference, "Create multiple entities" (identifier pattern, length, search identifiers and
search relations); its numbers and booleans sent where text is wanted become text.
"""

import re
from typing import TypeGuard

import msgspec

from tidegate.core.entities import Entity, identifier_text
from tidegate.core.events import Json

MAX_IDENTIFIER_LENGTH = 1000

_IDENTIFIER = re.compile(r"(?!\.{1,2}$)(?:[^\W\d_]|[0-9@_.+:\\/=-])+")
_BLUEPRINT_IDENTIFIER = re.compile(r"(?!\.{1,2}$)(?:[^\W\d_]|[0-9@_.+:\\/-])+")


def identifier_fault(identifier: Json) -> str | None:
    """Why this cannot name an entity, or None if it can."""
    if not isinstance(identifier, str):
        return f"an identifier must be a string, not {json_type(identifier)}"
    if not identifier:
        return "an identifier must not be empty"
    if len(identifier) > MAX_IDENTIFIER_LENGTH:
        return f"an identifier may have {MAX_IDENTIFIER_LENGTH} characters, not {len(identifier)}"
    if _IDENTIFIER.fullmatch(identifier) is None:
        return f"identifier {shown(identifier)} may only have letters, digits and @ _ . + : \\ / = -"
    return None


def is_object(value: Json) -> TypeGuard[dict[str, Json]]:
    """True for a JSON object."""
    return isinstance(value, dict)


def is_array(value: Json) -> TypeGuard[list[Json]]:
    """True for a JSON array."""
    return isinstance(value, list)


def as_list(value: Json) -> list[Json]:
    """An array as it is, null as nothing, anything else as one item."""
    if value is None:
        return []
    return value if is_array(value) else [value]


def is_blueprint_identifier(identifier: Json) -> TypeGuard[str]:
    """True if this can name a blueprint: 1 to 100 letters, digits and some punctuation."""
    return (
        isinstance(identifier, str)
        and len(identifier) <= 100
        and _BLUEPRINT_IDENTIFIER.fullmatch(identifier) is not None
    )


def as_text(value: Json) -> Json:
    """Numbers and booleans as their JSON text; anything else as it is."""
    return identifier_text(value) if isinstance(value, (bool, int, float)) else value


def is_search(value: Json) -> bool:
    """True if a value is a search query (`combinator`, `rules`) instead of an identifier."""
    return is_object(value) and "combinator" in value and "rules" in value


def has_search(entity: Entity) -> bool:
    """True if the target has to look something up before it knows what this entity says."""
    if entity.is_search or is_search(entity.team):
        return True
    relations = {} if isinstance(entity.relations, msgspec.UnsetType) else entity.relations
    return any(is_object(value) for value in relations.values())


def json_type(value: Json) -> str:
    """The name of a value's JSON type, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, (list, tuple)) else "an object"


def shown(value: Json, limit: int = 80) -> str:
    """A value as short JSON, for messages."""
    document = msgspec.json.encode(value).decode()
    return document if len(document) <= limit else f"{document[: limit - 1]}…"
