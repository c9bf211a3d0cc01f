"""Entities as the catalog stores them, and as Port's API answers them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json

COLUMNS = (
    "blueprint, identifier, fence, source, created_ms, updated_ms, created_by, updated_by,"
    " title, icon, team, properties, relations"
)


class StoredEntity(NamedTuple):
    """A row of the table of entities, in the order of COLUMNS. `team`, `properties`, `relations` are JSON."""

    blueprint: str
    identifier: str
    fence: int
    source: str
    created_ms: int
    updated_ms: int
    created_by: str
    updated_by: str
    title: str | None
    icon: str | None
    team: str
    properties: str
    relations: str

    @property
    def ref(self) -> EntityRef:
        return EntityRef(self.blueprint, self.identifier)

    def says_the_same_as(self, other: "StoredEntity") -> bool:
        """True if a reader of the catalog could not tell the two apart but for their times and authors."""
        return self[8:] == other[8:]


def to_json(value: Json) -> str:
    """Compact JSON; equal values that were built in the same order give equal texts."""
    return msgspec.json.encode(value).decode()


def object_from_json(document: str) -> dict[str, Json]:
    """Read back what `to_json` made of an object."""
    return msgspec.json.decode(document)


def answered(row: StoredEntity) -> dict[str, Json]:
    """The entity in the shape that Port's API answers (Port's documentation, "Search & query")."""
    return {
        "identifier": row.identifier,
        "title": row.title,
        "icon": row.icon,
        "blueprint": row.blueprint,
        "team": msgspec.Raw(row.team.encode()),
        "properties": msgspec.Raw(row.properties.encode()),
        "relations": msgspec.Raw(row.relations.encode()),
        "createdAt": iso_time(row.created_ms),
        "createdBy": row.created_by,
        "updatedAt": iso_time(row.updated_ms),
        "updatedBy": row.updated_by,
    }


def iso_time(milliseconds: int) -> str:
    """Milliseconds since 1970 as Port writes times: 2022-11-17T15:54:20.432Z."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pairs_json(refs: Iterable[EntityRef]) -> str:
    """Refs as a JSON array of pairs, to be bound to one parameter and read by json_each."""
    return to_json([[ref.blueprint, ref.identifier] for ref in refs])
