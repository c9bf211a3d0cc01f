"""Reads search queries (`combinator`, `rules`): what is malformed is refused with its place and what is allowed."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidegate.core.errors import TidegateError
from tidegate.core.events import Json
from tidegate.targets.catalog.formats import date_time
from tidegate.targets.catalog.rules import (
    LOOKUP_OPERATORS,
    META_PROPERTIES,
    Comparison,
    Direction,
    Group,
    Operator,
    Period,
    RelatedTo,
    Rule,
)
from tidegate.targets.shapes import is_array, is_object, json_type, shown

MAX_RULES = 1000
MAX_DEPTH = 16


class QueryError(TidegateError):
    """A search query is malformed. The message says which rule, and what is allowed there."""


_LISTS = frozenset({Operator.IN, Operator.NOT_IN, Operator.CONTAINS_ANY})
_ORDERS = frozenset({Operator.MORE, Operator.AT_LEAST, Operator.LESS, Operator.AT_MOST})
_EMPTINESS = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})
_TEXTS = frozenset(
    {
        Operator.BEGINS_WITH,
        Operator.DOES_NOT_BEGIN_WITH,
        Operator.ENDS_WITH,
        Operator.DOES_NOT_END_WITH,
        Operator.DOES_NOT_CONTAIN,
    }
)

_PRESET_DAYS: Mapping[str, tuple[int, int]] = {
    "lastDay": (-1, 0),
    "lastWeek": (-7, 0),
    "last2Weeks": (-14, 0),
    "lastMonth": (-30, 0),
    "last3Months": (-90, 0),
    "last6Months": (-180, 0),
    "last12Months": (-365, 0),
    "last2Years": (-730, 0),
    "last3Years": (-1095, 0),
    "nextDay": (0, 1),
    "nextWeek": (0, 7),
    "next2Weeks": (0, 14),
    "nextMonth": (0, 30),
    "next3Months": (0, 90),
    "next6Months": (0, 180),
    "next12Months": (0, 365),
}
_PRESET_DATES: Mapping[str, int] = {"yesterday": -1, "today": 0, "tomorrow": 1}


def parse_query(query: Json, now: datetime) -> Group:
    """Parse a search query. `now` is what presets such as `lastWeek` count from. Raises QueryError."""
    return _Parser(now).group(query, "query", 0)


def parse_lookup(query: Json, now: datetime) -> Group:
    """Parse a search identifier or search relation, which may use LOOKUP_OPERATORS only. Raises QueryError."""
    group = parse_query(query, now)
    for rule in _leaves(group):
        if not isinstance(rule, Comparison) or rule.operator not in LOOKUP_OPERATORS:
            allowed = " ".join(sorted(LOOKUP_OPERATORS))
            raise QueryError(f"a search identifier or relation may only use the operators {allowed}")
    return group


def _leaves(rule: Rule) -> list[Comparison | Period | RelatedTo]:
    if isinstance(rule, Group):
        return [leaf for inner in rule.rules for leaf in _leaves(inner)]
    return [rule]


class _Parser:
    """One pass over one query; counts the rules, so that a hostile query stays small."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._rules = 0

    def group(self, document: Json, where: str, depth: int) -> Group:
        if not is_object(document):
            raise QueryError(
                f"{where} must be an object with `combinator` and `rules`, not {shown(document)}"
            )
        combinator, rules = document.get("combinator"), document.get("rules")
        if combinator not in ("and", "or"):
            raise QueryError(f'{where}.combinator must be "and" or "or", not {shown(combinator)}')
        if not is_array(rules):
            raise QueryError(f"{where}.rules must be an array, not {json_type(rules)}")
        _only(document, {"combinator", "rules"}, where)
        if depth >= MAX_DEPTH:
            raise QueryError(f"{where} is nested deeper than {MAX_DEPTH} levels")
        parsed = (self._rule(rule, f"{where}.rules[{index}]", depth + 1) for index, rule in enumerate(rules))
        return Group(combinator == "and", tuple(parsed))

    def _rule(self, document: Json, where: str, depth: int) -> Rule:
        self._rules += 1
        if self._rules > MAX_RULES:
            raise QueryError(f"a query may have {MAX_RULES} rules")
        if not is_object(document):
            raise QueryError(f"{where} must be an object, not {json_type(document)}")
        if "combinator" in document or "rules" in document:
            return self.group(document, where, depth)
        operator = document.get("operator")
        if operator == "relatedTo":
            return _related(document, where)
        name = document.get("property")
        if not isinstance(name, str) or not name:
            raise QueryError(f"{where}.property must name a property, not {shown(name)}")
        if name.startswith("$") and name not in META_PROPERTIES:
            known = ", ".join(sorted(META_PROPERTIES))
            raise QueryError(f"{where}.property: {name} is not a meta property; those are {known}")
        if operator in ("between", "notBetween"):
            _only(document, {"property", "operator", "value"}, where)
            start, end = self._period(document.get("value"), f"{where}.value")
            return Period(name, start, end, operator == "between")
        return _comparison(document, name, operator, where)

    def _period(self, value: Json, where: str) -> tuple[datetime, datetime]:
        if is_object(value) and "preset" in value:
            preset = value["preset"]
            if preset in _PRESET_DAYS:
                first, last = _PRESET_DAYS[preset]
                return self._now + timedelta(days=first), self._now + timedelta(days=last)
            if preset in _PRESET_DATES:
                midnight = self._now.replace(hour=0, minute=0, second=0, microsecond=0)
                start = midnight + timedelta(days=_PRESET_DATES[preset])
                return start, start + timedelta(days=1) - timedelta(milliseconds=1)
            known = ", ".join([*_PRESET_DATES, *_PRESET_DAYS])
            raise QueryError(f"{where}.preset: {shown(preset)} is none of {known}")
        if not is_object(value):
            raise QueryError(f"{where} must be an object with `from` and `to`, or with `preset`")
        moments = [_moment(value.get(end), f"{where}.{end}") for end in ("from", "to")]
        return moments[0], moments[1]


