"""What Python can evaluate of an item, for all fields of a resource config in one function."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tidegate.core.events import Json
from tidegate.mapping.functions import UnsureError
from tidegate.mapping.operations import One
from tidegate.mapping.paths import NoResultError, PathError
from tidegate.mapping.values import NotJsonError, plain
from tidegate.mapping.writing import Function, Name

_FAULTS = (PathError, NoResultError, NotJsonError)


class Reading(msgspec.Struct):
    """An item's values, by slot, as far as they are known. `doubt`: JQ has to be asked for the rest."""

    values: list[Json]
    faults: dict[int, str]
    doubt: bool


def reader(blank: Sequence[Json], native: Mapping[int, One]) -> Callable[[Json], Reading]:
    """A function that reads an item: `native` by slot, and what stands in `blank` in all other slots."""
    return written(blank, native).compiled()


def written(blank: Sequence[Json], native: Mapping[int, One]) -> Function:
    """The same, not yet compiled. Raises NestedTooDeeplyError."""
    code = Function()
    faults, doubt = code.let("{{}}"), code.let("False")
    values = [
        _value(code, native[slot], slot, faults, doubt) if slot in native else code.bind(constant)
        for slot, constant in enumerate(blank)
    ]
    code.do("return {}([" + "{}, " * len(values) + "], {}, {})", code.bind(Reading), *values, faults, doubt)
    return code


def _value(code: Function, one: One, slot: int, faults: Name, doubt: Name) -> Name:
    value = code.let("None")
    with code.block("try:"):
        code.set(value, "{}({})", code.bind(plain), one(code, code.argument))
    with code.block("except {}:", code.bind(UnsureError)):
        code.set(doubt, "True")
    with code.block("except {} as error:", code.bind(_FAULTS)):
        code.do("{}[{}] = {}(error)", faults, code.bind(slot), code.bind(str))
    return value
