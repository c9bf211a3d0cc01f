"""A resource config made ready: every expression has a slot, and an item's values in slots make its entity.

Nothing here fails because of an item: a field whose expression fails is null and gives a warning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

import msgspec

from tidegate.core.entities import Entity
from tidegate.core.events import Json
from tidegate.core.ports import MappingWarning
from tidegate.core.resources import ResourceConfig
from tidegate.mapping.expressions import Constant, JqExpression, PlainPath, classify
from tidegate.mapping.fields import Cell
from tidegate.mapping.native import compile_native
from tidegate.mapping.operations import One, plain_path
from tidegate.mapping.paths import NoResultError
from tidegate.mapping.reading import Reading, reader
from tidegate.mapping.values import type_name
from tidegate.mapping.writing import Function, Name

Template: TypeAlias = "int | dict[str, Template] | list[Template]"
"""What stands in an entity's field: the number of a slot, or search rules with slots as leaves."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One expression and the field it fills, such as `relations.service.rules[0].value`."""

    field: str
    text: str


Outcome: TypeAlias = tuple[bool, Entity] | None
"""Whether the selector passed, and the entity; None if there is none, and the warnings say why."""


class Recipe:
    """How an item becomes an entity. Slot 0 is the selector's.

    `jq` holds what Python cannot evaluate, and what it can unless an item leaves it in doubt.
    """

    def __init__(self, config: ResourceConfig) -> None:
        self.slots: list[Slot] = []
        self.jq: list[JqExpression] = []
        self._jq_slots: list[int] = []
        self._blank: list[Json] = []
        self._native: dict[int, One] = {}
        self._entity: dict[str, Template] = {}
        self._slot("selector", config.selector.query)
        mapping = config.port.entity
        for name in ("identifier", "blueprint", "title", "icon", "team"):
            if (value := getattr(mapping, name)) is not None:
                self._entity[name] = self._template(name, value)
        for name in ("properties", "relations"):
            if (fields := getattr(mapping, name)) is not None:
                self._entity[name] = {key: self._template(f"{name}.{key}", fields[key]) for key in fields}
        self._blueprint = cast(int, self._entity["blueprint"])
        self._labels = [slot for name in ("icon", "team") if isinstance(slot := self._entity.get(name), int)]
        self._wanted = {
            (select, doubt): tuple(
                index
                for index, slot in enumerate(self._jq_slots)
                if (select or slot != 0) and (doubt or slot not in self._native)
            )
            for select in (True, False)
            for doubt in (True, False)
        }

    @cached_property
    def read(self) -> Callable[[Json], Reading]:
        """Evaluates of an item what Python can. Compiled when the first item comes."""
        return reader(self._blank, self._native)

    @cached_property
    def _fill(self) -> Callable[[list[Json]], dict[str, Any]]:
        """Puts values into an entity's fields."""
        code = Function()
        code.do("return {}", _filled(code, self._entity))
        return code.compiled()

    def _template(self, field_name: str, value: Json) -> Template:
        if isinstance(value, dict):
            rules = cast(dict[str, Json], value)
            return {key: self._template(f"{field_name}.{key}", part) for key, part in rules.items()}
        if isinstance(value, list):
            parts = cast(list[Json], value)
            return [self._template(f"{field_name}[{index}]", part) for index, part in enumerate(parts)]
        return self._slot(field_name, value)

    def _slot(self, field_name: str, text: str) -> int:
        number = len(self.slots)
        self.slots.append(Slot(field_name, text))
        self._blank.append(None)
        match classify(text):
            case Constant(value=value):
                self._blank[number] = value
            case PlainPath(steps=steps):
                self._native[number] = plain_path(steps)
            case JqExpression(readings=readings) as expression:
                self.jq.append(expression)
                self._jq_slots.append(number)
                native = compile_native(readings)
                if native is not None:
                    self._native[number] = native
        return number

    def jq_wanted(self, select: bool, doubt: bool) -> tuple[int, ...]:
        """Which of `jq` to evaluate: the selector's only if it is asked, all others if an item is in doubt."""
        return self._wanted[select, doubt]

    def jq_slot(self, index: int) -> Slot:
        """The slot that `jq[index]` fills."""
        return self.slots[self._jq_slots[index]]

    def add(self, reading: Reading, wanted: Sequence[int], cells: Sequence[Cell]) -> None:
        """Add to what was read what JQ made of the `wanted` of `jq`."""
        for index, cell in zip(wanted, cells, strict=True):
            slot = self._jq_slots[index]
            reading.faults.pop(slot, None)
            if type(cell) is list and cell:
                reading.values[slot] = cell[0]
            else:
                reading.values[slot] = None
                reading.faults[slot] = cast(dict[str, str], cell)["e"] if cell else str(NoResultError())

    def finish(
        self, number: int, reading: Reading, warnings: list[MappingWarning], *, select: bool
    ) -> Outcome:
        """Make the entity of an item; warnings are added to the list."""
        values, faults = reading.values, reading.faults
        if (reason := self._refusal(values, faults, select)) is not None:
            warnings.append(self._warning(number, *reason))
            return None
        for slot in self._labels:
            self._label(slot, values, faults)
        entity = Entity(**self._fill(values))
        if faults:
            self._warn(number, faults, warnings, select=select)
        return not select or values[0] is True, entity

    def _refusal(self, values: list[Json], faults: dict[int, str], select: bool) -> tuple[int, str] | None:
        """The slot because of which there is no entity, and why."""
        if select and not isinstance(values[0], bool):
            return 0, faults.get(0) or f"must be true or false, not {type_name(values[0])}"
        identifier = self._entity["identifier"]
        if isinstance(identifier, int) and not values[identifier]:
            return identifier, _skip_reason(values[identifier], faults.get(identifier))
        blueprint = self._blueprint
        if not values[blueprint]:
            return blueprint, _skip_reason(values[blueprint], faults.get(blueprint))
        if type(values[blueprint]) is not str:
            name = type_name(values[blueprint])
            if name != "number":
                return blueprint, f"must be a string, not {name}: the item is skipped"
            values[blueprint] = _as_text(values[blueprint])
        return None

    def _label(self, slot: int, values: list[Json], faults: dict[int, str]) -> None:
        """An icon is text; a team is text, a list or an object. Numbers and booleans become text."""
        if values[slot] is None or type(values[slot]) is str:
            return
        kind = type_name(values[slot])
        if slot == self._entity.get("team") and kind in ("array", "object"):
            return
        values[slot] = _as_text(values[slot])
        if values[slot] is None:
            faults[slot] = f"must be a string, not {kind}"

    def _warn(
        self, number: int, faults: Mapping[int, str], warnings: list[MappingWarning], *, select: bool
    ) -> None:
        told = (slot for slot in sorted(faults) if select or slot != 0)
        warnings.extend(self._warning(number, slot, faults[slot]) for slot in told)

    def _warning(self, number: int, slot: int, reason: str) -> MappingWarning:
        return MappingWarning(number, self.slots[slot].field, self.slots[slot].text, reason)


def _filled(code: Function, template: Template) -> Name:
    """Write how a template is filled with the values that the function is given."""
    match template:
        case int():
            return code.let("{}[{}]", code.argument, code.bind(template))
        case list():
            parts = [_filled(code, part) for part in template]
            return code.let("[" + "{}, " * len(parts) + "]", *parts)
        case dict():
            names = [name for key, part in template.items() for name in (code.bind(key), _filled(code, part))]
            return code.let("{{" + "{}: {}, " * len(template) + "}}", *names)


def _as_text(value: Json) -> str | None:
    """A number or boolean as JSON spells it; None for anything else."""
    return msgspec.json.encode(value).decode() if isinstance(value, (bool, int, float)) else None


def _skip_reason(value: Json, fault: str | None) -> str:
    came_out = fault or f"is {msgspec.json.encode(value).decode()}"
    return f"{came_out}: the item is skipped"