def _moment(value: Json, where: str) -> datetime:
    moment = date_time(value) if isinstance(value, str) else None
    if moment is None:
        raise QueryError(f"{where} must be a date-time (2024-05-01T12:00:00Z), not {shown(value)}")
    return moment


def _related(document: dict[str, Json], where: str) -> RelatedTo:
    _only(document, {"operator", "blueprint", "value", "direction", "required"}, where)
    blueprint, value = document.get("blueprint"), document.get("value")
    if not isinstance(blueprint, str):
        raise QueryError(f"{where}.blueprint must name the blueprint of `value`, not {shown(blueprint)}")
    wanted = value if is_array(value) else [value]
    identifiers = tuple(identifier for identifier in wanted if isinstance(identifier, str))
    if len(identifiers) != len(wanted):
        raise QueryError(f"{where}.value must be an identifier or an array of them, not {shown(value)}")
    direction, required = document.get("direction"), document.get("required")
    if direction is not None and direction not in tuple(Direction):
        raise QueryError(f'{where}.direction must be "upstream" or "downstream", not {shown(direction)}')
    if required is not None and not isinstance(required, bool):
        raise QueryError(f"{where}.required must be a boolean, not {shown(required)}")
    return RelatedTo(blueprint, identifiers, None if direction is None else Direction(direction), required)


def _comparison(document: dict[str, Json], name: str, operator: Json, where: str) -> Comparison:
    if operator not in tuple(Operator):
        known = " ".join([*Operator, "between", "notBetween", "relatedTo"])
        raise QueryError(f"{where}.operator: {shown(operator)} is none of {known}")
    kind = Operator(operator)
    if kind in _EMPTINESS:
        _only(document, {"property", "operator"}, where)
        return Comparison(name, kind)
    _only(document, {"property", "operator", "value"}, where)
    if "value" not in document:
        raise QueryError(f"{where} needs a `value`")
    value = document["value"]
    _check_value(kind, value, f"{where}.value")
    return Comparison(name, kind, value)


def _check_value(operator: Operator, value: Json, where: str) -> None:
    if operator in _LISTS:
        if not is_array(value) or not all(_is_scalar(item) for item in value):
            raise QueryError(f"{where} must be an array of texts, numbers or booleans, not {shown(value)}")
    elif operator in _ORDERS:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and (not isinstance(value, str) or date_time(value) is None):
            raise QueryError(f"{where} must be a number or a date-time, not {shown(value)}")
    elif operator in _TEXTS:
        if not isinstance(value, str):
            raise QueryError(f"{where} must be a string, not {json_type(value)}")
    elif operator is Operator.CONTAINS and is_array(value):
        if not all(_is_scalar(item) for item in value):
            raise QueryError(f"{where} must be a scalar or an array of scalars, not {shown(value)}")
    elif value is not None and not _is_scalar(value):
        raise QueryError(f"{where} must be a text, a number, a boolean or null, not {shown(value)}")


def _is_scalar(value: Json) -> bool:
    return isinstance(value, (str, int, float))


def _only(document: dict[str, Json], allowed: set[str], where: str) -> None:
    extra = sorted(set(document) - allowed)
    if extra:
        raise QueryError(
            f"{where} has unknown fields: {', '.join(extra)}; allowed are {', '.join(sorted(allowed))}"
        )
