"""The rules of search queries, as values that every evaluator matches exhaustively.

Rules and operators: Port's documentation, "Comparison operators" and "Relation operators".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from tidegate.core.events import Json


class Operator(StrEnum):
    """What a property can be compared with a value by."""

    EQUAL = "="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "notIn"
    CONTAINS = "contains"
    DOES_NOT_CONTAIN = "doesNotContains"
    CONTAINS_ANY = "containsAny"
    BEGINS_WITH = "beginsWith"
    DOES_NOT_BEGIN_WITH = "doesNotBeginsWith"
    ENDS_WITH = "endsWith"
    DOES_NOT_END_WITH = "doesNotEndsWith"
    IS_EMPTY = "isEmpty"
    IS_NOT_EMPTY = "isNotEmpty"
    MORE = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="


class Direction(StrEnum):
    """Upstream are the entities that the source depends on, downstream those that depend on it."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property against a value. `property` is a property's name or a meta property such as `$title`."""

    property: str
    operator: Operator
    value: Json = None


@dataclass(frozen=True, slots=True)
class Period:
    """A date-time property within (or, with `inside` false, not within) two moments, both included."""

    property: str
    start: datetime
    end: datetime
    inside: bool = True


@dataclass(frozen=True, slots=True)
class RelatedTo:
    """Entities that relations lead to from (or lead from to) any of these, over any number of steps.

    `direction` None means both; `required` None means any relation, else only (not) required ones.
    """

    blueprint: str
    identifiers: tuple[str, ...]
    direction: Direction | None = None
    required: bool | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Rules of which all (or, with `every` false, at least one) must hold."""

    every: bool
    rules: tuple["Rule", ...]


Rule: TypeAlias = Comparison | Period | RelatedTo | Group

LOOKUP_OPERATORS = frozenset({Operator.EQUAL, Operator.IN, Operator.CONTAINS, Operator.CONTAINS_ANY})
"""The operators that search identifiers and search relations may use."""

META_PROPERTIES = frozenset(
    {
        "$identifier",
        "$title",
        "$blueprint",
        "$icon",
        "$team",
        "$createdAt",
        "$updatedAt",
        "$createdBy",
        "$updatedBy",
        "$datasource",
    }
)
