"""The statements of a write transaction: entities, fences, edges and blueprints by key, nothing decided here."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.targets.catalog.blueprints import Blueprint, parse_blueprint
from tidegate.targets.catalog.rows import COLUMNS, StoredEntity, to_json
from tidegate.targets.catalog.rules import Rule
from tidegate.targets.catalog.rules_sql import Condition, equated_properties, property_value
from tidegate.targets.catalog.sqlite import Database

_READ = f"SELECT {COLUMNS} FROM entities WHERE blueprint = ? AND identifier = ?"  # noqa: S608 - own text
_EXISTS = "SELECT 1 FROM entities WHERE blueprint = ? AND identifier = ?"
_INSERT = f"INSERT INTO entities ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - own text
_UPDATE = (
    "UPDATE entities SET fence = ?3, source = ?4, created_ms = ?5, updated_ms = ?6, created_by = ?7,"
    " updated_by = ?8, title = ?9, icon = ?10, team = ?11, properties = ?12, relations = ?13"
    " WHERE blueprint = ?1 AND identifier = ?2"
)
_UPDATE_FENCE = "UPDATE entities SET fence = ?3, source = ?4 WHERE blueprint = ?1 AND identifier = ?2"
_PUT_FENCE = (
    "INSERT INTO fences (blueprint, identifier, source, fence, at_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET fence = excluded.fence, at_ms = excluded.at_ms"
)
_PUT_BLUEPRINT = (
    "INSERT INTO blueprints (identifier, document, source, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?4)"
    " ON CONFLICT DO UPDATE SET document = excluded.document, updated_ms = excluded.updated_ms"
)

MAX_LOOKUP_INDEXES = 16
"""Each index on a property costs every write a little."""


class Store:
    """What a write transaction reads and writes. Used by the writer's thread only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blueprints: dict[str, Blueprint] = {}
        self._targets: frozenset[str] = frozenset()
        self._indexes: set[str] = set()
        self._data_version = -1

    # --- blueprints ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Call first in each transaction: reads the blueprints again if another connection has written."""
        version: int = self._database.pragma("data_version")
        if version != self._data_version:
            documents = [document for (document,) in self._database.rows("SELECT document FROM blueprints")]
            self._keep(parse_blueprint(msgspec.json.decode(document)) for document in documents)
            indexes = self._database.rows(
                "SELECT name FROM sqlite_schema WHERE name LIKE 'lookup\\_%' ESCAPE '\\'"
            )
            self._indexes = {index for (index,) in indexes}
            self._data_version = version

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
        values = (blueprint.identifier, to_json(blueprint.document), source, now_ms)
        self._database.run(_PUT_BLUEPRINT, values)
        self._keep([*self._blueprints.values(), blueprint])
        self._data_version = -1  # this transaction may be undone: read them again in the next

    def _keep(self, blueprints: Iterable[Blueprint]) -> None:
        self._blueprints = {blueprint.identifier: blueprint for blueprint in blueprints}
        self._targets = frozenset(
            relation.target
            for blueprint in self._blueprints.values()
            for relation in blueprint.relations.values()
        )

    # --- entities --------------------------------------------------------------------------------------

    def read(self, ref: EntityRef) -> StoredEntity | None:
        row = self._database.value(_READ, ref)
        return None if row is None else StoredEntity._make(row)

    def exists(self, ref: EntityRef) -> bool:
        return self._database.value(_EXISTS, ref) is not None

    def insert(self, row: StoredEntity) -> None:
        self._database.run(_INSERT, row)

    def update(self, row: StoredEntity) -> None:
        self._database.run(_UPDATE, row)

    def update_fence(self, row: StoredEntity) -> None:
        """Store the row's fence and source only."""
        self._database.run(_UPDATE_FENCE, row[:4])

    def remove(self, ref: EntityRef) -> None:
        """Remove an entity and the relations that lead from it."""
        self._database.run("DELETE FROM entities WHERE blueprint = ? AND identifier = ?", ref)
        self._database.run("DELETE FROM edges WHERE blueprint = ? AND identifier = ?", ref)

    def find(self, blueprint: str, rule: Rule, limit: int) -> list[str]:
        """The identifiers of entities of a blueprint for which the rule holds, at most `limit`.

        Properties that are looked up by equality get an index, so that the cost does not grow with the catalog.
        """
        for name in equated_properties(rule):
            self._index(name)
        condition = Condition(self.blueprints)
        where = f"e.blueprint = {condition.bind(blueprint)} AND ({condition.of(rule)})"
        query = f"SELECT e.identifier FROM entities AS e WHERE {where} LIMIT {limit:d}"  # noqa: S608 - values are bound
        return [identifier for (identifier,) in self._database.rows(query, condition.values)]

    def _index(self, name: str) -> None:
        index = "lookup_" + blake2b(name.encode(), digest_size=8).hexdigest()
        if index in self._indexes or len(self._indexes) >= MAX_LOOKUP_INDEXES:
            return
        value = property_value("properties", name)
        self._database.run(f"CREATE INDEX IF NOT EXISTS {index} ON entities (blueprint, {value})")
        self._indexes.add(index)
        self._data_version = -1  # as with blueprints

    # --- fences ----------------------------------------------------------------------------------------

    def fence(self, ref: EntityRef, source: str) -> int | None:
        """The fence of the last change that a source made to an entity whose row does not tell."""
        query = "SELECT fence FROM fences WHERE blueprint = ? AND identifier = ? AND source = ?"
        return self._database.value(query, (*ref, source))

    def put_fence(self, ref: EntityRef, source: str, fence: int, now_ms: int) -> None:
        self._database.run(_PUT_FENCE, (*ref, source, fence, now_ms))

    def drop_fence(self, ref: EntityRef, source: str) -> None:
        query = "DELETE FROM fences WHERE blueprint = ? AND identifier = ? AND source = ?"
        self._database.run(query, (*ref, source))

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
                self._database.run(
                    "INSERT OR IGNORE INTO edges (target_blueprint, target_identifier, blueprint, identifier,"
                    " relation) VALUES (?, ?, ?, ?, ?)",
                    (*ref, *source, name),
                )
