"""What a run writes: the pure decision from mapped entities, lineage and the other writers of an entity."""

from collections.abc import Collection, Mapping

import msgspec

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.runs import EntityWrite, WriteAction


class Owner(msgspec.Struct, frozen=True):
    """Who wrote an entity: a resource config and resource key ('' for runs without one), from which event."""

    config: str
    resource_key: str
    event_seq: int


class Proposal(msgspec.Struct, frozen=True):
    """What the mapping asks for, before lineage has its say.

    `upserts`: entities whose selector passed. `exits`: items whose selector said no (a live event then
    deletes the entity). `deleted`: what the author's `deleted_raw_results` name. `incomplete`: some items came
    to nothing because the mapping failed on them, so what is missing may not be gone.
    """

    upserts: tuple[Entity, ...] = ()
    exits: tuple[Entity, ...] = ()
    deleted: tuple[Entity, ...] = ()
    incomplete: bool = False

    @property
    def candidates(self) -> frozenset[EntityRef]:
        """What might be deleted for reasons that stand in the results themselves."""
        if not self.exits and not self.deleted:
            return frozenset()
        upserted = {entity.ref for entity in self.upserts}
        return frozenset({entity.ref for entity in (*self.exits, *self.deleted)} - upserted)


class Staged(msgspec.Struct, frozen=True):
    """What the engine knows when a run is about to write.

    `previous`: what this (resource config, resource key) wrote before, empty without a resource key.
    `owners`: for each candidate and each previous entity that the run does not upsert, who else wrote it
    (this run's own source left out). `known`: those of them that this integration is known to have written.
    """

    previous: frozenset[EntityRef] = frozenset()
    owners: Mapping[EntityRef, tuple[Owner, ...]] | None = None
    known: frozenset[EntityRef] = frozenset()


class Plan(msgspec.Struct, frozen=True):
    """The upserts and deletes of a run.

    `kept`: deletes not done because someone else wrote the entity too, or because there is nothing that this
    integration could delete. `dropped`: entities that this
    source does not write any more, deleted or kept. `unknown`: candidates of which only the target can tell
    whether this integration owns them.
    """

    upserts: tuple[Entity, ...] = ()
    deletes: tuple[EntityWrite, ...] = ()
    kept: tuple[EntityWrite, ...] = ()
    dropped: tuple[EntityRef, ...] = ()
    unknown: frozenset[EntityRef] = frozenset()

    def without_deleting(self, refs: Collection[EntityRef], reason: str) -> "Plan":
        """The same plan, with the deletes of some entities not done, for a reason."""
        spared = tuple(
            EntityWrite(write.ref, WriteAction.ABSENT, f"{write.reason}, but {reason}")
            for write in self.deletes
            if write.ref in refs
        )
        deletes = tuple(write for write in self.deletes if write.ref not in refs)
        return msgspec.structs.replace(self, deletes=deletes, kept=(*self.kept, *spared))


def make_plan(proposal: Proposal, staged: Staged, newest_seq: int) -> Plan:
    """Decide what is upserted and what is deleted.

    An entity that the run upserts is never deleted by it. A selector exit, or an entity that the resource
    wrote before and does not write now, is deleted unless another source writes it too. What the author
    names as deleted is deleted unless another source wrote it from the same event or a later one: an
    entity that one processor of an event upserts is not deleted by another. If the mapping failed on some
    items, nothing is deleted for being missing.
    """
    upserts = {entity.ref: entity for entity in proposal.upserts}
    exits = {entity.ref for entity in proposal.exits}
    deleted = {entity.ref for entity in proposal.deleted}
    missing = frozenset[EntityRef]() if proposal.incomplete else staged.previous
    unwanted = (exits | deleted | missing) - upserts.keys()
    if not unwanted:
        return Plan(tuple(upserts.values()))
    owners = staged.owners or {}
    deletes: list[EntityWrite] = []
    kept: list[EntityWrite] = []
    for ref in sorted(unwanted):
        reason = _why(ref, deleted, exits)
        others = owners.get(ref, ())
        if ref in deleted:
            others = tuple(owner for owner in others if owner.event_seq >= newest_seq)
        if others:
            kept.append(EntityWrite(ref, WriteAction.KEPT, f"{reason}, but {_name(others[0])} writes it too"))
        else:
            deletes.append(EntityWrite(ref, WriteAction.DELETE, reason))
    unknown = frozenset(
        write.ref for write in deletes if write.ref not in staged.known and write.ref not in staged.previous
    )
    return Plan(tuple(upserts.values()), tuple(deletes), tuple(kept), tuple(sorted(unwanted)), unknown)


def _why(ref: EntityRef, deleted: set[EntityRef], exits: set[EntityRef]) -> str:
    if ref in deleted:
        return "the processor says that it is deleted"
    if ref in exits:
        return "the selector does not match any more"
    return "the resource does not produce it any more"


def _name(owner: Owner) -> str:
    return f"{owner.config} {owner.resource_key}".rstrip()
