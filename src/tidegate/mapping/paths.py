"""Plain paths evaluated in Python, with jq's semantics: null propagates, a wrong type is an error."""

from collections.abc import Callable, Sequence
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
    """A guarded step did not fit: the path gives nothing, not even null."""


Getter = Callable[[Json], Json]


def getter(steps: Sequence[Step]) -> Getter:
    """A function from an item to the value at the path. It raises PathError or NoResultError."""
    if len(steps) == 1 and isinstance(steps[0].key, str):
        return _field_getter(steps[0])

    def get(item: Json) -> Json:
        value = item
        for step in steps:
            value = _take(value, step)
        return value

    return get


def _field_getter(step: Step) -> Getter:
    """`.name`, the most frequent path by far, without the loop."""
    name = step.key

    def get(item: Json) -> Json:
        if type(item) is dict:
            return cast(dict[str, Json], item).get(cast(str, name))
        return _take(item, step)

    return get


def _take(value: Json, step: Step) -> Json:
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
