"""Plain paths in Python, with jq's semantics: null propagates, a wrong type is an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from tidegate.core.events import Json
from tidegate.mapping.values import type_name


@dataclass(frozen=True, slots=True)
class Step:
    """One key or index. `guarded` is jq's `?`: where the step would fail, the path has no result."""

    key: str | int
    guarded: bool = False


class PathError(Exception):
    """A step does not fit the value it meets; the message is jq's."""


class NoResultError(Exception):
    """There is nothing, not even null: a guarded step did not fit, or an expression has no output."""

    def __init__(self) -> None:
        super().__init__("gave no result")


def take(value: Json, step: Step) -> Json:
    """Raises PathError or NoResultError."""
    key = step.key
    if value is None:
        return None
    if isinstance(key, str):
        if isinstance(value, dict):
            return cast(dict[str, Json], value).get(key)
    elif isinstance(value, (list, tuple)):
        elements = cast(Sequence[Json], value)
        return elements[key] if -len(elements) <= key < len(elements) else None
    if step.guarded:
        raise NoResultError
    wanted = f'string ("{key}")' if isinstance(key, str) else f"number ({key})"
    raise PathError(f"Cannot index {type_name(value)} with {wanted}")


def without(item: Json, steps: Sequence[Step]) -> Json:
    """A copy of the item that lacks what is at the path; only what lies on the way is copied."""
    key, rest = steps[0].key, steps[1:]
    if not _holds(item, key):
        return item
    copy = item.copy()
    if rest:
        copy[key] = without(copy[key], rest)
    else:
        del copy[key]
    return copy


def _holds(value: Json, key: str | int) -> bool:
    if isinstance(key, str):
        return isinstance(value, dict) and key in value
    return isinstance(value, list) and -len(cast(list[Json], value)) <= key < len(cast(list[Json], value))
