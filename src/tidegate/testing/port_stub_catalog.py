"""What the Port stub knows: blueprints and entities, kept as strictly as Port keeps them and as plainly as possible."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tidegate.core.entities import EntityRef
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.targets.catalog.blueprints import Blueprint, Relation, parse_blueprint
from tidegate.targets.catalog.rule_parsing import QueryError, parse_lookup, parse_query
from tidegate.targets.catalog.rules import Rule
from tidegate.targets.shapes import as_list, is_array, is_search, shown
from tidegate.testing.port_stub_rules import Document, Edge, matches
from tidegate.testing.port_stub_shapes import SentEntity, StubRefusalError, read_entity

MAX_RELATED = 100
"""The most entities that a search relation may find (Port's documentation, "Mapping relations using search
queries")."""


@dataclass(frozen=True, slots=True)
class UpsertFlags:
    """The query parameters of an upsert."""

    upsert: bool = False
    merge: bool = False
    create_missing_related_entities: bool = False
    validation_only: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class StubCatalog:
    """Blueprints by identifier, entities by ref (documents as Port answers them, plus `datasource`)."""

    now: Callable[[], datetime] = _utc_now
    blueprints: dict[str, Blueprint] = field(default_factory=dict[str, Blueprint])
    entities: dict[EntityRef, Document] = field(default_factory=dict[EntityRef, Document])

    def blueprint(self, identifier: str) -> Blueprint:
        blueprint = self.blueprints.get(identifier)
        if blueprint is None:
            raise StubRefusalError(404, "not_found", f"blueprint {identifier} was not found")
        return blueprint

    def put_blueprint(self, document: Document) -> Blueprint:
        """Create or replace a blueprint; the targets of its relations must exist."""
        try:
            blueprint = parse_blueprint(document)
        except ConfigurationError as error:
            raise StubRefusalError(422, "invalid_request", str(error)) from None
        for name, relation in blueprint.relations.items():
            if relation.target not in self.blueprints and relation.target != blueprint.identifier:
                message = f"relation {name}: blueprint {relation.target} was not found"
                raise StubRefusalError(422, "invalid_request", message)
        self.blueprints[blueprint.identifier] = blueprint
        return blueprint

    def upsert(self, name: str, document: Json, flags: UpsertFlags, author: str) -> tuple[Document, bool]:
        """Store one entity: the document as stored, and whether it is new. Raises StubRefusalError."""
        blueprint = self.blueprint(name)
        sent = read_entity(document)
        ref = EntityRef(name, self._identifier(blueprint, sent.identifier))
        old = self.entities.get(ref)
        if old is not None and not flags.upsert:
            raise StubRefusalError(409, "identifier_taken", f"entity {ref} exists; send upsert=true")
        new, missing = self._composed(blueprint, ref, sent, old if flags.merge else None, flags)
        if not flags.validation_only:
            for target in missing:
                self.entities[target] = self._stamped(_blank(target), None, author)
            self.entities[ref] = self._stamped(new, old, author)
        return new, old is None

    def delete(self, ref: EntityRef, *, dependents: bool) -> None:
        """Remove an entity, and those that require it if `dependents`. Raises StubRefusalError."""
        self.blueprint(ref.blueprint)
        if ref not in self.entities:
            raise StubRefusalError(404, "not_found", f"entity {ref} was not found")
        requiring = [source for source in self.entities if source != ref and self._requires(source, ref)]
        if requiring and not dependents:
            message = f"entity {ref} is required by {requiring[0]}; send delete_dependents=true"
            raise StubRefusalError(422, "has_dependents", message)
        del self.entities[ref]
        for source in requiring:
            if source in self.entities:
                self.delete(source, dependents=True)
        for edge_source, document in self.entities.items():
            self._forget(self.blueprints[edge_source.blueprint], document, ref)

    def search(self, query: Json) -> list[Document]:
        """Raises StubRefusalError if the query is malformed."""
        try:
            rule = parse_query(query, self.now())
        except QueryError as error:
            raise StubRefusalError(422, "invalid_request", str(error), whole=True) from None
        return self._matching(rule)

    def edges(self) -> list[Edge]:
        """Every relation between entities."""
        return [
            Edge(ref, EntityRef(relation.target, target), relation.required)
            for ref, document in self.entities.items()
            for name, relation in self.blueprints[ref.blueprint].relations.items()
            for target in as_list(document["relations"].get(name))
        ]

    def _matching(self, rule: Rule) -> list[Document]:
        return [document for document in self.entities.values() if matches(rule, document, self.edges)]

    def _lookup(self, query: Json, blueprint: str) -> list[str]:
        try:
            rule = parse_lookup(query, self.now())
        except QueryError as error:
            raise StubRefusalError(422, "invalid_request", str(error)) from None
        return [found["identifier"] for found in self._matching(rule) if found["blueprint"] == blueprint]

    def _identifier(self, blueprint: Blueprint, identifier: Json) -> str:
        if not is_search(identifier):
            return identifier
        found = self._lookup(identifier, blueprint.identifier)
        if not found:
            raise StubRefusalError(404, "not_found", "the search identifier matches no entity")
        if len(found) > 1:
            message = f"the search identifier matches {len(found)} entities, not exactly one"
            raise StubRefusalError(422, "invalid_request", message)
        return found[0]

    def _composed(
        self, blueprint: Blueprint, ref: EntityRef, sent: SentEntity, old: Document | None, flags: UpsertFlags
    ) -> tuple[Document, list[EntityRef]]:
        new = {**(old or _blank(ref)), **sent.texts}
        if "team" in sent.texts:
            new["team"] = self._team(sent.texts["team"])
        new["properties"] = {**new["properties"], **sent.properties}
        for name in blueprint.calculated & sent.properties.keys():
            del new["properties"][name]
        fault = blueprint.property_fault(new["properties"])
        if fault is not None:
            raise StubRefusalError(422, "invalid_request", fault)
        new["relations"], missing = self._relations(blueprint, ref, {**new["relations"]}, sent.relations)
        if missing and not flags.create_missing_related_entities:
            raise StubRefusalError(404, "not_found", f"related entity {missing[0]} was not found")
        return new, missing

    def _team(self, team: Json) -> list[str]:
        if is_search(team):
            self.blueprint("_team")
            return self._lookup(team, "_team")
        return as_list(team)

    def _relations(
        self, blueprint: Blueprint, ref: EntityRef, relations: Document, sent: Document
    ) -> tuple[Document, list[EntityRef]]:
        missing: list[EntityRef] = []
        for name, value in sent.items():
            relation = blueprint.relations.get(name)
            if relation is None:
                known = ", ".join(blueprint.relations) or "none"
                message = f"relation {name} is not in blueprint {blueprint.identifier} (it has: {known})"
                raise StubRefusalError(422, "invalid_request", message)
            relations[name] = self._related(name, relation, value)
            for target in as_list(relations[name]):
                other = EntityRef(relation.target, target)
                if other != ref and other not in self.entities and other not in missing:
                    missing.append(other)
        for name, relation in blueprint.relations.items():
            if relation.required and not as_list(relations.get(name)):
                raise StubRefusalError(
                    422, "invalid_request", f"relation {name} is required and has no value"
                )
        for other in missing:
            self.blueprint(other.blueprint)
        return relations, missing

    def _related(self, name: str, relation: Relation, value: Json) -> Json:
        if is_search(value):
            found = self._lookup(value, relation.target)
            limit = MAX_RELATED if relation.many else 1
            if len(found) > limit:
                message = (
                    f"relation {name}: the search finds {len(found)} entities, at most {limit} can be taken"
                )
                raise StubRefusalError(422, "invalid_request", message)
            return found if relation.many else (found[0] if found else None)
        if value is not None and relation.many != is_array(value):
            wanted = "an array of identifiers" if relation.many else "one identifier"
            raise StubRefusalError(
                422, "invalid_request", f"relation {name} takes {wanted}, not {shown(value)}"
            )
        return value

    def _stamped(self, document: Document, old: Document | None, author: str) -> Document:
        now = self.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        created = {"createdAt": now, "createdBy": author} if old is None else {}
        kept = {} if old is None else {name: old[name] for name in ("createdAt", "createdBy")}
        return {**document, **kept, **created, "updatedAt": now, "updatedBy": author, "datasource": author}

    def _requires(self, source: EntityRef, target: EntityRef) -> bool:
        relations: Document = self.entities[source]["relations"]
        return any(
            relation.required
            and relation.target == target.blueprint
            and as_list(relations.get(name)) == [target.identifier]
            for name, relation in self.blueprints[source.blueprint].relations.items()
        )

    def _forget(self, blueprint: Blueprint, document: Document, gone: EntityRef) -> None:
        for name, relation in blueprint.relations.items():
            value = document["relations"].get(name)
            if relation.target != gone.blueprint or gone.identifier not in as_list(value):
                continue
            left = [target for target in as_list(value) if target != gone.identifier]
            document["relations"] = {**document["relations"], name: left if relation.many else None}


def _blank(ref: EntityRef) -> Document:
    return {
        "identifier": ref.identifier,
        "title": None,
        "blueprint": ref.blueprint,
        "icon": None,
        "team": [],
        "properties": {},
        "relations": {},
    }
