"""itemsToParse: one raw item becomes several, each element merged into what is left of the item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

from tidegate.core.events import Json
from tidegate.core.ports import MappingWarning
from tidegate.core.resources import PortMapping
from tidegate.mapping.expressions import Constant, JqExpression, PlainPath, classify, leading_path
from tidegate.mapping.fields import Document, JqFields, Lanes, unfolded_document
from tidegate.mapping.paths import NoResultError, PathError, Step, take, without
from tidegate.mapping.values import NotJsonError, encode, plain, type_name

FIELD = "itemsToParse"
_ELEMENTS = 32


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A raw item's elements and what each of them is merged into. `number` is the raw item's."""

    number: int
    base: dict[str, Json]
    elements: list[Json]
    name: str

    def parts(self) -> "Iterator[Unfolded]":
        """The same in parts that are small enough to be evaluated at once."""
        for start in range(0, len(self.elements), _ELEMENTS):
            part = self.elements[start : start + _ELEMENTS]
            yield Unfolded(self.number, self.base, part, self.name)

    def items(self) -> Iterator[Json]:
        for element in self.elements:
            yield {**self.base, self.name: element}

    def document(self) -> Document:
        """Raises NotJsonError."""
        return unfolded_document(self.base, self.elements)


class Unfolding:
    """Unfolds the items of one resource config.

    With `itemsToParseTopLevelTransform`, the path with which the expression begins is taken out of the base.
    """

    def __init__(self, text: str, port: PortMapping, lanes: Lanes) -> None:
        self._text = text
        self._name = port.items_to_parse_name
        self._expression = classify(text)
        self._removed: tuple[Step, ...] = ()
        expressions = [self._expression] if isinstance(self._expression, JqExpression) else []
        if port.items_to_parse_top_level_transform:
            path, steps = leading_path(text)
            self._removed = steps or ()
            if path and steps is None and expressions:
                expressions.append(JqExpression((f"del({path})",)))
        self.jq = JqFields(expressions, lanes)

    async def unfold(self, number: int, item: Json, warnings: list[MappingWarning]) -> Unfolded | None:
        """None, and a warning, if there is no list to unfold. Raises MapperUnavailableError."""
        try:
            if not isinstance(item, dict):
                raise PathError(f"must have an object to merge into, not {type_name(item)}")
            fields = cast(dict[str, Json], item)
            elements, base = await self._take(fields)
            if not isinstance(elements, list):
                raise PathError(f"must be a list, not {type_name(elements)}")
        except (PathError, NotJsonError, NoResultError) as error:
            reason = f"{error}: the item is skipped"
            warnings.append(MappingWarning(number, FIELD, self._text, reason))
            return None
        return Unfolded(number, base, cast(list[Json], elements), self._name)

    async def _take(self, item: dict[str, Json]) -> tuple[Json, dict[str, Json]]:
        """The expression's value, and the item without what it came from."""
        base = cast(dict[str, Json], without(item, self._removed)) if self._removed else item
        match self._expression:
            case Constant(value=value):
                return value, base
            case PlainPath(steps=steps):
                return plain(reduce(take, steps, item)), base
            case JqExpression():
                wanted = tuple(range(len(self.jq.expressions)))
                (cells,) = await self.jq.rows([Document(encode(item))], wanted)
                if isinstance(cells[0], dict):
                    raise PathError(cells[0]["e"])
                if not cells[0]:
                    raise NoResultError
                remaining = _only_object(cells[1:])
                return cells[0][0], base if remaining is None else remaining


def _only_object(cells: Sequence[list[Json] | dict[str, str]]) -> dict[str, Json] | None:
    """What `del` left of the item, if it was asked for and left an object."""
    for cell in cells:
        if isinstance(cell, list) and cell and isinstance(cell[0], dict):
            return cast(dict[str, Json], cell[0])
    return None
