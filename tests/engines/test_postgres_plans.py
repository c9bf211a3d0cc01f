"""What the server engine's verbs read does not grow with what is stored: no table is walked through, and each call at
a backlog of 100,000, with as many finished events, reads as many rows and index entries as at 1,000.

PostgreSQL itself counts what a transaction reads, by table and index, in the statements inside of the verbs too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from msgspec import structs

from bench.postgres import BACKLOG
from tests.postgres import emptied, on_postgres, server, take_schema
from tidegate.app.clock import SystemClock
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import IncomingEvent
from tidegate.core.inspection import EventFilter, Page, RunFilter
from tidegate.core.runs import Completed, EntityWrite, Retry, Routing, RunRequest, WriteAction, lane_of
from tidegate.engines.inspecting import (
    event_detail,
    find_events,
    find_runs,
    headers_of_run,
    run_detail,
    writes_of,
)
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.events import claim_events, enqueue, give_back_events, route
from tidegate.engines.postgres.horizon import Horizon
from tidegate.engines.postgres.inspecting import TEXTS, backlog
from tidegate.engines.postgres.lineage import StageCall, stage
from tidegate.engines.postgres.mending import Prunes, dead_runs, mend
from tidegate.engines.postgres.reader import Look, settings_of
from tidegate.engines.postgres.runs import claim_runs, renew
from tidegate.engines.postgres.settling import SettleCall, refresh, settle
from tidegate.engines.searching import answer_later
from tidegate.postgres import Connections, Release, Row

MakeEvent = Callable[..., IncomingEvent]

SMALL = 1_000
LARGE = 100_000
CALLS = 10
SLACK = 1.5
"""Trees of 100,000 are not as deep everywhere as those of 1,000."""

HISTORY = """
SET search_path = {schema};
CREATE TEMP TABLE old AS SELECT nextval('event_seqs') AS seq, number FROM generate_series(1, {events}) AS number;
INSERT INTO events (seq, received_us, size_bytes, id, path, trace_id, headers, body, delivery_id, delivery_hash)
    SELECT seq, 1763000000000000 + number, 20, 'old-event-' || number, '/webhook', '0', '{{}}', '{{}}',
        'd' || number, number FROM old;
INSERT INTO event_states (seq, state, finished_us) SELECT seq, 'applied', 1763000000000000 + number FROM old;
INSERT INTO runs (id, created_us, changed_us, finished_us, newest_seq, holds_lane, state, processor, config, kind,
    resource_key, lane, path, detail, token)
    SELECT nextval('run_ids'), 0, 0, 1763000000000000, seq, false, CASE WHEN number % 50 = 0 THEN 'dead' ELSE 'applied' END,
        'IssueProcessor', 'issue', 'issue', 'DONE-' || number, 'done' || number, '/webhook', '', number FROM old;
INSERT INTO event_runs (event_seq, run_id) SELECT newest_seq, id FROM runs WHERE finished_us IS NOT NULL;
UPDATE event_states SET state = 'dead' FROM runs WHERE runs.state = 'dead' AND event_states.seq = runs.newest_seq;
INSERT INTO attempts (token, run_id, started_us, finished_us, outcome, detail)
    SELECT token, id, 0, 0, 'completed', '' FROM runs WHERE finished_us IS NOT NULL;
INSERT INTO entities (stamp, run_id, blueprint, identifier)
    SELECT token, id, 'issue', resource_key FROM runs WHERE finished_us IS NOT NULL;
INSERT INTO writes (seq, entity_id, run_id, event_seq, at_us, action, reason)
    SELECT nextval('write_seqs'), entities.id, run_id, newest_seq, 0, 'upsert', ''
    FROM entities JOIN runs ON runs.id = entities.run_id;
INSERT INTO sources (config, resource_key) SELECT config, resource_key FROM runs WHERE finished_us IS NOT NULL;
INSERT INTO owners (entity_id, source_id, event_seq, processor)
    SELECT entities.id, sources.id, newest_seq, processor FROM entities JOIN runs ON runs.id = entities.run_id
    JOIN sources ON sources.config = runs.config AND sources.resource_key = runs.resource_key;
