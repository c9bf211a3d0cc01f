"""Property schemas compiled to checks: each says what is wrong with a value, or None.

The keywords are those of JSON Schema (draft 7) that Port's blueprints take. Written out here instead of taken
from a JSON Schema library because a check costs well under a microsecond and its message names the remedy.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.targets.catalog.formats import FORMATS
from tidegate.targets.shapes import is_array, is_object, json_type, shown

Check: TypeAlias = Callable[[Json], str | None]


def compile_check(schema: Json, where: str) -> Check:
    """Compile a property's schema. Raises ConfigurationError, which names `where`."""
    if not is_object(schema):
        raise ConfigurationError(f"{where}: a property is an object with a `type`, not {json_type(schema)}")
    kind = schema.get("type")
    builders = _BUILDERS.get(kind) if isinstance(kind, str) else None
    if builders is None:
        raise ConfigurationError(f"{where}: `type` is {shown(kind)}; use one of {', '.join(_BUILDERS)}")
    is_kind, keywords = builders
    checks = [is_kind]
    for keyword, build in keywords.items():
        if keyword in schema:
            checks.append(build(schema[keyword], f"{where}: {keyword}"))
    return checks[0] if len(checks) == 1 else _all_of(tuple(checks))


def _all_of(checks: tuple[Check, ...]) -> Check:
    def check(value: Json) -> str | None:
        for one in checks:
            fault = one(value)
            if fault is not None:
                return fault
        return None

    return check


def _is_string(value: Json) -> str | None:
    return None if isinstance(value, str) else f"must be a string, not {json_type(value)}"


def _is_number(value: Json) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None
    return f"must be a number, not {json_type(value)}"


def _is_boolean(value: Json) -> str | None:
    return None if isinstance(value, bool) else f"must be a boolean, not {json_type(value)}"


def _is_object(value: Json) -> str | None:
    return None if isinstance(value, dict) else f"must be an object, not {json_type(value)}"


def _is_array(value: Json) -> str | None:
    return None if isinstance(value, list) else f"must be an array, not {json_type(value)}"


def _enum(allowed: Json, where: str) -> Check:
    if not is_array(allowed):
        raise ConfigurationError(f"{where}: must be an array, not {json_type(allowed)}")
    choices = ", ".join(shown(value) for value in allowed)

    def check(value: Json) -> str | None:
        # True == 1 in Python, not in JSON.
        if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in allowed):
            return None
        return f"must be one of {choices}, not {shown(value)}"

    return check


def _pattern(pattern: Json, where: str) -> Check:
    try:
        search = re.compile(pattern).search
    except (re.error, TypeError) as error:
        raise ConfigurationError(f"{where}: {shown(pattern)} cannot be read: {error}") from None
    return lambda value: None if search(value) else f"must match the pattern {pattern}, not {shown(value)}"


def _format(name: Json, where: str) -> Check:
    if not isinstance(name, str):
        raise ConfigurationError(f"{where}: must be a string, not {json_type(name)}")
    test = FORMATS.get(name)
    if test is None:
        return lambda _: None
    return lambda value: None if test(value) else f"must be of format {name}, not {shown(value)}"


def _bound(holds: Callable[[float, float], bool], words: str, measure: Callable[[Json], float]) -> "_Builder":
    def build(limit: Json, where: str) -> Check:
        if _is_number(limit) is not None:
            raise ConfigurationError(f"{where}: must be a number, not {json_type(limit)}")
        return lambda value: None if holds(measure(value), limit) else f"must {words} {limit}"

    return build


def _items(schema: Json, where: str) -> Check:
    element = compile_check(schema, where)

    def check(value: Json) -> str | None:
        for index, item in enumerate(value):
            fault = element(item)
            if fault is not None:
                return f"item {index} {fault}"
        return None

    return check


def _unique(wanted: Json, where: str) -> Check:
    if not isinstance(wanted, bool):
        raise ConfigurationError(f"{where}: must be a boolean, not {json_type(wanted)}")

    def check(value: Json) -> str | None:
        repeated = wanted and len({shown(item, limit=1_000_000) for item in value}) != len(value)
        return "must not repeat items" if repeated else None

    return check


def _at_least(value: float, limit: float) -> bool:
    return value >= limit


def _at_most(value: float, limit: float) -> bool:
    return value <= limit


def _above(value: float, limit: float) -> bool:
    return value > limit


def _below(value: float, limit: float) -> bool:
    return value < limit


def _itself(value: Json) -> float:
    return value


_Builder: TypeAlias = Callable[[Json, str], Check]

_BUILDERS: Mapping[str, tuple[Check, Mapping[str, _Builder]]] = {
    "string": (
        _is_string,
        {
            "minLength": _bound(_at_least, "be at least as long as", len),
            "maxLength": _bound(_at_most, "be at most as long as", len),
            "enum": _enum,
            "pattern": _pattern,
            "format": _format,
        },
    ),
    "number": (
        _is_number,
        {
            "minimum": _bound(_at_least, "be at least", _itself),
            "maximum": _bound(_at_most, "be at most", _itself),
            "exclusiveMinimum": _bound(_above, "be more than", _itself),
            "exclusiveMaximum": _bound(_below, "be less than", _itself),
            "enum": _enum,
        },
    ),
    "boolean": (_is_boolean, {}),
    "object": (_is_object, {}),
    "array": (
        _is_array,
        {
            "minItems": _bound(_at_least, "have at least this many items:", len),
            "maxItems": _bound(_at_most, "have at most this many items:", len),
            "uniqueItems": _unique,
            "items": _items,
        },
    ),
}
