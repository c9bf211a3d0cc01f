"""Lineage in the file: which source wrote which entity, noted before it is written, and given up afterwards."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError
from tidegate.core.lifecycle import LIVE_RUN_STATES, RunState
from tidegate.core.plans import Owner, Staged
from tidegate.core.runs import Completed, RunClaim, WriteAction
from tidegate.engines.lineage import Mark, Source, is_of_lane, is_own, source_of
from tidegate.engines.overlaps import Owed, left_alone, let_go, may_be_gone
from tidegate.engines.sqlite.database import Row
from tidegate.engines.sqlite.transaction import Transaction

_IS_HELD = "SELECT 1 FROM runs WHERE id = ? AND token = ? AND state = 'claimed'"
_ENTITY = "SELECT id FROM entities WHERE blueprint = ? AND identifier = ?"
_INSERT_ENTITY = "INSERT INTO entities (blueprint, identifier, stamp) VALUES (?, ?, 0)"
_SOURCE = "SELECT id FROM sources WHERE config = ? AND resource_key = ?"
_INSERT_SOURCE = "INSERT INTO sources (config, resource_key) VALUES (?, ?)"
_PREVIOUS = (
    "SELECT entities.blueprint, entities.identifier, owners.event_seq, owners.processor"
    " FROM owners JOIN entities ON entities.id = owners.entity_id WHERE owners.source_id = ?"
)
_OWNERS = (
    "SELECT sources.config, sources.resource_key, owners.event_seq, owners.processor, owners.source_id"
    " FROM owners JOIN sources ON sources.id = owners.source_id"
    " WHERE owners.entity_id = (SELECT id FROM entities WHERE blueprint = ? AND identifier = ?)"
    " ORDER BY sources.config, sources.resource_key"
)
_OWN = (
    "INSERT INTO owners (entity_id, source_id, event_seq, processor) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET event_seq = excluded.event_seq, processor = excluded.processor"
    " WHERE excluded.event_seq >= owners.event_seq"
)
_DISOWN = "DELETE FROM owners WHERE entity_id = ? AND source_id = ?"
_DOOM = "INSERT OR IGNORE INTO doomed (run_id, entity_id) VALUES (?, ?)"
_DOOMED = (
    "SELECT entities.blueprint, entities.identifier FROM doomed JOIN entities ON entities.id = doomed.entity_id"
    " WHERE doomed.run_id = ? ORDER BY entities.blueprint, entities.identifier"
)
_REPRIEVE = "DELETE FROM doomed WHERE run_id = ?"
_RUN_OF = (
    "SELECT runs.id, runs.state FROM event_runs JOIN runs ON runs.id = event_runs.run_id"
    " WHERE event_runs.event_seq = ? AND runs.processor = ? AND runs.config = ? ORDER BY runs.id DESC LIMIT 1"
)


def entity_id(tx: Transaction, ref: EntityRef) -> int:
    """The number under which an entity is kept, from now on at the latest."""
    row = tx.row(_ENTITY, ref)
    return tx.insert(_INSERT_ENTITY, ref) if row is None else row[0]


def _source_id(tx: Transaction, source: Source) -> int:
    row = tx.row(_SOURCE, source)
    return tx.insert(_INSERT_SOURCE, source) if row is None else row[0]


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
        writers = _writers(tx, ref)
        others = [writer for writer in writers if not is_own(writer.source, writer.mark, claim)]
        if writers:
            known.add(ref)
        if not others:
            tx.run(_DOOM, (claim.run_id, entity_id(tx, ref)))
        else:
            owners[ref] = tuple(Owner(*writer.source, writer.mark.event_seq) for writer in others)
    note_writer(tx, claim, upserts, source_id)
    return Staged(previous, owners, frozenset(known))


def note_writer(
    tx: Transaction, claim: RunClaim, refs: Collection[EntityRef], source_id: int | None = None
) -> None:
    """Note the claim's source as a writer of entities."""
    if refs and source_id is None:
        source_id = _source_id(tx, source_of(claim))
    for ref in refs:
        tx.run(_OWN, (entity_id(tx, ref), source_id, claim.event.seq, claim.processor))


