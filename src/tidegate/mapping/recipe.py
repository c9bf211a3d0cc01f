"""A resource config made ready: every expression has a slot, and an item's values in slots make its entity.

Nothing here fails because of an item: a field whose expression fails is null and gives a warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import msgspec

from tidegate.core.entities import Entity
from tidegate.core.events import Json
from tidegate.core.ports import MappingWarning
from tidegate.core.resources import ResourceConfig
from tidegate.mapping.expressions import Constant, JqExpression, PlainPath, classify
from tidegate.mapping.fields import Cell
from tidegate.mapping.native import compile_native
from tidegate.mapping.operations import UnsureError
from tidegate.mapping.paths import Getter, NoResultError, PathError, getter
from tidegate.mapping.values import NotJsonError, plain, type_name

Template: TypeAlias = "int | dict[str, Template] | list[Template]"
"""What stands in an entity's field: the number of a slot, or search rules with slots as leaves."""

NO_RESULT = "gave no result"


@dataclass(frozen=True, slots=True)
class Slot:
    """One expression and the field it fills, such as `relations.service.rules[0].value`."""

    field: str
    text: str


Outcome: TypeAlias = tuple[bool, Entity] | None
"""Whether the selector passed, and the entity; None if there is none, and the warnings say why."""


class Reading(msgspec.Struct):
    """An item's values, by slot, as far as they are known. `doubt`: JQ has to be asked for the rest."""

    values: list[Json]
    faults: dict[int, str]
    doubt: bool


