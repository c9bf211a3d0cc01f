"""Lineage in the file: which source wrote which entity, noted before it is written."""

from collections.abc import Collection, Iterable

from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError
from tidegate.core.plans import Owner, Staged
from tidegate.core.runs import Completed, RunClaim, WriteAction
from tidegate.engines.lineage import Mark, Source, is_own, source_of
from tidegate.engines.sqlite.transaction import Transaction

_IS_HELD = "SELECT 1 FROM runs WHERE id = ? AND token = ? AND state = 'claimed'"
_ENTITY = "SELECT id FROM entities WHERE blueprint = ? AND identifier = ?"
_INSERT_ENTITY = "INSERT INTO entities (blueprint, identifier, stamp) VALUES (?, ?, 0) RETURNING id"
_SOURCE = "SELECT id FROM sources WHERE config = ? AND resource_key = ?"
_INSERT_SOURCE = "INSERT INTO sources (config, resource_key) VALUES (?, ?) RETURNING id"
_PREVIOUS = (
    "SELECT entities.blueprint, entities.identifier, owners.event_seq, owners.processor"
    " FROM owners JOIN entities ON entities.id = owners.entity_id WHERE owners.source_id = ?"
)
_OWNERS = (
    "SELECT sources.config, sources.resource_key, owners.event_seq, owners.processor"
    " FROM owners JOIN sources ON sources.id = owners.source_id"
    " WHERE owners.entity_id = (SELECT id FROM entities WHERE blueprint = ? AND identifier = ?)"
    " ORDER BY sources.config, sources.resource_key"
)
_OWN = (
    "INSERT INTO owners (entity_id, source_id, event_seq, processor) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET event_seq = excluded.event_seq, processor = excluded.processor"
    " WHERE excluded.event_seq >= owners.event_seq"
)
_ROW = "SELECT event_seq, processor FROM owners WHERE entity_id = ? AND source_id = ?"
_DISOWN = "DELETE FROM owners WHERE entity_id = ? AND source_id = ?"
_DISOWN_ALL = "DELETE FROM owners WHERE entity_id = ? AND event_seq <= ?"


def entity_id(tx: Transaction, ref: EntityRef) -> int:
    """The number under which an entity is kept, from now on at the latest."""
    row = tx.row(_ENTITY, ref) or tx.row(_INSERT_ENTITY, ref)
    assert row is not None  # noqa: S101 - an INSERT with RETURNING has a row
    return row[0]


def _source_id(tx: Transaction, source: Source) -> int:
    row = tx.row(_SOURCE, source) or tx.row(_INSERT_SOURCE, source)
    assert row is not None  # noqa: S101 - as above
    return row[0]


def stage(
    tx: Transaction, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
) -> Staged:
    """Answer whose the entities are, then note this source as a writer of what it is about to write."""
    if tx.row(_IS_HELD, (claim.run_id, claim.token)) is None:
        raise StaleClaimError(f"run {claim.run_id} was claimed again since: its lease is over")
    source = source_of(claim)
    source_id = _source_id(tx, source)
    previous: frozenset[EntityRef] = frozenset()
    if claim.resource_key is not None:
        previous = frozenset(
            EntityRef(blueprint, identifier)
            for blueprint, identifier, *mark in tx.rows(_PREVIOUS, (source_id,))
            if is_own(source, Mark(*mark), claim)
        )
    owners: dict[EntityRef, tuple[Owner, ...]] = {}
    known: set[EntityRef] = set()
    for ref in previous.union(candidates).difference(upserts):
        rows = [(Source(*row[:2]), Mark(*row[2:])) for row in tx.rows(_OWNERS, ref)]
        others = [(row, mark) for row, mark in rows if not is_own(row, mark, claim)]
        if rows:
            known.add(ref)
        if others:
            owners[ref] = tuple(Owner(*row, mark.event_seq) for row, mark in others)
    for ref in upserts:
        tx.run(_OWN, (entity_id(tx, ref), source_id, claim.event.seq, claim.processor))
    return Staged(previous, owners, frozenset(known))


def shrink(tx: Transaction, claim: RunClaim, settlement: Completed) -> None:
    """Take out what this source does not write any more, and all writers of what was deleted."""
    if settlement.dropped:
        _drop(tx, claim, settlement.dropped)
    for write in settlement.writes:
        if write.action is WriteAction.DELETE:
            tx.run(_DISOWN_ALL, (entity_id(tx, write.ref), claim.event.seq))


def _drop(tx: Transaction, claim: RunClaim, refs: Iterable[EntityRef]) -> None:
    source = source_of(claim)
    source_id = _source_id(tx, source)
    for ref in refs:
        key = (entity_id(tx, ref), source_id)
        row = tx.row(_ROW, key)
        if row is not None and is_own(source, Mark(*row), claim):
            tx.run(_DISOWN, key)
