"""One upsert: checked whole, then written whole. A refused entity leaves no trace."""

from dataclasses import dataclass, field

import msgspec

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Applied, ChangeOutcome, Overtaken, Refused, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.blueprints import Blueprint
from tidegate.targets.catalog.fences import Fences
from tidegate.targets.catalog.lookups import Lookups, targets
from tidegate.targets.catalog.rows import StoredEntity, object_from_json, to_json
from tidegate.targets.catalog.store import Store
from tidegate.targets.shapes import as_list, as_text, is_search, json_type

_UNSET = msgspec.UNSET


@dataclass(slots=True)
class _Relations:
    """All relations of an entity as they will be; where those lead that change; what does not exist yet."""

    values: dict[str, Json]
    changed: dict[str, list[EntityRef]] = field(default_factory=dict[str, list[EntityRef]])
    missing: list[EntityRef] = field(default_factory=list[EntityRef])


@dataclass(frozen=True, slots=True)
class Upserts:
    """Applies upserts within one transaction."""

    store: Store
    fences: Fences
    lookups: Lookups
    options: TargetOptions

    def apply(self, change: Upsert) -> ChangeOutcome:
        entity = change.entity
        blueprint = self.store.blueprint(entity.blueprint)
        if blueprint is None:
            return Refused(f"blueprint {entity.blueprint} does not exist", retryable=True)
        identifier = self.lookups.identifier(blueprint, entity.identifier)
        if isinstance(identifier, Refused):
            return identifier
        ref = EntityRef(entity.blueprint, identifier)
        old = self.store.read(ref)
        last = self.fences.last(ref, old)
        if last is not None and change.fence < last:
            return Overtaken()
        kept = old if self.options.enable_merge_entity else None
        properties = self._properties(blueprint, entity, kept)
        if isinstance(properties, Refused):
            return properties
        relations = self._relations(blueprint, ref, entity, old)
        if isinstance(relations, Refused):
            return relations
        texts = self._texts(entity, kept)
        if isinstance(texts, Refused):
            return texts
        row = self._row(change, ref, old, (*texts, properties, to_json(relations.values)))
        for target in relations.missing:
            self._insert_barebones(target)
        self._write(row, old)
        self.fences.written(row, old, last, change.fence)
        if relations.changed:
            self.store.put_edges(ref, relations.changed)
        return Applied()

    def _row(
        self,
        change: Upsert,
        ref: EntityRef,
        old: StoredEntity | None,
        content: tuple[str | None, str | None, str, str, str],
    ) -> StoredEntity:
        source, now = self.fences.source, self.fences.now_ms
        if old is None:
            return StoredEntity(*ref, change.fence, source, now, now, source, source, *content)
        created = (old.created_ms, now, old.created_by, source)
        if old.source != source and change.entity.is_search:
            # Who finds an entity by a search adds to it: it stays whose it was.
            return StoredEntity(*ref, old.fence, old.source, *created, *content)
        return StoredEntity(*ref, change.fence, source, *created, *content)

    def _write(self, row: StoredEntity, old: StoredEntity | None) -> None:
        if old is None:
            self.store.insert(row)
        elif not row.says_the_same_as(old):
            self.store.update(row)
        elif row.fence != old.fence or row.source != old.source:
            self.store.update_fence(row)

    def _texts(
        self, entity: Entity, kept: StoredEntity | None
    ) -> tuple[str | None, str | None, str] | Refused:
        title = (kept and kept.title) if entity.title is _UNSET else as_text(entity.title)
        icon = (kept and kept.icon) if entity.icon is _UNSET else as_text(entity.icon)
        for name, value in (("title", title), ("icon", icon)):
            if not isinstance(value, str | None):
                return Refused(f"{name} must be a string, not {json_type(value)}")
        if entity.team is _UNSET:
            return title, icon, "[]" if kept is None else kept.team
        team = self.lookups.team(entity.team)
        return team if isinstance(team, Refused) else (title, icon, to_json(team))

    def _properties(self, blueprint: Blueprint, entity: Entity, kept: StoredEntity | None) -> str | Refused:
        sent = {} if isinstance(entity.properties, msgspec.UnsetType) else entity.properties
        if blueprint.calculated:
            sent = {name: value for name, value in sent.items() if name not in blueprint.calculated}
        properties = sent if kept is None else {**object_from_json(kept.properties), **sent}
        fault = blueprint.property_fault(properties)
        return to_json(properties) if fault is None else Refused(fault)

    def _relations(
        self, blueprint: Blueprint, ref: EntityRef, entity: Entity, old: StoredEntity | None
    ) -> _Relations | Refused:
        before = {} if old is None else object_from_json(old.relations)
        relations = _Relations({**before} if self.options.enable_merge_entity else {})
        sent = {} if isinstance(entity.relations, msgspec.UnsetType) else entity.relations
        for name, value in sent.items():
            refused = self._take(relations, blueprint, ref, name, value)
            if refused is not None:
                return refused
        for name, relation in blueprint.relations.items():
            value = relations.values.get(name)
            if relation.required and not as_list(value):
                return Refused(
                    f"relation {name} is required by blueprint {blueprint.identifier} and leads to nothing",
                    retryable=is_search(sent.get(name)),  # it may find something later
                )
            if as_list(before.get(name)) != as_list(value):
                relations.changed[name] = targets(relation, value)
        return relations

    def _take(
        self, relations: _Relations, blueprint: Blueprint, ref: EntityRef, name: str, value: Json
    ) -> Refused | None:
        relation = blueprint.relations.get(name)
        if relation is None:
            known = ", ".join(blueprint.relations) or "none"
            return Refused(f"relation {name} is not in blueprint {blueprint.identifier} (it has: {known})")
        resolved = self.lookups.relation(name, relation, value)
        if isinstance(resolved, Refused):
            return resolved
        relations.values[name] = resolved
        for target in targets(relation, resolved):
            if target == ref or target in relations.missing or self.store.exists(target):
                continue
            if not self.options.create_missing_related_entities:
                return Refused(f"relation {name}: entity {target} does not exist", retryable=True)
            if self.store.blueprint(target.blueprint) is None:
                return Refused(
                    f"relation {name}: blueprint {target.blueprint} does not exist", retryable=True
                )
            relations.missing.append(target)
        return None

    def _insert_barebones(self, ref: EntityRef) -> None:
        """A related entity that nobody has described yet. It must not stand above what was said of it."""
        source, now = self.fences.source, self.fences.now_ms
        last = self.fences.last(ref, None)
        row = StoredEntity(*ref, last or 0, source, now, now, source, source, None, None, "[]", "{}", "{}")
        self.store.insert(row)
        self.fences.written(row, None, last, row.fence)
