"""What differs between two states of an entity, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from tidegate.core.events import Json


class FieldFate(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    DROPPED = "dropped"  # not sent any more: a target that merges keeps what it has


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, as `title` or `properties.url`. What is not there is None."""

    field: str
    fate: FieldFate
    before: Json
    after: Json


_NESTED = ("properties", "relations")


def differences(before: dict[str, Json], after: dict[str, Json]) -> tuple[FieldChange, ...]:
    """The fields in which two entities (as JSON) differ, in alphabetical order."""
    fields_before, fields_after = dict(_fields(before)), dict(_fields(after))
    changes: list[FieldChange] = []
    for field in sorted({*fields_before, *fields_after}):
        old, new = fields_before.get(field), fields_after.get(field)
        if field not in fields_before:
            changes.append(FieldChange(field, FieldFate.ADDED, None, new))
        elif field not in fields_after:
            changes.append(FieldChange(field, FieldFate.DROPPED, old, None))
        elif not _same(old, new):
            changes.append(FieldChange(field, FieldFate.CHANGED, old, new))
    return tuple(changes)


def _fields(entity: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    for name, value in entity.items():
        if name in _NESTED and isinstance(value, dict):
            for inner, inner_value in cast(dict[str, Json], value).items():
                yield f"{name}.{inner}", inner_value
        else:
            yield name, value


def _same(one: Json, other: Json) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast(dict[str, Json], one), cast(dict[str, Json], other)
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(one, list) and isinstance(other, list):
        ours, theirs = cast(list[Json], one), cast(list[Json], other)
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(one == other)
