"""JQ's operations on the values where there is nothing to doubt; on all others they raise UnsureError, and JQ decides.

So an error's message, a float's digits or an object's order are always JQ's own, and nothing here needs to know them.
"""

import re
from collections.abc import Collection, Sequence

from tidegate.core.events import Json

_EXACT = 1 << 53
_LONGEST_JOINT = 1 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LOWER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


class UnsureError(Exception):
    """The value is one of those that only JQ itself is asked about."""


def text(value: Json) -> str:
    """The value, if it is text without half surrogate pairs."""
    if type(value) is str and (value.isascii() or not _SURROGATE.search(value)):
        return value
    raise UnsureError


def is_true(value: Json) -> bool:
    """JQ's truth: all but null and false."""
    if value is None or value is False:
        return False
    return _known(value)


def _known(value: Json) -> bool:
    if type(value) in (str, int, bool, float, dict, list):
        return True
    raise UnsureError


def array(value: Json) -> list[Json]:
    elements: list[Json] = value
    if type(value) is list:
        return elements
    raise UnsureError


def array_or_nothing(value: Json) -> Sequence[Json]:
    """What `[]?` goes through."""
    if value is None or type(value) in (str, int, bool, float):
        return ()
    return array(value)


def _exact_integer(value: Json) -> int:
    """An integer that a double holds exactly."""
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return value
    raise UnsureError


def to_string(value: Json) -> str:
    if type(value) is str:
        return text(value)
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    return str(_exact_integer(value))


# --- Paths ----------------------------------------------------------------------------------------------


def field_of_none(value: Json) -> Json:
    """Any field of what is no object."""
    if value is None:
        return None
    raise UnsureError


def element(value: Json, index: int) -> Json:
    if value is None:
        return None
    elements = array(value)
    return elements[index] if -len(elements) <= index < len(elements) else None


def part(value: Json, bounds: slice) -> Json:
    if value is None:
        return None
    return (text(value) if type(value) is str else array(value))[bounds]


# --- Operators and functions ----------------------------------------------------------------------------


def negate(value: Json) -> bool:
    """`not`"""
    return not is_true(value)


def equal(left: Json, right: Json) -> bool:
    kind = _kind(left)
    if kind != _kind(right):
        return False
    if kind == "container":
        raise UnsureError
    return left == right


def differ(left: Json, right: Json) -> bool:
    return not equal(left, right)


def _kind(value: Json) -> str:
    """What may be equal to one another: of two containers JQ is asked."""
    if type(value) is str:
        text(value)
        return "string"
    if value is None or type(value) is bool:
        return "null" if value is None else "boolean"
    if type(value) in (dict, list):
        return "container"
    _number(value)
    return "number"


def _number(value: Json) -> float:
    if type(value) is float:
        if value - value == 0:
            return value
        raise UnsureError
    return _exact_integer(value)


def total(augend: Json, addend: Json) -> Json:
    """`+`"""
    if type(augend) is str and type(addend) is str:
        return text(augend) + text(addend)
    if augend is None or addend is None:
        only = addend if augend is None else augend
        return only if only is None or _known(only) else None
    if type(augend) is list and type(addend) is list:
        return [*array(augend), *array(addend)]
    return _exact_integer(_exact_integer(augend) + _exact_integer(addend))


def length(value: Json) -> int:
    if value is None:
        return 0
    elements: Collection[Json] = value
    if type(value) is dict or type(value) is list:
        return len(elements)
    return len(text(value))


def lower(value: Json) -> str:
    return text(value).translate(_UPPER)


def upper(value: Json) -> str:
    return text(value).translate(_LOWER)


def starts_with(value: Json, prefix: Json) -> bool:
    return text(value).startswith(text(prefix))


def ends_with(value: Json, suffix: Json) -> bool:
    return text(value).endswith(text(suffix))


def contains(value: Json, inner: Json) -> bool:
    """Of text in text."""
    return text(inner) in text(value)


def has(value: Json, key: Json) -> bool:
    fields: dict[str, Json] = value
    if type(value) is dict:
        return text(key) in fields
    raise UnsureError


def split(value: Json, separator: Json) -> list[str]:
    whole, by = text(value), text(separator)
    if not by:
        raise UnsureError
    return whole.split(by) if whole else []


def join(value: Json, separator: Json) -> str:
    """JQ leaves out nulls, and spells numbers and booleans."""
    elements, by = array(value), text(separator)
    if len(elements) * len(by) > _LONGEST_JOINT:
        raise UnsureError
    return by.join(["" if each is None else to_string(each) for each in elements])
