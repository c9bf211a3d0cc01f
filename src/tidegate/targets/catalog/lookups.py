"""What an entity refers to, resolved against the catalog: search identifiers, relations, teams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UnsetType

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Change, Delete, Refused
from tidegate.targets.catalog.blueprints import Blueprint, Relation
from tidegate.targets.catalog.rule_parsing import QueryError, parse_lookup
from tidegate.targets.catalog.store import Store
from tidegate.targets.shapes import as_list, as_text, identifier_fault, is_array, is_search, json_type, shown

MAX_RELATED = 100
"""The most entities that a search relation may find (Port's documentation, "Mapping relations using search
queries")."""

TEAM_BLUEPRINT = "_team"


@dataclass(frozen=True, slots=True)
class Lookups:
    """Resolves references as of one transaction. What cannot be resolved is Refused, with the reason."""

    store: Store
    now: datetime

    def identifier(self, blueprint: Blueprint, identifier: Json) -> str | Refused:
        """The identifier that an entity is stored under. A search must find exactly one entity."""
        if not is_search(identifier):
            text = as_text(identifier)
            fault = identifier_fault(text)
            return text if fault is None else Refused(fault)
        found = self._search(identifier, blueprint.identifier, 2)
        if isinstance(found, Refused):
            return found
        if not found:
            return Refused(f"the search identifier {shown(identifier)} finds no entity", retryable=True)
        if len(found) > 1:
            return Refused(f"the search identifier {shown(identifier)} finds more than one entity")
        return found[0]

    def team(self, team: Json) -> list[str] | Refused:
        """The teams that own an entity."""
        if is_search(team):
            if self.store.blueprint(TEAM_BLUEPRINT) is None:
                return Refused(
                    f"team is a search, and blueprint {TEAM_BLUEPRINT} does not exist", retryable=True
                )
            return self._search(team, TEAM_BLUEPRINT, MAX_RELATED)
        teams = as_list(team)
        names = [name for name in teams if isinstance(name, str)]
        if len(names) != len(teams):
            return Refused(f"team must be a string, an array of strings or a search query, not {shown(team)}")
        return names

    def relation(self, name: str, relation: Relation, value: Json) -> Json | Refused:
        """The identifier, or for a relation to many the array of identifiers, that a relation leads to."""
        if is_search(value):
            limit = MAX_RELATED if relation.many else 1
            found = self._search(value, relation.target, limit + 1)
            if isinstance(found, Refused):
                return found
            if len(found) > limit:
                return Refused(
                    f"relation {name}: the search finds more than {limit} entities of {relation.target}"
                )
            return found if relation.many else next(iter(found), None)
        if value is None:
            return [] if relation.many else None
        if relation.many != is_array(value):
            wanted = "an array of identifiers" if relation.many else "one identifier"
            return Refused(f"relation {name} takes {wanted}, not {json_type(value)}")
        identifiers = [as_text(item) for item in as_list(value)]
        for identifier in identifiers:
            fault = identifier_fault(identifier)
            if fault is not None:
                return Refused(f"relation {name}: {fault}")
        return identifiers if relation.many else identifiers[0]

    def _search(self, query: Json, blueprint: str, limit: int) -> list[str] | Refused:
        try:
            rule = parse_lookup(query, self.now)
        except QueryError as error:
            return Refused(str(error))
        return self.store.find(blueprint, rule, limit)


def targets(relation: Relation, value: Json) -> list[EntityRef]:
    """The entities that a resolved relation leads to."""
    return [EntityRef(relation.target, identifier) for identifier in as_list(value)]


def named_entities(changes: Sequence[Change], store: Store) -> frozenset[EntityRef]:
    """The entities that changes name, without what their searches find."""
    refs: set[EntityRef] = set()
    for change in changes:
        if isinstance(change, Delete):
            refs.add(change.ref)
            continue
        entity, blueprint = change.entity, store.blueprint(change.entity.blueprint)
        refs |= _named(entity.blueprint, entity.identifier)
        if blueprint is None or isinstance(entity.relations, UnsetType):
            continue
        for name, value in entity.relations.items():
            relation = blueprint.relations.get(name)
            if relation is not None:
                refs |= {ref for item in as_list(value) for ref in _named(relation.target, item)}
    return frozenset(refs)


def _named(blueprint: str, identifier: Json) -> set[EntityRef]:
    text = as_text(identifier)
    return {EntityRef(blueprint, text)} if identifier_fault(text) is None else set()
