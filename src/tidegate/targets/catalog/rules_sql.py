"""Search rules as SQL conditions on the table of entities (alias `e`): the database evaluates, Python never loops.

`tests/targets/test_rules_sql.py` holds them to the plain evaluator of the Port stub.
"""
# ruff: noqa: S608 - every value is bound; what is put into the text is this module's own, or the dialect's

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.core.events import Json
from tidegate.targets.catalog.blueprints import Blueprint
from tidegate.targets.catalog.dialect import Dialect, Operand, Value, is_impossible
from tidegate.targets.catalog.formats import instant_us
from tidegate.targets.catalog.rows import to_json
from tidegate.targets.catalog.rules import Comparison, Direction, Group, Operator, Period, RelatedTo, Rule
from tidegate.targets.shapes import is_array

_NEVER = "FALSE"
_MAX_INTEGER = 2**63 - 1

_POSITIVE: Mapping[Operator, Operator] = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.DOES_NOT_CONTAIN: Operator.CONTAINS,
    Operator.DOES_NOT_BEGIN_WITH: Operator.BEGINS_WITH,
    Operator.DOES_NOT_END_WITH: Operator.ENDS_WITH,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
}

_TEXT_COLUMNS: Mapping[str, str] = {
    "$identifier": "e.identifier",
    "$blueprint": "e.blueprint",
    "$title": "e.title",
    "$icon": "e.icon",
    "$createdBy": "e.created_by",
    "$updatedBy": "e.updated_by",
    "$datasource": "e.source",
}
_TIME_COLUMNS: Mapping[str, str] = {"$createdAt": "e.created_ms", "$updatedAt": "e.updated_ms"}


def equated_properties(rule: Rule) -> set[str]:
    """The properties that a rule compares for equality, which an index would help."""
    if isinstance(rule, Group):
        return {name for inner in rule.rules for name in equated_properties(inner)}
    if isinstance(rule, Comparison) and rule.operator in (Operator.EQUAL, Operator.IN):
        return set() if rule.property.startswith("$") or is_impossible(rule.property) else {rule.property}
    return set()