INSERT INTO counters (backend, dead_runs) VALUES (1, {events} / 50);
DROP TABLE old;
"""

LOOKS = frozenset({"backlog", "dead_runs"})
"""They are planned anew each time, and a server that still takes the tables for empty may sort instead."""

READS = """
SELECT relname, pg_stat_get_xact_numscans(pg_class.oid), pg_stat_get_xact_tuples_returned(pg_class.oid)
FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'i')
"""
FEW_ROWS = frozenset({"processors", "counters", "verb_schemas", "schema_versions"})


@dataclass
class OneTransaction(Connections):
    """Calls verbs in one transaction, and counts what each call reads."""

    connection: Any = None
    schema: str = ""
    found: dict[str, dict[str, int]] = field(default_factory=dict)

    async def rows(
        self, query: str, values: Mapping[str, Any] | None = None, *, seconds: float = 0
    ) -> list[Row]:
        cursor = self.connection.cursor(binary=True)
        await cursor.execute(query, values)
        return await cursor.fetchall() if cursor.description else []

    async def _counts(self) -> dict[str, tuple[int, int]]:
        cursor = await self.connection.execute(READS, (self.schema,))
        return {name: (scans, rows) for name, scans, rows in await cursor.fetchall()}

    async def counted(self, name: str, work: Awaitable[Any]) -> Any:
        """What it answers. What it read from tables as a whole, and by indexes, is found under the name."""
        before = await self._counts()
        result = await work
        after = await self._counts()
        reads = {of: after[of][1] - before[of][1] for of in after if after[of] != before[of]}
        self.found[name] = {of: rows for of, rows in reads.items() if of not in FEW_ROWS}
        return result


@asynccontextmanager
async def filled(events: int, analyzed: str) -> AsyncIterator[str]:
    """A schema with so many events that are done, and so many that wait, `analyzed` at some time."""
    async with emptied(take_schema()) as schema:
        async with on_postgres(SystemClock(), schema):
            pass
        async with await psycopg.AsyncConnection.connect(server().url(), autocommit=True) as connection:
            for time, script in (("empty", ""), ("done", HISTORY), ("waiting", BACKLOG)):
                await connection.execute(script.format(schema=schema, events=events))
                if time == analyzed:
                    await connection.execute("ANALYZE")
        yield schema


@asynccontextmanager
async def one_transaction(schema: str) -> AsyncIterator[tuple[OneTransaction, Verbs]]:
    async with on_postgres(SystemClock(), schema) as engine:
        address = engine._connections.address
    release = Release.of("tidegate.engines.postgres", schema)
    async with await psycopg.AsyncConnection.connect(server().url()) as connection:
        one = OneTransaction(address, 1, connection=connection, schema=schema)
        yield one, Verbs(one, release, 30.0, 10_000_000, None)
        await connection.rollback()


async def reads_at(events: int, analyzed: str, make_event: MakeEvent) -> dict[str, dict[str, int]]:
    """By verb: what it read."""
    async with filled(events, analyzed) as schema, one_transaction(schema) as (one, verbs):
        new_id = await _work(one, verbs, make_event)
        await _mend(one, verbs)
        await one.connection.execute(settings_of(verbs.release))
        await _look(one, new_id)
        return one.found


async def _work(one: OneTransaction, verbs: Verbs, make_event: MakeEvent) -> str:
    horizon = Horizon(SystemClock().monotonic, 0.0)
    sent = [make_event(delivery_id=f"new-{number}") for number in range(CALLS)]
    again = [structs.replace(event, id=f"again-{event.id}") for event in sent]
    await one.counted("enqueue", enqueue(verbs, sent))
    await one.counted("enqueue duplicates", enqueue(verbs, again))
    await one.counted("look_low", horizon.look(verbs))
    await one.counted("look_low again", horizon.look(verbs))
    lent = await one.counted("claim_events", claim_events(verbs, horizon.lows, CALLS))
    back = await claim_events(verbs, horizon.lows, CALLS)
    await one.counted("give_back_events", give_back_events(verbs, back.claims))
    routings = [
        (
            claim,
            Routing(
                (
                    RunRequest(
                        "IssueProcessor", "issue", "issue", key, lane_of("IssueProcessor", "issue", key)
                    ),
                )
            ),
        )
        for claim in lent.claims
        for key in (f"NEW-{claim.event.seq % 3}",)
    ]
    await one.counted("route", route(verbs, routings))
    runs = await one.counted("claim_runs", claim_runs(verbs, horizon.lows, CALLS, (), ""))
    await one.counted("renew", renew(verbs, runs.claims))
    writes = [
        EntityWrite(EntityRef("issue", name), WriteAction.UPSERT, entity=Entity(name, "issue"))
        for name in (f"made-{claim.run_id}" for claim in runs.claims)
    ]
    staged = [StageCall(claim, {write.ref}, ()) for claim, write in zip(runs.claims, writes, strict=True)]
    await one.counted("stage", stage(verbs, staged))
    settled = [
        SettleCall(claim, Retry(1.0, "again", (write,)) if number % 3 == 0 else Completed((write,)))
        for number, (claim, write) in enumerate(zip(runs.claims, writes, strict=True))
    ]
    await one.counted("settle", settle(verbs, settled))
    await one.counted("refresh", refresh(verbs, runs.claims[1], (writes[1],)))
    return sent[0].id


async def _mend(one: OneTransaction, verbs: Verbs) -> None:
    await one.connection.execute(f'SET LOCAL search_path = "{verbs.release.verbs_schema}", "{one.schema}"')
    look = Look(one.connection)
    dead = await one.counted("dead_runs", dead_runs(look, RunFilter(), CALLS))
    await one.counted("redrive", mend(verbs, "redrive", dead))
    dead = await dead_runs(look, RunFilter(), CALLS)
    await one.counted("discard", mend(verbs, "discard", dead))
    prunes = Prunes()
    await one.counted("prune", prunes.prune(verbs, SystemClock().now(), CALLS))
    await one.counted("prune on", prunes.prune(verbs, SystemClock().now(), CALLS))


async def _look(one: OneTransaction, event_id: str) -> None:
    look = Look(one.connection)
    ref = EntityRef("issue", "DONE-500")
    await one.counted("backlog", backlog(look, None))
    page = Page(limit=CALLS)
    asked = {
        "event": event_detail(TEXTS, "old-event-500"),
        "event by its beginning": event_detail(TEXTS, event_id[:8]),
        "events": find_events(TEXTS, EventFilter(), page),
        "runs": find_runs(RunFilter(), page),
        "run": run_detail(TEXTS, 500),
        "writes": writes_of(TEXTS, ref, page),
        "headers": headers_of_run(TEXTS, 500, CALLS),
    }
    for name, search in asked.items():
        await one.counted(name, answer_later(search, look.rows))


@pytest.mark.slow
@pytest.mark.parametrize("analyzed", ["empty", "done", "waiting"])
def test_no_verb_reads_more_because_more_is_stored(analyzed: str, make_event: MakeEvent) -> None:
    async def check() -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
        return await reads_at(SMALL, analyzed, make_event), await reads_at(LARGE, analyzed, make_event)

    small, large = asyncio.run(check())
    tables = {
        "events",
        "event_states",
        "runs",
        "event_runs",
        "attempts",
        "entities",
        "writes",
        "sources",
        "owners",
    }
    assert set(small) == set(large)
    walked = {
        name: reads
        for name, found in large.items()
        if (reads := {t: n for t, n in found.items() if t in tables})
    }
    assert walked == {}
    looks = LOOKS if analyzed == "empty" else frozenset()
    more = {
        name: (total, before)
        for name, found in large.items()
        if name not in looks
        and (total := sum(found.values())) > (before := sum(small[name].values())) * SLACK
    }
    assert more == {}
    assert all(sum(found.values()) for found in small.values())
