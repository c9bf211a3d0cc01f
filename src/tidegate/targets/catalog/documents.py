"""Answers of the read API, made in slices: memory does not grow with what is found."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.targets.catalog.blueprints import Blueprint, parse_blueprint
from tidegate.targets.catalog.database import Database
from tidegate.targets.catalog.rows import COLUMNS, StoredEntity, answered, iso_time, pairs_json
from tidegate.targets.catalog.rule_parsing import QueryError
from tidegate.targets.catalog.rules import Rule
from tidegate.targets.catalog.rules_sql import Condition

SLICE = 500
"""How many entities are read at once."""


class Position(NamedTuple):
    """Where a listing stands: after this entity, in the order of blueprint and identifier."""

    blueprint: str = ""
    identifier: str = ""

    def token(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()


def position_from(token: str) -> Position:
    """Read back what `Position.token` wrote. Raises QueryError."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token), type=Position)
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise QueryError("`from` must be the `next` of an earlier answer") from None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entities (`blueprint` None: of any blueprint), and which of their fields to answer: `include` none
    means all; both take names such as `title`, `properties` and `properties.url`.
    """

    blueprint: str | None = None
    rule: Rule | None = None
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()

    def wants(self, field: str) -> bool:
        names = {field, field.partition(".")[0]}
        return (not self.include or not names.isdisjoint(self.include)) and names.isdisjoint(self.exclude)


def blueprint_documents(database: Database, identifier: str | None = None) -> list[dict[str, Json]]:
    """All blueprints in the order of their identifiers, or the one that is named so."""
    where, values = ("", ()) if identifier is None else ("WHERE identifier = ?", (identifier,))
    rows = database.rows(
        f"SELECT document, source, created_ms, updated_ms FROM blueprints {where} ORDER BY identifier",  # noqa: S608
        values,
    )
    return [
        msgspec.json.decode(document)
        | {"createdAt": iso_time(created_ms), "createdBy": source}
        | {"updatedAt": iso_time(updated_ms), "updatedBy": source}
        for document, source, created_ms, updated_ms in rows
    ]


def entity_document(database: Database, ref: EntityRef) -> dict[str, Json] | None:
    """One entity in the shape that Port's API answers."""
    query = f"SELECT {COLUMNS} FROM entities WHERE blueprint = ? AND identifier = ?"  # noqa: S608 - own text
    row = database.value(query, ref)
    return None if row is None else answered(StoredEntity._make(row))


def entity_slice(
    database: Database, selection: Selection, after: Position, limit: int
) -> tuple[list[dict[str, Json]], Position | None]:
    """The next entities of a selection, at most `limit`, and where to go on; None at the end."""
    condition = Condition(database.dialect, lambda: _blueprints(database))
    where = [
        f"(e.blueprint, e.identifier) > ({condition.bind(after.blueprint)}, {condition.bind(after.identifier)})"
    ]
    if selection.blueprint is not None:
        where.append(f"e.blueprint = {condition.bind(selection.blueprint)}")
    if selection.rule is not None:
        where.append(f"({condition.of(selection.rule)})")
    query = (
        f"SELECT {COLUMNS} FROM entities AS e WHERE {' AND '.join(where)}"  # noqa: S608 - values are bound
        f" ORDER BY e.blueprint, e.identifier LIMIT {limit + 1:d}"
    )
    rows = [StoredEntity._make(row) for row in database.rows(query, condition.values)]
    found = [_fields(answered(row), selection) for row in rows[:limit]]
    return found, Position(*rows[limit - 1].ref) if len(rows) > limit else None


def matching_blueprints(database: Database, selection: Selection) -> list[str]:
    """The blueprints that have entities in the selection."""
    condition = Condition(database.dialect, lambda: _blueprints(database))
    where = "TRUE" if selection.rule is None else condition.of(selection.rule)
    query = f"SELECT DISTINCT e.blueprint FROM entities AS e WHERE {where} ORDER BY 1"  # noqa: S608 - bound
    return [blueprint for (blueprint,) in database.rows(query, condition.values)]


def owned_by(database: Database, refs: Iterable[EntityRef], source: str) -> frozenset[EntityRef]:
    """Which of these exist and are this source's."""
    condition = Condition(database.dialect, tuple)
    pairs = database.dialect.pairs(condition.bind(pairs_json(refs)))
    query = (
        f"SELECT e.blueprint, e.identifier FROM entities AS e WHERE (e.blueprint, e.identifier) IN ({pairs})"  # noqa: S608
        f" AND e.source = {condition.bind(source)}"
    )
    return frozenset(EntityRef(*row) for row in database.rows(query, condition.values))


def _blueprints(database: Database) -> Sequence[Blueprint]:
    return [parse_blueprint(document) for document in blueprint_documents(database)]


def _fields(document: dict[str, Json], selection: Selection) -> dict[str, Json]:
    if not selection.include and not selection.exclude:
        return document
    kept = {name: value for name, value in document.items() if selection.wants(name)}
    for part in ("properties", "relations"):
        inner: dict[str, Json] = msgspec.json.decode(document[part])
        chosen = {name: value for name, value in inner.items() if selection.wants(f"{part}.{name}")}
        if chosen or part in kept:
            kept[part] = chosen
    return kept
