"""The catalog and the Port stub agree on what any sequence of changes means; fences make their order irrelevant."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.targets.catalogs import database as catalog_database
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.ports import Applied, Change, ChangeOutcome, Delete, Overtaken, Refused, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.blueprints import parse_blueprint
from tidegate.targets.catalog.database import WritingDatabase
from tidegate.targets.catalog.deletes import Deletes
from tidegate.targets.catalog.fences import Fences
from tidegate.targets.catalog.lookups import Lookups, named_entities
from tidegate.targets.catalog.rows import COLUMNS, StoredEntity, answered
from tidegate.targets.catalog.store import Store
from tidegate.targets.catalog.upserts import Upserts
from tidegate.testing.port_stub_catalog import StubCatalog, UpsertFlags
from tidegate.testing.port_stub_shapes import StubRefusalError

NOW = datetime(2024, 5, 1, tzinfo=UTC)
CONTENT = ("identifier", "blueprint", "title", "icon", "team", "properties", "relations")
BLUEPRINTS: tuple[dict[str, Any], ...] = (
    {"identifier": "team", "schema": {"properties": {"slack": {"type": "string"}}}, "relations": {}},
    {
        "identifier": "service",
        "schema": {"properties": {"stars": {"type": "number"}, "ext": {"type": "string"}}},
        "relations": {
            "owner": {"target": "team"},
            "uses": {"target": "service", "many": True},
        },
    },
    {
        "identifier": "deployment",
        "schema": {"properties": {"version": {"type": "string"}}, "required": ["version"]},
        "relations": {
            "of": {"target": "service", "required": True},
            "near": {"target": "deployment", "many": True, "required": False},
            "also": {"target": "service", "many": True, "required": True},
        },
    },
)

IDENTIFIERS = st.sampled_from(["a", "b", "c"])
NOTHING = st.just(msgspec.UNSET)


def find(name: str, value: str) -> dict[str, Any]:
    rule = {"property": name, "operator": "=", "value": value}
    return {"combinator": "and", "rules": [rule]}


def sometimes(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    some = st.fixed_dictionaries({}, optional=values)
    return st.one_of(NOTHING, some, st.fixed_dictionaries(values), st.fixed_dictionaries(values))


MANY = st.one_of(st.none(), st.lists(IDENTIFIERS, unique=True, max_size=3))
ONE = st.sampled_from([None, "a", "b", "c", "a", "b", "bad name", ["a"]])
STARS = st.sampled_from([None, 1, 2, 3, 4, 5, "many"])
EXT = st.sampled_from([None, "x", "y"])
TITLES = st.one_of(NOTHING, st.sampled_from([None, "T", "U"]))

TEAMS = st.builds(
    Entity,
    identifier=IDENTIFIERS,
    blueprint=st.just("team"),
    title=TITLES,
    properties=sometimes({"slack": st.sampled_from(["#x", "#y"])}),
)
SERVICES = st.builds(
    Entity,
    identifier=st.one_of(IDENTIFIERS, IDENTIFIERS, st.sampled_from([find("ext", "x"), find("ext", "y")])),
    blueprint=st.just("service"),
    title=TITLES,
    team=st.one_of(NOTHING, st.sampled_from([None, "core", ["core", "ops"]])),
    properties=sometimes({"stars": STARS, "ext": EXT}),
    relations=sometimes({"owner": st.one_of(ONE, st.just(find("slack", "#x"))), "uses": MANY}),
)
DEPLOYMENTS = st.builds(
    Entity,
    identifier=IDENTIFIERS,
    blueprint=st.just("deployment"),
    properties=st.sampled_from([{"version": "1"}, {"version": "2"}, {"version": None}, {}]),
    relations=st.fixed_dictionaries(
        {"of": IDENTIFIERS, "also": st.lists(IDENTIFIERS, unique=True, min_size=1, max_size=3)},
        optional={"near": MANY},
    ),
)
DELETES = st.builds(EntityRef, st.sampled_from(["team", "service", "deployment"]), IDENTIFIERS)
SEED = [Entity(name, blueprint) for blueprint in ("team", "service") for name in "abc"]
CHANGES = st.builds(
    lambda seed, changes: seed + changes,
    st.sampled_from([[], SEED, SEED]),
    st.lists(st.one_of(TEAMS, SERVICES, SERVICES, DEPLOYMENTS, DELETES), min_size=3, max_size=12),
)
OPTIONS = st.builds(TargetOptions, st.booleans(), st.booleans(), st.booleans())


class _UndoneError(Exception):
    """Ends a transaction without a trace."""


class Catalog:
    """The catalog without its threads: one database, emptied before each example."""

    def __init__(self, database: WritingDatabase) -> None:
        self.database = database
        self.store = Store(database)

    @contextmanager
    def empty(self, blueprints: tuple[dict[str, Any], ...] = BLUEPRINTS) -> Iterator[None]:
        with suppress(_UndoneError), self.database.transaction():
            self.store.refresh()
            for blueprint in blueprints:
                self.store.put_blueprint(parse_blueprint(blueprint), "main", 0)
            yield
            raise _UndoneError

    def apply(self, change: Change, options: TargetOptions, source: str = "main") -> ChangeOutcome:
        if self.store.reads_ahead:
            self.store.read_ahead(named_entities([change], self.store), source)
        fences = Fences(self.store, source, round(NOW.timestamp() * 1000))
        if isinstance(change, Delete):
            return Deletes(self.store, fences, options).apply(change)
        return Upserts(self.store, fences, Lookups(self.store, NOW), options).apply(change)

    def documents(self) -> dict[EntityRef, dict[str, Any]]:
        rows = [StoredEntity._make(row) for row in self.database.rows(f"SELECT {COLUMNS} FROM entities")]
        return {row.ref: msgspec.json.decode(msgspec.json.encode(answered(row))) for row in rows}

    def edges(self) -> set[tuple[Any, ...]]:
        return set(self.database.rows("SELECT * FROM edges"))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    with catalog_database(request.param, tmp_path_factory.mktemp("semantics")) as database:
        yield Catalog(database)


def at_the_stub(stub: StubCatalog, change: Entity | EntityRef, options: TargetOptions) -> str:
    try:
        if isinstance(change, EntityRef):
            stub.delete(change, dependents=options.delete_dependent_entities)
        else:
            document = msgspec.json.decode(msgspec.json.encode(change))
            flags = UpsertFlags(
                upsert=True,
                merge=options.enable_merge_entity,
                create_missing_related_entities=options.create_missing_related_entities,
            )
            stub.upsert(change.blueprint, document, flags, "main")
    except StubRefusalError as refusal:
        gone = isinstance(change, EntityRef) and refusal.status == 404
        return "Applied" if gone else "Refused"
    return "Applied"


def normalised(document: dict[str, Any]) -> dict[str, Any]:
    """What a reader can tell apart: an empty relation may be null, [] or missing."""
    relations = {name: value for name, value in document["relations"].items() if value not in (None, [])}
    team = document["team"]
    teams = [] if team is None else [team] if isinstance(team, str) else team
    return {name: document[name] for name in CONTENT} | {"relations": relations, "team": teams}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, options=OPTIONS)
def test_the_catalog_agrees_with_the_stub(
    catalog: Catalog, changes: list[Entity | EntityRef], options: TargetOptions
) -> None:
    stub = StubCatalog(now=lambda: NOW)
    for blueprint in BLUEPRINTS:
        stub.put_blueprint(blueprint)
    with catalog.empty():
        for fence, change in enumerate(changes, 1):
            asked = Upsert(change, fence) if isinstance(change, Entity) else Delete(change, fence)
            outcome = catalog.apply(asked, options)
            assert type(outcome).__name__ == at_the_stub(stub, change, options), (change, outcome)
            ours = {ref: normalised(document) for ref, document in catalog.documents().items()}
            assert ours == {ref: normalised(document) for ref, document in stub.entities.items()}
        # The edges say the same as the relations, read from the other end.
        assert {(EntityRef(*edge[2:4]), EntityRef(*edge[:2])) for edge in catalog.edges()} == {
            (edge.source, edge.target) for edge in stub.edges()
        }


FREE: tuple[dict[str, Any], ...] = (
    {"identifier": "service", "schema": {"properties": {"n": {"type": "number"}, "m": {"type": "number"}}}},
)
WRITES = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=4)
REPLACE = TargetOptions(enable_merge_entity=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES)
def test_whatever_the_order_the_highest_fence_wins(catalog: Catalog, writes: list[int | None]) -> None:
    changes: list[Change] = [
        Delete(EntityRef("service", "a"), fence)
        if number is None
        else Upsert(Entity("a", "service", properties={"n": number}), fence)
        for fence, number in enumerate(writes, 1)
    ]
    for order in itertools.permutations(changes):
        with catalog.empty(FREE):
            highest = 0
            for change in order:
                outcome = catalog.apply(change, REPLACE)
                assert isinstance(outcome, Overtaken if change.fence < highest else Applied)
                highest = max(highest, change.fence)
                assert catalog.apply(change, REPLACE) == outcome  # sent again after a lost answer
            stored = [document["properties"] for document in catalog.documents().values()]
            assert stored == ([] if writes[-1] is None else [{"n": writes[-1]}])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.dictionaries(st.sampled_from("nm"), st.one_of(st.none(), st.integers(0, 3))),
    second=st.dictionaries(st.sampled_from("nm"), st.one_of(st.none(), st.integers(0, 3))),
    merge=st.booleans(),
)
def test_merging_and_replacing(
    catalog: Catalog, first: dict[str, Any], second: dict[str, Any], merge: bool
) -> None:
    options = TargetOptions(enable_merge_entity=merge)
    with catalog.empty(FREE):
        for fence, properties in enumerate((first, second, second)):
            catalog.apply(Upsert(Entity("a", "service", properties=properties), fence), options)
        (stored,) = catalog.documents().values()
        assert stored["properties"] == ({**first, **second} if merge else second)


def service(**properties: Any) -> Entity:
    return Entity("a", "service", properties=properties)


def test_who_adds_by_a_search_does_not_become_the_owner(catalog: Catalog) -> None:
    with catalog.empty(FREE):
        ref = EntityRef("service", "a")
        catalog.apply(Upsert(service(n=1), 5), TargetOptions(), "theirs")
        found = {"combinator": "and", "rules": [{"property": "n", "operator": "=", "value": 1}]}
        ours = Entity(found, "service", properties={"m": 1})
        assert catalog.apply(Upsert(ours, 9), TargetOptions()) == Applied()
        assert catalog.apply(Upsert(ours, 8), TargetOptions()) == Overtaken()
        row = catalog.store.read(ref)
        assert row is not None
        assert (row.source, row.fence, row.updated_by) == ("theirs", 5, "main")
        assert catalog.apply(Upsert(service(n=1), 4), TargetOptions(), "theirs") == Overtaken()


def test_a_barebones_entity_stands_below_what_was_said_of_it(catalog: Catalog) -> None:
    options = TargetOptions()
    with catalog.empty():
        ref = EntityRef("service", "s")
        assert catalog.apply(Upsert(Entity("s", "service"), 10), options) == Applied()
        assert catalog.apply(Delete(ref, 20), options) == Applied()
        deployment = Entity(
            "d", "deployment", properties={"version": "1"}, relations={"of": "s", "also": ["s"]}
        )
        assert catalog.apply(Upsert(deployment, 5), options) == Applied()
        assert ref in catalog.documents()
        assert catalog.apply(Upsert(Entity("s", "service", title="old"), 19), options) == Overtaken()
        assert catalog.apply(Upsert(Entity("s", "service", title="new"), 20), options) == Applied()


def test_an_entity_that_does_not_change_keeps_its_time(catalog: Catalog) -> None:
    with catalog.empty(FREE):
        catalog.apply(Upsert(service(n=1), 1), TargetOptions())
        before = catalog.store.read(EntityRef("service", "a"))
        catalog.database.run("UPDATE entities SET updated_ms = 7")
        catalog.store.forget()
        catalog.apply(Upsert(service(n=1), 2), TargetOptions())
        after = catalog.store.read(EntityRef("service", "a"))
        assert before is not None
        assert after == before._replace(fence=2, updated_ms=7)


def test_refusals_say_what_to_mend(catalog: Catalog) -> None:
    with catalog.empty():
        for entity, part in (
            (Entity("a", "servce"), "blueprint servce does not exist"),
            (Entity("a", "service", properties={"star": 1}), "it has: stars, ext"),
            (Entity("a", "service", relations={"owned": "t"}), "it has: owner, uses"),
            (Entity("a", "service", properties={"stars": "3"}), "stars must be a number, not a string"),
            (Entity("a b", "service"), "may only have letters"),
            (Entity("", "service"), "must not be empty"),
            (Entity("x" * 1001, "service"), "1000 characters"),
            (Entity(None, "service"), "must be a string, not null"),
            (Entity("a", "service", team=[1]), "team must be"),
            (Entity("a", "deployment", properties={"version": "1"}), "relation of is required"),
        ):
            outcome = catalog.apply(Upsert(entity, 1), TargetOptions())
            assert isinstance(outcome, Refused)
            assert part in outcome.reason
        assert catalog.documents() == {}
