"""Search rules evaluated the plain way, entity by entity: what the Port stub answers, and what the embedded
catalog's SQL is tested against.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.targets.catalog.formats import date_time
from tidegate.targets.catalog.rules import Comparison, Direction, Group, Operator, Period, RelatedTo, Rule
from tidegate.targets.shapes import is_array

Document = dict[str, Json]
"""An entity in the shape that Port's API answers."""

_META = {
    "$identifier": "identifier",
    "$title": "title",
    "$blueprint": "blueprint",
    "$icon": "icon",
    "$team": "team",
    "$createdAt": "createdAt",
    "$updatedAt": "updatedAt",
    "$createdBy": "createdBy",
    "$updatedBy": "updatedBy",
    "$datasource": "datasource",
}

_POSITIVE = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.DOES_NOT_CONTAIN: Operator.CONTAINS,
    Operator.DOES_NOT_BEGIN_WITH: Operator.BEGINS_WITH,
    Operator.DOES_NOT_END_WITH: Operator.ENDS_WITH,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """One relation between two entities."""

    source: EntityRef
    target: EntityRef
    required: bool


def matches(rule: Rule, entity: Document, edges: Callable[[], list[Edge]]) -> bool:
    """True if the rule holds for the entity. `edges` lists all relations of the catalog."""
    match rule:
        case Group(every=every, rules=rules):
            results = (matches(inner, entity, edges) for inner in rules)
            return all(results) if every else any(results)
        case Comparison(operator=operator) if operator in _POSITIVE:
            return not _holds(Comparison(rule.property, _POSITIVE[operator], rule.value), entity)
        case Comparison():
            return _holds(rule, entity)
        case Period(property=name, start=start, end=end, inside=inside):
            moment = _moment(_value(entity, name))
            return (moment is not None and start <= moment <= end) is inside
        case RelatedTo():
            return EntityRef(entity["blueprint"], entity["identifier"]) in _related(rule, edges())


def _value(entity: Document, name: str) -> Json:
    if name.startswith("$"):
        return entity.get(_META[name])
    properties: Mapping[str, Json] = entity["properties"]
    return properties.get(name)


def _moment(value: Json) -> datetime | None:
    return date_time(value) if isinstance(value, str) else None


def _holds(rule: Comparison, entity: Document) -> bool:
    value, wanted = _value(entity, rule.property), rule.value
    match rule.operator:
        case Operator.EQUAL:
            return _equal(rule.property, value, wanted)
        case Operator.IN:
            return any(_equal(rule.property, value, one) for one in wanted)
        case Operator.CONTAINS:
            return all(_contains(value, one) for one in (wanted if is_array(wanted) else [wanted]))
        case Operator.CONTAINS_ANY:
            return is_array(value) and any(_contains(value, one) for one in wanted)
        case Operator.BEGINS_WITH:
            return isinstance(value, str) and value.startswith(wanted)
        case Operator.ENDS_WITH:
            return isinstance(value, str) and value.endswith(wanted)
        case Operator.IS_EMPTY:
            return value is None or value == []
        case Operator.MORE | Operator.AT_LEAST | Operator.LESS | Operator.AT_MOST:
            return _ordered(rule.operator, value, wanted)
        case other:
            raise AssertionError(f"{other} has a positive form")


def _same(one: Json, other: Json) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _equal(name: str, value: Json, wanted: Json) -> bool:
    if name == "$team" and wanted is not None:
        return any(_same(team, wanted) for team in value or ())
    if name in ("$createdAt", "$updatedAt"):
        return _moment(value) == _moment(wanted) if _moment(wanted) else False
    return _same(value, wanted)


def _contains(value: Json, wanted: Json) -> bool:
    if is_array(value):
        return any(_same(item, wanted) for item in value)
    return isinstance(value, str) and isinstance(wanted, str) and wanted in value


def _ordered(operator: Operator, value: Json, wanted: Json) -> bool:
    if isinstance(wanted, str):
        value, wanted = _moment(value), _moment(wanted)
        if value is None:
            return False
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    match operator:
        case Operator.MORE:
            return value > wanted
        case Operator.AT_LEAST:
            return value >= wanted
        case Operator.LESS:
            return value < wanted
        case _:
            return value <= wanted


def _related(rule: RelatedTo, edges: list[Edge]) -> set[EntityRef]:
    starts = {EntityRef(rule.blueprint, identifier) for identifier in rule.identifiers}
    walked = [edge for edge in edges if rule.required is None or edge.required == rule.required]
    found: set[EntityRef] = set()
    if rule.direction is not Direction.DOWNSTREAM:
        found |= _reach(starts, [(edge.source, edge.target) for edge in walked])
    if rule.direction is not Direction.UPSTREAM:
        found |= _reach(starts, [(edge.target, edge.source) for edge in walked])
    return found - starts


def _reach(starts: set[EntityRef], steps: list[tuple[EntityRef, EntityRef]]) -> set[EntityRef]:
    reached = set(starts)
    while more := {end for start, end in steps if start in reached} - reached:
        reached |= more
    return reached
