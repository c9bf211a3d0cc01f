"""JQ's operations on the values where there is nothing to doubt; on all others they raise UnsureError, and JQ decides.

So an error's message, a float's digits or an object's order are always JQ's own, and nothing here needs to know them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from tidegate.core.events import Json

One: TypeAlias = Callable[[Json], Json]
"""From an input to the single output. Raises UnsureError."""

Many: TypeAlias = Callable[[Json], Iterator[Json]]
"""From an input to any number of outputs. Raises UnsureError."""

_EXACT = 1 << 53
_SURROGATE = re.compile("[\ud800-\udfff]")
_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LOWER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_NO_OUTPUT = object()


class UnsureError(Exception):
    """The value is one of those that only JQ itself is asked about."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression: `one` if it always has a single output, `many` otherwise."""

    one: One | None = None
    many: Many | None = None

    def outputs(self) -> Many:
        """Its outputs, however many."""
        if self.many is not None:
            return self.many
        one = self.single()

        def outputs(value: Json) -> Iterator[Json]:
            yield one(value)

        return outputs

    def single(self) -> One:
        """Its single output. Only for parts with `one`."""
        assert self.one is not None  # noqa: S101 - the parser asks before
        return self.one


def first_of(many: Many) -> Callable[[Json], Json]:
    """The first output; raises StopIteration if there is none."""
    return lambda value: next(many(value))


# --- Values ---------------------------------------------------------------------------------------------


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


def _array(value: Json) -> list[Json]:
    if type(value) is list:
        return cast(list[Json], value)
    raise UnsureError


def _exact_integer(value: Json) -> int:
    """An integer that a double holds exactly."""
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return value
    raise UnsureError


def _spelled(value: Json) -> str:
    """`tostring`."""
    if type(value) is str:
        return text(value)
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    return str(_exact_integer(value))


# --- Paths ----------------------------------------------------------------------------------------------


def constant(value: Json) -> One:
    return lambda _: value


def identity(value: Json) -> Json:
    return value


def field_of(name: str) -> One:
    def get(value: Json) -> Json:
        if type(value) is dict:
            return cast(dict[str, Json], value).get(name)
        if value is None:
            return None
        raise UnsureError

    return get


def element_at(index: int) -> One:
    def get(value: Json) -> Json:
        if value is None:
            return None
        elements = _array(value)
        return elements[index] if -len(elements) <= index < len(elements) else None

    return get


def slice_of(begin: int | None, end: int | None) -> One:
    def get(value: Json) -> Json:
        if value is None:
            return None
        return (text(value) if type(value) is str else _array(value))[begin:end]

    return get


def iterate(value: Json) -> Iterator[Json]:
    return iter(_array(value))


def iterate_if_possible(value: Json) -> Iterator[Json]:
    """`[]?`"""
    if value is None or type(value) in (str, int, bool, float):
        return iter(())
    return iterate(value)


# --- Composition ----------------------------------------------------------------------------------------


def pipe(left: Part, right: Part) -> Part:
    if left.one is not None and right.one is not None:
        first, then = left.one, right.one
        return Part(one=lambda value: then(first(value)))
    if left.one is not None:
        before, outputs = left.one, right.outputs()
        return Part(many=lambda value: outputs(before(value)))
    inputs = left.outputs()
    if right.one is not None:
        after = right.one
        return Part(many=lambda value: map(after, inputs(value)))
    rest = right.outputs()
    return Part(many=lambda value: (output for each in inputs(value) for output in rest(each)))


def collect(part: Part) -> One:
    outputs = part.outputs()
    return lambda value: list(outputs(value))


def map_over(part: Part) -> One:
    """`map(f)` of an array; JQ takes objects too."""
    if part.one is not None:
        one = part.one
        return lambda value: [one(each) for each in _array(value)]
    outputs = part.outputs()
    return lambda value: [output for each in _array(value) for output in outputs(each)]


def select(condition: One) -> Many:
    def outputs(value: Json) -> Iterator[Json]:
        if is_true(condition(value)):
            yield value

    return outputs


def choose(condition: One, then: One, otherwise: One) -> One:
    return lambda value: then(value) if is_true(condition(value)) else otherwise(value)


def alternative(left: One, right: One) -> One:
    """`//`, of single outputs; where the left side fails, JQ is asked."""

    def get(value: Json) -> Json:
        found = left(value)
        return found if is_true(found) else right(value)

    return get


def interpolated(pieces: list[str | One]) -> One:
    def get(value: Json) -> Json:
        return "".join([piece if isinstance(piece, str) else _spelled(piece(value)) for piece in pieces])

    return get


# --- Operators and functions ----------------------------------------------------------------------------


def both(left: One, right: One) -> One:
    return lambda value: is_true(left(value)) and is_true(right(value))


def either(left: One, right: One) -> One:
    return lambda value: is_true(left(value)) or is_true(right(value))


def negate(value: Json) -> Json:
    """`not`"""
    return not is_true(value)


def _equal(left: Json, right: Json) -> bool:
    kind = _kind(left)
    if kind != _kind(right):
        return False
    if kind == "container":
        raise UnsureError
    return left == right


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


def equals(left: One, right: One) -> One:
    return lambda value: _equal(left(value), right(value))


def differs(left: One, right: One) -> One:
    return lambda value: not _equal(left(value), right(value))


def add(left: One, right: One) -> One:
    def get(value: Json) -> Json:
        augend, addend = left(value), right(value)
        if type(augend) is str and type(addend) is str:
            return text(augend) + text(addend)
        if augend is None or addend is None:
            only = addend if augend is None else augend
            return only if only is None or _known(only) else None
        if type(augend) is list and type(addend) is list:
            return [*cast(list[Json], augend), *cast(list[Json], addend)]
        return _exact_integer(_exact_integer(augend) + _exact_integer(addend))

    return get


def to_string(value: Json) -> Json:
    return _spelled(value)


def length(value: Json) -> Json:
    if value is None:
        return 0
    if type(value) is dict:
        return len(cast(dict[str, Json], value))
    return len(text(value)) if type(value) is str else len(_array(value))


def lower(value: Json) -> Json:
    return text(value).translate(_UPPER)


def upper(value: Json) -> Json:
    return text(value).translate(_LOWER)


def starts_with(prefix: One) -> One:
    return lambda value: text(value).startswith(text(prefix(value)))


def ends_with(suffix: One) -> One:
    return lambda value: text(value).endswith(text(suffix(value)))


def contains(part: One) -> One:
    """Of text in text."""
    return lambda value: text(part(value)) in text(value)


def has(key: One) -> One:
    def get(value: Json) -> Json:
        if type(value) is dict:
            return text(key(cast(Json, value))) in value
        raise UnsureError

    return get


def split(separator: One) -> One:
    def get(value: Json) -> Json:
        whole, by = text(value), text(separator(value))
        if not by:
            raise UnsureError
        return whole.split(by) if whole else []

    return get


def join(separator: One) -> One:
    """JQ leaves out nulls, and spells numbers and booleans."""

    def get(value: Json) -> Json:
        elements = _array(value)
        by = text(separator(value))
        return by.join(["" if each is None else _spelled(each) for each in elements])

    return get