def shrink(
    tx: Transaction,
    claim: RunClaim,
    settlement: Completed,
    overlapped: frozenset[EntityRef],
    late: frozenset[EntityRef],
) -> list[Owed]:
    """Take out what this source does not write any more. Answers the refreshes that are owed because of it.

    What an earlier claim wrote `late` may be there again: the refresh that is owed has to find it in lineage.
    """
    deleted = {write.ref for write in settlement.writes if write.action is WriteAction.DELETE}
    kept = {write.ref for write in settlement.writes if write.action is WriteAction.KEPT}
    owed: list[Owed] = []
    for ref in settlement.dropped:
        if ref not in late:
            owed += _drop(tx, claim, ref, kept=ref in kept, overlapped=ref in overlapped)
    for ref in deleted - overlapped - late:
        for writer in _writers(tx, ref):
            if writer.mark.event_seq <= claim.event.seq and not _is_at_work(tx, claim, writer):
                tx.run(_DISOWN, (entity_id(tx, ref), writer.source_id))
    return owed


class _Writer(NamedTuple):
    """A row of lineage."""

    source: Source
    mark: Mark
    source_id: int


def _writers(tx: Transaction, ref: EntityRef) -> list[_Writer]:
    return [
        _Writer(Source(config, resource_key), Mark(event_seq, processor), source_id)
        for config, resource_key, event_seq, processor, source_id in tx.rows(_OWNERS, ref)
    ]


def _drop(
    tx: Transaction, claim: RunClaim, ref: EntityRef, *, kept: bool, overlapped: bool
) -> Iterator[Owed]:
    """Let go of one entity: if it is there still, somebody else has to stand for it from now on."""
    source, writers = source_of(claim), _writers(tx, ref)
    others = [writer for writer in writers if writer.source != source]
    for own in writers:
        if own.source != source or not is_own(source, own.mark, claim):
            continue
        if own.mark.processor != claim.processor and (overlapped or _is_at_work(tx, claim, own)):
            continue  # another processor of the same source has just written it, or is about to
        if kept and not others:
            yield Owed(claim.run_id, ref, left_alone(claim, ref))
            continue
        tx.run(_DISOWN, (entity_id(tx, ref), own.source_id))
        if kept:
            run = _run_of(tx, _heir(others))
            if run is not None:
                yield Owed(run[0], ref, let_go(claim, ref))


def spare(tx: Transaction, claim: RunClaim, settled: Collection[EntityRef]) -> list[Owed]:
    """A run has ended: what it may have deleted before, and neither wrote nor deleted now, is others' to write."""
    doomed = [EntityRef(*row) for row in tx.rows(_DOOMED, (claim.run_id,))]
    owed: list[Owed] = []
    for ref in doomed:
        writers = [] if ref in settled else _writers(tx, ref)
        heir = _heir(writers) if writers else None
        if heir is None or is_of_lane(heir.source, heir.mark, claim):
            continue
        run = _run_of(tx, heir)
        if run is not None and run[0] != claim.run_id:
            owed.append(Owed(run[0], ref, may_be_gone(claim, ref)))
    if doomed:
        tx.run(_REPRIEVE, (claim.run_id,))
    return owed


def _heir(writers: list[_Writer]) -> _Writer:
    """The writer from the newest event."""
    return max(writers, key=lambda writer: (writer.mark.event_seq, writer.source))


def _is_at_work(tx: Transaction, claim: RunClaim, writer: _Writer) -> bool:
    run = _run_of(tx, writer)
    return run is not None and run[0] != claim.run_id and RunState(run[1]) in LIVE_RUN_STATES


def _run_of(tx: Transaction, writer: _Writer) -> Row | None:
    """Id and state of the run that left a mark; None if its event is forgotten."""
    return tx.row(_RUN_OF, (writer.mark.event_seq, writer.mark.processor, writer.source.config))
