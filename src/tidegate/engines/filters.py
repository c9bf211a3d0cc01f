"""Filters become conditions. A state is written out, not bound: so partial indexes on it are used."""

from tidegate.core.inspection import EventFilter, RunFilter
from tidegate.core.lifecycle import EventState, RunState
from tidegate.engines.conditions import Conditions
from tidegate.engines.instants import optional_us
from tidegate.engines.stored import delivery_hash


def event_conditions(where: EventFilter, body: str) -> Conditions:
    """Conditions on `events`. `body` is the column in which `where.text` is looked for."""
    found = Conditions()
    found.one_of("events.id", where.ids)
    found.equal("events.path", where.path)
    if where.state is not None:
        found.add(f"events.state = '{where.state.value}'")
        if where.state is EventState.QUEUED:
            found.add("events.due_us IS NOT NULL")
    if where.delivery_id is not None:
        found.equal("events.delivery_hash", delivery_hash(where.delivery_id))
        found.equal("events.delivery_id", where.delivery_id)
    found.within("events.received_us", optional_us(where.since), optional_us(where.until))
    if where.text is not None:
        found.add(
            f"(instr({body}, ?) > 0 OR instr(events.delivery_id, ?) > 0)",
            where.text.encode(),
            where.text,
        )
    _add_run_conditions(found, where)
    return found


def _add_run_conditions(found: Conditions, where: EventFilter) -> None:
    run = Conditions()
    run.equal("runs.processor", where.processor)
    run.equal("runs.kind", where.kind)
    run.equal("runs.resource_key", where.resource_key)
    if run.texts:
        linked = "SELECT 1 FROM event_runs JOIN runs ON runs.id = event_runs.run_id"
        found.add(f"EXISTS ({linked} WHERE event_runs.event_seq = events.seq AND {run.where})", *run.values)


def run_conditions(where: RunFilter) -> Conditions:
    """Conditions on `runs`."""
    found = Conditions()
    found.one_of("runs.id", where.ids)
    if where.state is not None:
        found.add(f"runs.state = '{where.state.value}'")
        if where.state is RunState.READY:
            found.add("runs.due_us IS NOT NULL")
    found.equal("runs.path", where.path)
    found.equal("runs.processor", where.processor)
    found.equal("runs.kind", where.kind)
    if where.error is not None:
        found.add("instr(runs.detail, ?) > 0", where.error)
    found.within("runs.changed_us", optional_us(where.since), optional_us(where.until))
    return found
