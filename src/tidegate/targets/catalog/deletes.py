"""One delete: the entity goes, and with it (if the options say so) what requires it; other relations to it end."""

from dataclasses import dataclass

from tidegate.core.entities import EntityRef
from tidegate.core.ports import Applied, ChangeOutcome, Delete, Overtaken, Refused
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.blueprints import Relation
from tidegate.targets.catalog.fences import Fences
from tidegate.targets.catalog.rows import StoredEntity, object_from_json, to_json
from tidegate.targets.catalog.store import Store
from tidegate.targets.shapes import as_list


@dataclass(frozen=True, slots=True)
class Deletes:
    """Applies deletes within one transaction."""

    store: Store
    fences: Fences
    options: TargetOptions

    def apply(self, change: Delete) -> ChangeOutcome:
        row = self.store.read(change.ref)
        last = self.fences.last(change.ref, row)
        if last is not None and change.fence < last:
            return Overtaken()
        if row is None:
            self.fences.removed(change.ref, None, change.fence)
            return Applied()
        requiring = self._requiring(change.ref)
        if requiring and not self.options.delete_dependent_entities:
            return Refused(
                f"{requiring[0]} requires this entity (set deleteDependentEntities to delete both)",
                retryable=True,  # its own delete may be on the way
            )
        self._remove(row, change.fence)
        return Applied()

    def _remove(self, row: StoredEntity, fence: int) -> None:
        waiting = [row]
        while waiting:
            gone = waiting.pop()
            current = self.store.read(gone.ref)
            if current is None:
                continue  # two ways led to it
            self.store.remove(current.ref)
            own = current.source == self.fences.source
            self.fences.removed(current.ref, current, max(current.fence, fence) if own else fence)
            for source in self._end_relations(current.ref):
                dependent = self.store.read(source)
                if dependent is not None:
                    waiting.append(dependent)

    def _requiring(self, target: EntityRef) -> list[EntityRef]:
        """The entities that cannot be without this one."""
        if not self.store.may_be_related(target.blueprint):
            return []
        return [
            source
            for source, name in self.store.dependents(target)
            if source != target and self._requires(source, name, target)
        ]

    def _requires(self, source: EntityRef, name: str, target: EntityRef) -> bool:
        relation, row = self._relation(source, name), self.store.read(source)
        if relation is None or row is None or not relation.required:
            return False
        return as_list(object_from_json(row.relations).get(name)) == [target.identifier]

    def _end_relations(self, target: EntityRef) -> list[EntityRef]:
        """Take the target out of every relation to it; the entities that required it, which have to go."""
        if not self.store.may_be_related(target.blueprint):
            return []
        requiring: list[EntityRef] = []
        for source, name in self.store.dependents(target):
            if self._requires(source, name, target):
                requiring.append(source)
            else:
                self._end_relation(source, name, target)
        return requiring

    def _end_relation(self, source: EntityRef, name: str, target: EntityRef) -> None:
        relation, row = self._relation(source, name), self.store.read(source)
        if relation is None or row is None:
            return
        relations = object_from_json(row.relations)
        left = [identifier for identifier in as_list(relations.get(name)) if identifier != target.identifier]
        relations[name] = left if relation.many else None
        changed = row._replace(
            relations=to_json(relations), updated_ms=self.fences.now_ms, updated_by=self.fences.source
        )
        self.store.update(changed)
        self.store.put_edges(source, {name: [EntityRef(relation.target, identifier) for identifier in left]})

    def _relation(self, source: EntityRef, name: str) -> Relation | None:
        blueprint = self.store.blueprint(source.blueprint)
        return None if blueprint is None else blueprint.relations.get(name)
