"""What differs between two JSON documents, field by field, in the words of their paths."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tidegate.core.events import Json


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: `path` as `properties.url`; `before` and `after` are None where there was nothing."""

    path: str
    change: Change
    before: Json = None
    after: Json = None


def differences(before: Json, after: Json) -> list[Difference]:
    """The fields that differ, in the order of their paths. Lists count as one value."""
    return sorted(_differ("", before, after), key=lambda found: found.path)


def _differ(path: str, before: Json, after: Json) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        names: set[str] = {*before, *after}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        for name in names:
            inner = f"{path}.{name}" if path else name
            if name not in before:
                yield Difference(inner, Change.ADDED, after=after[name])
            elif name not in after:
                yield Difference(inner, Change.REMOVED, before=before[name])
            else:
                yield from _differ(inner, before[name], after[name])
    elif before != after:
        yield Difference(path, Change.CHANGED, before, after)