@dataclass(slots=True)
class Condition:
    """A WHERE condition in the making, and the values that it is to be executed with, by name."""

    dialect: Dialect
    blueprints: Callable[[], Iterable[Blueprint]]
    values: dict[str, Value] = field(default_factory=dict[str, Value])

    def bind(self, value: Value) -> str:
        """The placeholder of a value."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MAX_INTEGER:
            value = float(value)
        name = f"value{len(self.values)}"
        self.values[name] = value
        return self.dialect.placeholder(name, value)

    def of(self, rule: Rule) -> str:
        """The SQL of a rule: true, or false or NULL."""
        match rule:
            case Group(every=every, rules=rules):
                parts = [f"({self.of(inner)})" for inner in rules]
                return (" AND " if every else " OR ").join(parts) or ("TRUE" if every else _NEVER)
            case Comparison(operator=operator) if operator in _POSITIVE:
                positive = Comparison(rule.property, _POSITIVE[operator], rule.value)
                return f"NOT coalesce({self._comparison(positive)}, FALSE)"
            case Comparison():
                return self._comparison(rule)
            case Period(property=name, start=start, end=end, inside=inside):
                first, last = (self.bind(round(end.timestamp() * 1_000_000)) for end in (start, end))
                between = f"{self._operand(name).moment} BETWEEN {first} AND {last}"
                return between if inside else f"NOT coalesce({between}, FALSE)"
            case RelatedTo():
                return self._related(rule)

    def _operand(self, name: str) -> Operand:
        if name in _TEXT_COLUMNS:
            column = _TEXT_COLUMNS[name]
            kind = f"CASE WHEN {column} IS NULL THEN 'null' ELSE 'text' END"
            return Operand(kind, column, "NULL", "", f"instant_us({column})")
        if name in _TIME_COLUMNS:
            column = _TIME_COLUMNS[name]
            return Operand("'text'", self.dialect.time_text(column), "NULL", "", f"{column} * 1000")
        return self.dialect.team() if name == "$team" else self.dialect.property(name)

    def _comparison(self, rule: Comparison) -> str:
        left, wanted = self._operand(rule.property), rule.value
        match rule.operator:
            case Operator.EQUAL:
                return self._equal(rule.property, left, wanted)
            case Operator.IN:
                return self._any(self._equal(rule.property, left, one) for one in wanted)
            case Operator.CONTAINS:
                parts = [self._contains(left, one) for one in (wanted if is_array(wanted) else [wanted])]
                return f"({' AND '.join(parts) or 'TRUE'})"
            case Operator.CONTAINS_ANY:
                return self._any(self._has_item(left, one) for one in wanted)
            case Operator.BEGINS_WITH:
                prefix = self.bind(wanted)
                return f"({left.kind} = 'text' AND substr({left.text}, 1, length({prefix})) = {prefix})"
            case Operator.ENDS_WITH:
                suffix = self.bind(wanted)
                before = f"length({left.text}) - length({suffix})"
                ends = f"{before} >= 0 AND substr({left.text}, {before} + 1) = {suffix}"
                return f"({left.kind} = 'text' AND {ends})"
            case Operator.IS_EMPTY:
                empty_array = f"{left.kind} = 'array' AND {left.text} = '[]'"
                return f"(coalesce({left.kind}, 'null') = 'null' OR ({empty_array}))"
            case operator:
                return self._ordered(left, operator, wanted)

    def _ordered(self, left: Operand, operator: Operator, wanted: Json) -> str:
        if isinstance(wanted, str):
            return f"{left.moment} {operator.value} {self.bind(instant_us(wanted))}"
        number = f"{left.kind} IN ('integer', 'real')"
        return f"({number} AND {left.number} {operator.value} {self.bind(wanted)})"

    def _equal(self, name: str, left: Operand, wanted: Json) -> str:
        if name in _TEXT_COLUMNS and isinstance(wanted, str):
            return f"{left.text} = {self.bind(wanted)}"  # as plain as the index needs it
        if name in _TIME_COLUMNS:
            return f"{left.moment} = {self.bind(instant_us(wanted))}"
        if name == "$team" and wanted is not None:
            return self._has_item(left, wanted)
        same = self._same(left, wanted)
        if not left.digest or wanted is None:
            return same
        digest = self.dialect.digest_of(wanted, self.bind(to_json(wanted)))
        return f"({left.digest} = {digest} AND {same})"

    def _same(self, left: Operand, wanted: Json) -> str:
        if wanted is None:
            return f"coalesce({left.kind}, 'null') = 'null'"
        if isinstance(wanted, bool):
            return f"{left.kind} = '{'true' if wanted else 'false'}'"
        if isinstance(wanted, str):
            return f"({left.kind} = 'text' AND {left.text} = {self.bind(wanted)})"
        return f"({left.kind} IN ('integer', 'real') AND {left.number} = {self.bind(wanted)})"

    def _has_item(self, left: Operand, wanted: Json) -> str:
        if not left.items:
            return _NEVER
        item = self._same(self.dialect.item, wanted)
        return f"({left.kind} = 'array' AND EXISTS (SELECT 1 FROM {left.items} AS item WHERE {item}))"

    def _contains(self, left: Operand, wanted: Json) -> str:
        has_item = self._has_item(left, wanted)
        if not isinstance(wanted, str):
            return has_item
        has_part = f"({left.kind} = 'text' AND {self.dialect.position}({left.text}, {self.bind(wanted)}) > 0)"
        return f"({has_item} OR {has_part})"

    def _any(self, parts: Iterable[str]) -> str:
        return f"({' OR '.join(parts) or _NEVER})"

    def _related(self, rule: RelatedTo) -> str:
        starts = (
            f"SELECT {self.bind(rule.blueprint)} AS blueprint, value AS identifier"
            f" FROM {self.dialect.texts(self.bind(to_json(rule.identifiers)))}"
        )
        walked = "" if rule.required is None else f" AND {self._relations_that(required=rule.required)}"
        up = ("edge.target_blueprint, edge.target_identifier", "edge.blueprint", "edge.identifier")
        down = ("edge.blueprint, edge.identifier", "edge.target_blueprint", "edge.target_identifier")
        ways = {Direction.UPSTREAM: [up], Direction.DOWNSTREAM: [down], None: [up, down]}[rule.direction]
        reached = [
            f"(e.blueprint, e.identifier) IN (WITH RECURSIVE reached(blueprint, identifier) AS ({starts} UNION"
            f" SELECT {ahead} FROM reached JOIN edges AS edge"
            f" ON {blueprint} = reached.blueprint AND {identifier} = reached.identifier{walked})"
            " SELECT blueprint, identifier FROM reached)"
            for ahead, blueprint, identifier in ways
        ]
        return f"({' OR '.join(reached)}) AND (e.blueprint, e.identifier) NOT IN ({starts})"

    def _relations_that(self, *, required: bool) -> str:
        pairs = [
            [blueprint.identifier, name]
            for blueprint in self.blueprints()
            for name, relation in blueprint.relations.items()
            if relation.required is required
        ]
        listed = self.dialect.pairs(self.bind(to_json(pairs)))
        return f"(edge.blueprint, edge.relation) IN ({listed})"
