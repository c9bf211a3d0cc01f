"""JSON schemas of the records that the operations API answers with, from their types (console/documents.py)."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from tidegate.core.inspection import (
    AttemptRecord,
    EventDetail,
    EventRecord,
    RunDetail,
    RunRecord,
    WriteRecord,
)

Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    Any: {},
}
_STEP: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "seconds": {"type": "number"}, "note": {"type": "string"}},
    "required": ["name", "seconds", "note"],
}


class Schemas:
    """Collects the schemas of `components`, each record once."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; of a record, a reference to it."""
        if kind in _PLAIN:
            return _PLAIN[kind]
        if get_origin(kind) is Annotated:
            return self.of(get_args(kind)[0])
        if get_origin(kind) in (Union, types.UnionType):
            return {
                "anyOf": [
                    self.of(each) if each is not type(None) else {"type": "null"} for each in get_args(kind)
                ]
            }
        if get_origin(kind) in (tuple, frozenset, list):
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        if get_origin(kind) is not None and issubclass(get_origin(kind), Mapping):
            return {"type": "object", "additionalProperties": self.of(get_args(kind)[1])}
        if issubclass(kind, Enum):
            return {"type": "string", "enum": [each.value for each in kind]}
        if is_dataclass(kind) or issubclass(kind, tuple):  # a named tuple
            return self._record(kind)
        raise TypeError(f"no schema for {kind}")

    def _record(self, kind: Any) -> Schema:
        if kind.__name__ not in self.found:
            self.found[kind.__name__] = {}  # a record that holds its own kind finds it
            self.found[kind.__name__] = object_of(self._properties(kind))
        return {"$ref": f"#/components/schemas/{kind.__name__}"}

    def _properties(self, kind: Any) -> dict[str, Schema]:
        if kind is EventDetail:
            carried = object_of({**self.fields_of(RunRecord), "carried": _PLAIN[bool]})
            return {
                **self.fields_of(EventRecord),
                "trace_id": _PLAIN[str],
                "headers": {"type": "object", "additionalProperties": _PLAIN[str]},
                "payload": {},
                "runs": {"type": "array", "items": carried},
            }
        if kind is RunDetail:
            parts = {name: {"type": "array", "items": self.of(each)} for name, each in _PARTS.items()}
            return {**self.fields_of(RunRecord), **parts}
        return self.fields_of(kind)

    def fields_of(self, kind: Any) -> dict[str, Schema]:
        """The members of a record."""
        hints = get_type_hints(kind)
        special = _SPECIAL.get(kind, {})
        names = [each.name for each in fields(kind)] if is_dataclass(kind) else list(hints)
        return {name: special.get(name) or self.of(hints[name]) for name in names}


_PARTS: dict[str, Any] = {"attempts": AttemptRecord, "writes": WriteRecord, "events": EventRecord}
_SPECIAL: dict[Any, dict[str, Schema]] = {
    AttemptRecord: {
        "steps": {"type": "array", "items": _STEP},
        "fetched": {"description": "What was fetched, parsed and masked; null if it was not kept."},
    },
    WriteRecord: {"document": {"description": "The entity, for upserts; null otherwise."}},
}


def object_of(properties: dict[str, Schema]) -> Schema:
    """An object with exactly these members."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
