"""Rules as SQL find what the plain evaluator finds, whatever the rules and the entities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.targets.catalogs import database as catalog_database
from tidegate.core.entities import EntityRef
from tidegate.targets.catalog.blueprints import parse_blueprint
from tidegate.targets.catalog.database import WritingDatabase
from tidegate.targets.catalog.rows import StoredEntity, answered, to_json
from tidegate.targets.catalog.rule_parsing import parse_query
from tidegate.targets.catalog.rules import META_PROPERTIES, Operator
from tidegate.targets.catalog.store import Store
from tidegate.testing.port_stub_rules import Edge, matches

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
PROPERTIES = ("p", "q", "with space", "it's")
TEXTS = st.sampled_from(["", "a", "A", "ab", "ba", "é", "%", "_", "1", "true", "[]", "null", "2024-05-01"])
MOMENTS = st.builds(
    lambda minutes, offset: (NOW + timedelta(minutes=minutes)).isoformat() if offset else _zulu(minutes),
    st.integers(-3, 3),
    st.booleans(),
)
NUMBERS = st.sampled_from([0, 1, -1, 1.0, 1.5, 2, 10**15, True, False])
SCALARS = st.one_of(TEXTS, MOMENTS, NUMBERS)
VALUES = st.one_of(st.none(), SCALARS, st.lists(st.one_of(st.none(), SCALARS), max_size=3), st.just({"a": 1}))
NAMES = st.sampled_from([*PROPERTIES, "missing", 'quo"te', "nu\0l", *sorted(META_PROPERTIES)])
IDENTIFIERS = ("a", "b", "c", "d")
BLUEPRINTS = ("service", "team")


def _zulu(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def value_for(operator: str) -> st.SearchStrategy[Any]:
    if operator in ("in", "notIn", "containsAny"):
        return st.lists(SCALARS, max_size=3)
    if operator in (">", ">=", "<", "<="):
        return st.one_of(MOMENTS, NUMBERS.filter(lambda number: not isinstance(number, bool)))
    if operator in ("=", "!="):
        return st.one_of(st.none(), SCALARS)
    if operator == "contains":
        return st.one_of(SCALARS, st.lists(SCALARS, max_size=2))
    return TEXTS


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from([str(operator) for operator in Operator]))
    rule = {"property": draw(NAMES), "operator": operator}
    return rule if operator.startswith("is") else {**rule, "value": draw(value_for(operator))}


@st.composite
def periods(draw: st.DrawFn) -> dict[str, Any]:
    ends = {"from": draw(MOMENTS), "to": draw(MOMENTS)}
    operator = draw(st.sampled_from(["between", "notBetween"]))
    return {"property": draw(NAMES), "operator": operator, "value": ends}


@st.composite
def relations(draw: st.DrawFn) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "operator": "relatedTo",
        "blueprint": draw(st.sampled_from(BLUEPRINTS)),
        "value": draw(st.one_of(st.sampled_from(IDENTIFIERS), st.lists(st.sampled_from(IDENTIFIERS)))),
    }
    if draw(st.booleans()):
        rule["direction"] = draw(st.sampled_from(["upstream", "downstream"]))
    if draw(st.booleans()):
        rule["required"] = draw(st.booleans())
    return rule


def group(rules: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"combinator": st.sampled_from(["and", "or"]), "rules": st.lists(rules, max_size=3)}
    )


LEAVES = st.one_of(comparisons(), comparisons(), periods(), relations())
QUERIES = group(st.recursive(LEAVES, group, max_leaves=5))


@st.composite
def catalogs(draw: st.DrawFn) -> list[StoredEntity]:
    refs = draw(st.lists(st.tuples(st.sampled_from(BLUEPRINTS), st.sampled_from(IDENTIFIERS)), unique=True))
    rows = []
    for blueprint, identifier in refs:
        related: dict[str, Any] = {}
        if blueprint == "service":
            related = {
                "owner": draw(st.one_of(st.none(), st.sampled_from(IDENTIFIERS))),
                "uses": draw(st.lists(st.sampled_from(IDENTIFIERS), unique=True, max_size=3)),
            }
        minutes = draw(st.integers(-3, 3))
        created = round((NOW + timedelta(minutes=minutes)).timestamp() * 1000)
        rows.append(
            StoredEntity(
                blueprint=blueprint,
                identifier=identifier,
                fence=1,
                source=draw(st.sampled_from(["a", "b"])),
                created_ms=created,
                updated_ms=created + draw(st.sampled_from([0, 60_000])),
                created_by="a",
                updated_by=draw(st.sampled_from(["a", "b"])),
                title=draw(st.one_of(st.none(), TEXTS)),
                icon=draw(st.one_of(st.none(), TEXTS)),
                team=to_json(draw(st.lists(TEXTS, max_size=2))),
                properties=to_json(draw(st.dictionaries(st.sampled_from(PROPERTIES), VALUES))),
                relations=to_json(related),
            )
        )
    return rows


SERVICE = parse_blueprint(
    {
        "identifier": "service",
        "relations": {
            "owner": {"target": "team", "required": True},
            "uses": {"target": "service", "many": True},
        },
    }
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with catalog_database(request.param, tmp_path_factory.mktemp("rules")) as opened:
        yield opened


def edges_of(row: StoredEntity) -> list[Edge]:
    related: dict[str, Any] = msgspec.json.decode(row.relations)
    edges = [Edge(row.ref, EntityRef("service", target), False) for target in related.get("uses", ())]
    if related.get("owner"):
        edges.append(Edge(row.ref, EntityRef("team", related["owner"]), True))
    return edges


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=catalogs(), query=QUERIES)
def test_sql_finds_what_the_plain_evaluator_finds(
    database: WritingDatabase, rows: list[StoredEntity], query: Any
) -> None:
    rule = parse_query(query, NOW)
    edges = [edge for row in rows for edge in edges_of(row)]
    store = Store(database)
    with database.transaction():
        for table in ("entities", "edges", "blueprints"):
            database.run(f"DELETE FROM {table}")
        store.put_blueprint(SERVICE, "a", 0)
        for row in rows:
            store.insert(row)
            related: dict[str, list[EntityRef]] = {}
            for edge in edges_of(row):
                related.setdefault("owner" if edge.required else "uses", []).append(edge.target)
            store.put_edges(row.ref, related)
        found = {blueprint: set(store.find(blueprint, rule, 100)) for blueprint in BLUEPRINTS}
    for blueprint in BLUEPRINTS:
        expected = {
            row.identifier
            for row in rows
            if row.blueprint == blueprint
            and matches(
                rule,
                msgspec.json.decode(msgspec.json.encode(answered(row))) | {"datasource": row.source},
                lambda: edges,
            )
        }
        assert found[blueprint] == expected
