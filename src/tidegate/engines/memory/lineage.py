"""Lineage: which source wrote which entity, noted before it is written, and given up when it lets go."""

from collections.abc import Collection, Mapping

from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError
from tidegate.core.lifecycle import LIVE_RUN_STATES
from tidegate.core.plans import Owner, Staged
from tidegate.core.runs import Completed, RunClaim, WriteAction
from tidegate.engines.lineage import Mark, Source, is_of_lane, is_own, source_of
from tidegate.engines.memory.claiming import holder, note_writer
from tidegate.engines.memory.rows import RunRow, Store
from tidegate.engines.overlaps import Owed, left_alone, let_go, may_be_gone


def stage(
    store: Store, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
) -> Staged:
    """Answer whose the entities are, then note this source as a writer of what it is about to write."""
    run = holder(store, claim)
    if run is None:
        raise StaleClaimError(f"run {claim.run_id} was claimed again since: its lease is over")
    source = source_of(claim)
    previous: frozenset[EntityRef] = frozenset()
    if claim.resource_key is not None:
        previous = frozenset(
            ref
            for ref, rows in store.owners.items()
            if source in rows and is_own(source, rows[source], claim)
        )
    asked = previous.union(candidates).difference(upserts)
    staged = Staged(
        previous=previous,
        owners={ref: others for ref in asked if (others := _others(store, claim, ref))},
        known=frozenset(ref for ref in asked if store.owners.get(ref)),
    )
    run.doomed |= asked - (staged.owners or {}).keys()
    note_writer(store, claim, upserts)
    return staged


def _others(store: Store, claim: RunClaim, ref: EntityRef) -> tuple[Owner, ...]:
    rows = store.owners.get(ref, {})
    return tuple(
        Owner(source.config, source.resource_key, mark.event_seq)
        for source, mark in sorted(rows.items())
        if not is_own(source, mark, claim)
    )


def shrink(
    store: Store,
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
        if ref not in late and not _is_of_another_processor(store, claim, ref, overlapped):
            owed += _drop(store, claim, ref, kept=ref in kept)
    for ref in deleted - overlapped - late:
        rows = store.owners.get(ref, {})
        store.owners[ref] = {
            source: mark
            for source, mark in rows.items()
            if mark.event_seq > claim.event.seq or _is_at_work(store, claim, source, mark)
        }
    return owed


def _drop(store: Store, claim: RunClaim, ref: EntityRef, *, kept: bool) -> list[Owed]:
    """Let go of one entity: if it is there still, somebody else has to stand for it from now on."""
    source = source_of(claim)
    rows = store.owners.get(ref, {})
    if source not in rows or not is_own(source, rows[source], claim):
        return []
    others = {writer: mark for writer, mark in rows.items() if writer != source}
    if kept and not others:
        return [Owed(claim.run_id, ref, left_alone(claim, ref))]
    del rows[source]
    if not kept:
        return []
    heir = _heir(store, others)
    return [] if heir is None else [Owed(heir.id, ref, let_go(claim, ref))]


def spare(store: Store, claim: RunClaim, run: RunRow, settled: Collection[EntityRef]) -> list[Owed]:
    """A run has ended: what it may have deleted before, and neither wrote nor deleted now, is others' to write."""
    owed: list[Owed] = []
    for ref in sorted(run.doomed.difference(settled)):
        rows = store.owners.get(ref, {})
        newest = _newest(rows) if rows else None
        if newest is None or is_of_lane(newest, rows[newest], claim):
            continue
        heir = _run_of(store, newest, rows[newest])
        if heir is not None and heir.id != run.id:
            owed.append(Owed(heir.id, ref, may_be_gone(claim, ref)))
    run.doomed = set()
    return owed


def _heir(store: Store, writers: Mapping[Source, Mark]) -> RunRow | None:
    """The run of the writer from the newest event; None if that event is forgotten."""
    newest = _newest(writers)
    return _run_of(store, newest, writers[newest])


def _newest(writers: Mapping[Source, Mark]) -> Source:
    return max(writers, key=lambda writer: (writers[writer].event_seq, writer))


def _is_of_another_processor(
    store: Store, claim: RunClaim, ref: EntityRef, overlapped: Collection[EntityRef]
) -> bool:
    """Whether another processor of the same source has just written the entity, or is about to."""
    source = source_of(claim)
    mark = store.owners.get(ref, {}).get(source)
    if mark is None or mark.processor == claim.processor:
        return False
    return ref in overlapped or _is_at_work(store, claim, source, mark)


def _is_at_work(store: Store, claim: RunClaim, source: Source, mark: Mark) -> bool:
    run = _run_of(store, source, mark)
    return run is not None and run.id != claim.run_id and run.state in LIVE_RUN_STATES


def _run_of(store: Store, source: Source, mark: Mark) -> RunRow | None:
    """The run that left a mark; None if its event is forgotten."""
    if mark.event_seq not in store.events:
        return None
    wrote = [
        run
        for run in store.links(mark.event_seq)
        if (run.processor, run.config) == (mark.processor, source.config)
    ]
    return wrote[-1] if wrote else None
