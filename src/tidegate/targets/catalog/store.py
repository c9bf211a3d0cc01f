"""The statements of a write transaction: entities, fences, edges and blueprints by key, nothing decided here."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.targets.catalog.blueprints import Blueprint, parse_blueprint
from tidegate.targets.catalog.database import Row, WritingDatabase
from tidegate.targets.catalog.rows import COLUMNS, StoredEntity, pairs_json, to_json
from tidegate.targets.catalog.rules import Rule
from tidegate.targets.catalog.rules_sql import Condition, equated_properties

_READ = f"SELECT {COLUMNS} FROM entities WHERE blueprint = ? AND identifier = ?"  # noqa: S608 - own text
_READ_MANY = f"SELECT {COLUMNS} FROM entities AS e"  # noqa: S608 - own text
_FENCES_OF_MANY = "SELECT blueprint, identifier, source, fence FROM fences AS e"
_EXISTS = "SELECT 1 FROM entities WHERE blueprint = ? AND identifier = ?"
_INSERT = f"INSERT INTO entities ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - own text
_UPDATE = (
    "UPDATE entities SET fence = ?, source = ?, created_ms = ?, updated_ms = ?, created_by = ?,"
    " updated_by = ?, title = ?, icon = ?, team = ?, properties = ?, relations = ?"
    " WHERE blueprint = ? AND identifier = ?"
)
_UPDATE_FENCE = "UPDATE entities SET fence = ?, source = ? WHERE blueprint = ? AND identifier = ?"
_PUT_FENCE = (
    "INSERT INTO fences (blueprint, identifier, source, fence, at_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (blueprint, identifier, source) DO UPDATE SET fence = excluded.fence, at_ms = excluded.at_ms"
)
_PUT_BLUEPRINT = (
    "INSERT INTO blueprints (identifier, document, source, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (identifier) DO UPDATE SET document = excluded.document, updated_ms = excluded.updated_ms"
)
_PUT_EDGE = (
    "INSERT INTO edges (target_blueprint, target_identifier, blueprint, identifier, relation)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

MAX_LOOKUP_INDEXES = 16
"""Each index on a property costs every write a little."""


class Store:
    """What a write transaction reads and writes. Used by the writer's thread only."""

    def __init__(self, database: WritingDatabase) -> None:
        self._database = database
        self.reads_ahead = database.reads_ahead
        self._blueprints: dict[str, Blueprint] = {}
        self._targets: frozenset[str] = frozenset()
        self._indexes: set[str] = set()
        self._schema_version = -1
        self._known: dict[EntityRef, StoredEntity | None] = {}
        self._known_fences: dict[tuple[EntityRef, str], int | None] = {}

    # --- blueprints ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Call first in each transaction: reads the blueprints again if another connection may have written some."""
        self.forget()
        version = self._database.schema_version()
        if version != self._schema_version:
            documents = [document for (document,) in self._database.rows("SELECT document FROM blueprints")]
            self._keep(parse_blueprint(msgspec.json.decode(document)) for document in documents)
            self._indexes = self._database.lookup_indexes()
            self._schema_version = version

    def blueprint(self, identifier: str) -> Blueprint | None:
        return self._blueprints.get(identifier)

    def blueprints(self) -> Collection[Blueprint]:
        return self._blueprints.values()

    def may_be_related(self, blueprint: str) -> bool:
        """True if some relation leads to entities of this blueprint."""
        return blueprint in self._targets

    def blueprint_source(self, identifier: str) -> str | None:
        """Who created a blueprint."""
        return self._database.value("SELECT source FROM blueprints WHERE identifier = ?", (identifier,))

    def put_blueprint(self, blueprint: Blueprint, source: str, now_ms: int) -> None:
        """Create a blueprint, or replace its document."""
        values = (blueprint.identifier, to_json(blueprint.document), source, now_ms, now_ms)
        self._database.run(_PUT_BLUEPRINT, values)
        self._keep([*self._blueprints.values(), blueprint])
        self._schema_is_changed()

    def _schema_is_changed(self) -> None:
        self._database.touch_schema()
        self._schema_version = -1  # this transaction may be undone: read all again in the next

    def _keep(self, blueprints: Iterable[Blueprint]) -> None:
        self._blueprints = {blueprint.identifier: blueprint for blueprint in blueprints}
        self._targets = frozenset(
            relation.target
            for blueprint in self._blueprints.values()
            for relation in blueprint.relations.values()
        )

    # --- entities --------------------------------------------------------------------------------------

    def read_ahead(self, refs: Collection[EntityRef], source: str) -> None:
        """Entities and fences that will be asked for: one question for all of them."""
        wanted = [ref for ref in refs if ref not in self._known]
        if not wanted:
            return
        for ref in wanted:
            self._known[ref] = self._known_fences[ref, source] = None
        for row in self._of_pairs(_READ_MANY, wanted):
            entity = StoredEntity._make(row)
            self._known[entity.ref] = entity
        for blueprint, identifier, owner, fence in self._of_pairs(_FENCES_OF_MANY, wanted):
            self._known_fences[EntityRef(blueprint, identifier), owner] = fence

    def _of_pairs(self, query: str, refs: Iterable[EntityRef]) -> list[Row]:
        condition = Condition(self._database.dialect, self.blueprints)
        pairs = self._database.dialect.pairs(condition.bind(pairs_json(refs)))
        return self._database.rows(
            f"{query} WHERE (e.blueprint, e.identifier) IN ({pairs})", condition.values
        )

    def forget(self) -> None:
        """Call when something was undone."""
        self._known.clear()
        self._known_fences.clear()

    def read(self, ref: EntityRef) -> StoredEntity | None:
        if ref in self._known:
            return self._known[ref]
        row = self._database.value(_READ, ref)
        return None if row is None else StoredEntity._make(row)

    def exists(self, ref: EntityRef) -> bool:
        if ref in self._known:
            return self._known[ref] is not None
        return self._database.value(_EXISTS, ref) is not None

    def insert(self, row: StoredEntity) -> None:
        self._database.run(_INSERT, row)
        self._note(row.ref, row)

    def update(self, row: StoredEntity) -> None:
        self._database.run(_UPDATE, (*row[2:], *row.ref))
        self._note(row.ref, row)

    def update_fence(self, row: StoredEntity) -> None:
        """Store the row's fence and source only."""
        self._database.run(_UPDATE_FENCE, (row.fence, row.source, *row.ref))
        known = self._known.get(row.ref)
        if known is not None:
            self._note(row.ref, known._replace(fence=row.fence, source=row.source))

    def remove(self, ref: EntityRef) -> None:
        """Remove an entity and the relations that lead from it."""
        self._database.run("DELETE FROM entities WHERE blueprint = ? AND identifier = ?", ref)
        self._database.run("DELETE FROM edges WHERE blueprint = ? AND identifier = ?", ref)
        self._note(ref, None)

    def _note(self, ref: EntityRef, row: StoredEntity | None) -> None:
        if ref in self._known:
            self._known[ref] = row

    def find(self, blueprint: str, rule: Rule, limit: int) -> list[str]:
        """The identifiers of entities of a blueprint for which the rule holds, at most `limit`, sorted.

        Properties that are looked up by equality get an index, so that the cost does not grow with the catalog.
        """
        for name in equated_properties(rule):
            self._index(name)
        condition = Condition(self._database.dialect, self.blueprints)
        where = f"e.blueprint = {condition.bind(blueprint)} AND ({condition.of(rule)})"
        query = f"SELECT e.identifier FROM entities AS e WHERE {where} LIMIT {limit:d}"  # noqa: S608 - values are bound
        # Sorted here: to be asked for an order, a database would rather walk through the whole blueprint.
        return sorted(identifier for (identifier,) in self._database.rows(query, condition.values))

    def _index(self, name: str) -> None:
        index = "lookup_" + blake2b(name.encode(), digest_size=8).hexdigest()
        if index in self._indexes or len(self._indexes) >= MAX_LOOKUP_INDEXES:
            return
        key = self._database.dialect.lookup_key(name)
        self._database.run(f"CREATE INDEX IF NOT EXISTS {index} ON entities (blueprint, {key})")
        self._indexes.add(index)
        self._schema_is_changed()

    # --- fences ----------------------------------------------------------------------------------------

    def fence(self, ref: EntityRef, source: str) -> int | None:
        """The fence of the last change that a source made to an entity whose row does not tell."""
        if (ref, source) in self._known_fences:
            return self._known_fences[ref, source]
        query = "SELECT fence FROM fences WHERE blueprint = ? AND identifier = ? AND source = ?"
        return self._database.value(query, (*ref, source))

    def put_fence(self, ref: EntityRef, source: str, fence: int, now_ms: int) -> None:
        self._database.run(_PUT_FENCE, (*ref, source, fence, now_ms))
        self._note_fence(ref, source, fence)

    def drop_fence(self, ref: EntityRef, source: str) -> None:
        query = "DELETE FROM fences WHERE blueprint = ? AND identifier = ? AND source = ?"
        self._database.run(query, (*ref, source))
        self._note_fence(ref, source, None)

    def _note_fence(self, ref: EntityRef, source: str, fence: int | None) -> None:
        if (ref, source) in self._known_fences:
            self._known_fences[ref, source] = fence

    def prune_fences(self, before_ms: int) -> None:
        """Forget fences that were put before this time."""
        self._database.run("DELETE FROM fences WHERE at_ms < ?", (before_ms,))

    # --- edges -----------------------------------------------------------------------------------------

    def dependents(self, target: EntityRef) -> list[tuple[EntityRef, str]]:
        """The entities that have a relation to this one, with the relation's name."""
        query = (
            "SELECT blueprint, identifier, relation FROM edges"
            " WHERE target_blueprint = ? AND target_identifier = ?"
        )
        return [(EntityRef(*ref), name) for *ref, name in self._database.rows(query, target)]

    def put_edges(self, source: EntityRef, targets: Mapping[str, Iterable[EntityRef]]) -> None:
        """Replace what each of these relations of an entity leads to."""
        for name, refs in targets.items():
            self._database.run(
                "DELETE FROM edges WHERE blueprint = ? AND identifier = ? AND relation = ?", (*source, name)
            )
            for ref in refs:
                self._database.run(_PUT_EDGE, (*ref, *source, name))