@dataclass(slots=True)
class Recipe:
    """How an item becomes an entity. Slot 0 is the selector's.

    `jq` holds what Python cannot evaluate, and what it can unless an item leaves it in doubt.
    """

    config: ResourceConfig
    slots: list[Slot] = field(default_factory=list[Slot])
    jq: list[JqExpression] = field(default_factory=list[JqExpression])
    _jq_slots: list[int] = field(default_factory=list[int])
    _native: list[tuple[int, Getter]] = field(default_factory=list[tuple[int, Getter]])
    _doubtful: set[int] = field(default_factory=set[int])
    _wanted: dict[tuple[bool, bool], tuple[int, ...]] = field(
        default_factory=dict[tuple[bool, bool], tuple[int, ...]]
    )
    _blank: list[Json] = field(default_factory=list[Json])
    _entity: dict[str, Template] = field(default_factory=dict[str, Template])

    def __post_init__(self) -> None:
        self._slot("selector", self.config.selector.query)
        mapping = self.config.port.entity
        for name in ("identifier", "blueprint", "title", "icon", "team"):
            if (value := getattr(mapping, name)) is not None:
                self._entity[name] = self._template(name, value)
        for name in ("properties", "relations"):
            if (fields := getattr(mapping, name)) is not None:
                self._entity[name] = {key: self._template(f"{name}.{key}", fields[key]) for key in fields}
        self._wanted = {
            (select, doubt): tuple(
                index
                for index, slot in enumerate(self._jq_slots)
                if (select or slot != 0) and (doubt or slot not in self._doubtful)
            )
            for select in (True, False)
            for doubt in (True, False)
        }

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
                self._native.append((number, getter(steps)))
            case JqExpression(readings=readings) as expression:
                self.jq.append(expression)
                self._jq_slots.append(number)
                native = compile_native(readings)
                if native is not None:
                    self._native.append((number, native.evaluate))
                    self._doubtful.add(number)
        return number

    def jq_wanted(self, select: bool, doubt: bool) -> tuple[int, ...]:
        """Which of `jq` to evaluate: the selector's only if it is asked, all others if an item is in doubt."""
        return self._wanted[select, doubt]

    def jq_slot(self, index: int) -> Slot:
        """The slot that `jq[index]` fills."""
        return self.slots[self._jq_slots[index]]

    def read(self, item: Json) -> Reading:
        """Evaluate what Python can."""
        values = self._blank.copy()
        faults: dict[int, str] = {}
        doubt = False
        for slot, get in self._native:
            try:
                values[slot] = plain(get(item))
            except (PathError, NotJsonError) as error:
                faults[slot] = str(error)
            except (NoResultError, StopIteration):
                faults[slot] = NO_RESULT
            except UnsureError:
                doubt = True
        return Reading(values, faults, doubt)

    def add(self, reading: Reading, wanted: Sequence[int], cells: Sequence[Cell]) -> None:
        """Add to what was read what JQ made of the `wanted` of `jq`."""
        for index, cell in zip(wanted, cells, strict=True):
            slot = self._jq_slots[index]
            reading.faults.pop(slot, None)
            if type(cell) is list and cell:
                reading.values[slot] = cell[0]
            else:
                reading.values[slot] = None
                reading.faults[slot] = cast(dict[str, str], cell)["e"] if cell else NO_RESULT

    def finish(
        self, number: int, reading: Reading, warnings: list[MappingWarning], *, select: bool
    ) -> Outcome:
        """Make the entity of an item; warnings are added to the list."""
        values, faults = reading.values, reading.faults
        if (reason := self._refusal(values, faults, select)) is not None:
            warnings.append(self._warning(number, *reason))
            return None
        for name in ("icon", "team"):
            self._label(name, values, faults)
        entity = Entity(**cast(dict[str, Any], _fill(self._entity, values)))
        if not select:
            faults.pop(0, None)
        warnings.extend(self._warning(number, slot, faults[slot]) for slot in sorted(faults))
        return (cast(bool, values[0]) if select else True), entity

    def _refusal(self, values: list[Json], faults: dict[int, str], select: bool) -> tuple[int, str] | None:
        """The slot because of which there is no entity, and why."""
        if select and not isinstance(values[0], bool):
            return 0, faults.get(0) or f"must be true or false, not {type_name(values[0])}"
        identifier = self._entity["identifier"]
        if isinstance(identifier, int) and not values[identifier]:
            return identifier, _skip_reason(values[identifier], faults.get(identifier))
        blueprint = cast(int, self._entity["blueprint"])
        if not values[blueprint]:
            return blueprint, _skip_reason(values[blueprint], faults.get(blueprint))
        if type(values[blueprint]) is not str:
            name = type_name(values[blueprint])
            if name != "number":
                return blueprint, f"must be a string, not {name}: the item is skipped"
            values[blueprint] = _as_text(values[blueprint])
        return None

    def _label(self, name: str, values: list[Json], faults: dict[int, str]) -> None:
        """An icon is text; a team is text, a list or an object. Numbers and booleans become text."""
        slot = self._entity.get(name)
        if not isinstance(slot, int) or values[slot] is None or type(values[slot]) is str:
            return
        kind = type_name(values[slot])
        if name == "team" and kind in ("array", "object"):
            return
        values[slot] = _as_text(values[slot])
        if values[slot] is None:
            faults[slot] = f"must be a string, not {kind}"

    def _warning(self, number: int, slot: int, reason: str) -> MappingWarning:
        return MappingWarning(number, self.slots[slot].field, self.slots[slot].text, reason)


def _fill(template: Template, values: list[Json]) -> Json:
    if isinstance(template, int):
        return values[template]
    if isinstance(template, list):
        return [_fill(part, values) for part in template]
    return {
        key: values[part] if type(part) is int else _fill(part, values)  # a field as a rule: no call for it
        for key, part in template.items()
    }


def _as_text(value: Json) -> str | None:
    """A number or boolean as JSON spells it; None for anything else."""
    return msgspec.json.encode(value).decode() if isinstance(value, (bool, int, float)) else None


def _skip_reason(value: Json, fault: str | None) -> str:
    came_out = fault or f"is {msgspec.json.encode(value).decode()}"
    return f"{came_out}: the item is skipped"
