"""Looking: listings and details. As searches, these are generators that yield what to ask: see `searching`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tidegate.core.entities import EntityRef
from tidegate.core.events import EventHeaders
from tidegate.core.inspection import (
    EventDetail,
    EventFilter,
    EventRecord,
    Page,
    RunDetail,
    RunFilter,
    RunRecord,
    WriteRecord,
)
from tidegate.core.lifecycle import RunState
from tidegate.engines.conditions import Conditions
from tidegate.engines.filters import event_conditions, run_conditions
from tidegate.engines.lookups import ambiguous, check_prefix, no_event, no_run
from tidegate.engines.records import (
    EVENT_RECORD,
    EVENT_RUNS,
    RUN_RECORD,
    Row,
    attempt_record,
    event_record,
    run_record,
    write_record,
)
from tidegate.engines.searching import EventTables, Question, Search
from tidegate.engines.settlements import RUNNING
from tidegate.engines.stored import UnreadableError, decode_all_headers, read_event

# ruff: noqa: S608 - the texts are this module's own, values are bound

_EVENT_RECORD_COLUMNS = 10
_NO_BOUND = 2**63 - 1
_SEQ = "SELECT seq FROM events WHERE id = ?"
_SEQS_BETWEEN = "SELECT seq FROM events WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
_LAST_CHARACTER = "\U0010ffff"
_RUN = f"SELECT {RUN_RECORD} FROM runs WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Texts:
    """What engines ask in words of their own.

    `event` answers EVENT_RECORD and what `read_event` takes, by number; `run_events` EVENT_RECORD of a run's events,
    newest first; `attempts` and `running` ATTEMPT_RECORD of a run's ended attempts, and of the one at work, whose outcome
    is the first value; `run_writes` and `entity_writes` WRITE_RECORD, by run in order, and by blueprint, identifier,
    number before which, and limit, newest first; `headers` those of a run's events, newest first, by run and limit.
    """

    tables: EventTables
    event: str
    run_events: str
    attempts: str
    running: str
    run_writes: str
    entity_writes: str
    headers: str


def find_events(texts: Texts, where: EventFilter, page: Page) -> Search[list[EventRecord]]:
    """Events that match, newest first."""
    tables = texts.tables
    conditions = event_conditions(where, tables.body)
    searched = tables.events if where.text is None else tables.with_bodies
    rows = yield _page(f"SELECT {EVENT_RECORD} FROM {searched}", "events.seq", conditions, page)
    return [event_record(row) for row in rows]


def find_runs(where: RunFilter, page: Page) -> Search[list[RunRecord]]:
    """Runs that match, newest first."""
    rows = yield _page(f"SELECT {RUN_RECORD} FROM runs", "runs.id", run_conditions(where), page)
    return [run_record(row) for row in rows]


def _page(select: str, number: str, conditions: Conditions, page: Page) -> Question:
    if page.before is not None:
        conditions.add(f"{number} < ?", page.before)
    query = f"{select} WHERE {conditions.where} ORDER BY {number} DESC LIMIT ?"
    return Question(query, (*conditions.values, max(page.limit, 0)))


def event_detail(texts: Texts, event_id: str) -> Search[EventDetail]:
    """An event by its id or an unambiguous beginning of it. Raises NotFoundError.

    What cannot be read is shown as empty: its reason, or its run's, says so.
    """
    seq = yield from _seq_of(event_id)
    rows = yield Question(texts.event, (seq,))
    if not rows:
        raise no_event(event_id)
    record = event_record(rows[0][:_EVENT_RECORD_COLUMNS])
    headers, body, trace_id = EventHeaders(), b"", ""
    with suppress(UnreadableError):
        stored = read_event(rows[0][_EVENT_RECORD_COLUMNS:])
        headers, body, trace_id = stored.headers, stored.body, stored.trace_id
    found = yield Question(EVENT_RUNS, (record.seq,))
    runs = tuple(run_record(run) for run in found)
    return EventDetail(
        record=record,
        headers=headers,
        body=body,
        trace_id=trace_id,
        runs=runs,
        carried=frozenset(run.id for run in runs if run.event_seq == record.seq),
    )


def _seq_of(event_id: str) -> Search[int]:
    exact = yield Question(_SEQ, (event_id,))
    if exact:
        return exact[0][0]
    check_prefix(event_id)
    found = yield Question(_SEQS_BETWEEN, (event_id, event_id + _LAST_CHARACTER))
    if not found:
        raise no_event(event_id)
    if len(found) > 1:
        raise ambiguous(event_id)
    return found[0][0]


def run_detail(texts: Texts, run_id: int) -> Search[RunDetail]:
    """A run with all that belongs to it. Raises NotFoundError."""
    runs = yield Question(_RUN, (run_id,))
    if not runs:
        raise no_run(run_id)
    record = run_record(runs[0])
    attempts: Sequence[Row] = yield Question(texts.attempts, (run_id,))
    if record.state is RunState.CLAIMED:
        attempts = [*attempts, *(yield Question(texts.running, (RUNNING, run_id)))]
    writes = yield Question(texts.run_writes, (run_id,))
    events = yield Question(texts.run_events, (run_id,))
    return RunDetail(
        record=record,
        attempts=tuple(attempt_record(number, attempt) for number, attempt in enumerate(attempts, start=1)),
        writes=tuple(write_record(write) for write in writes),
        events=tuple(event_record(event) for event in events),
    )


def writes_of(texts: Texts, ref: EntityRef, page: Page) -> Search[list[WriteRecord]]:
    """What was done to an entity, newest first."""
    before = _NO_BOUND if page.before is None else page.before
    rows = yield Question(texts.entity_writes, (*ref, before, max(page.limit, 0)))
    return [write_record(row) for row in rows]


def headers_of_run(texts: Texts, run_id: int, limit: int) -> Search[list[EventHeaders]]:
    """Those of the events that a run stands for, newest first."""
    rows = yield Question(texts.headers, (run_id, limit))
    return decode_all_headers(headers for (headers,) in rows)
