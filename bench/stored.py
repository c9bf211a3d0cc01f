"""Fills an engine's file with a past: events, runs, attempts, writes and dead letters, straight into the tables."""

import random
import time
from pathlib import Path

import msgspec

from tidegate.engines.sqlite.database import Database, Value
from tidegate.engines.sqlite.schema import open_writer

BATCH = 20_000
DEAD_EVERY = 200
IGNORED_EVERY = 10
ENTITIES = 100_000
SPAN_US = 72 * 3600 * 1_000_000

_EVENT = (
    "INSERT INTO events (seq, id, path, state, token, expirations, received_us, finished_us, size_bytes,"
    " delivery_id, delivery_hash, reason) VALUES (?, ?, '/webhook', ?, ?, 0, ?, ?, ?, ?, ?, ?)"
)
_BODY = "INSERT INTO event_bodies (seq, trace_id, headers, body) VALUES (?, ?, ?, ?)"
_RUN = (
    "INSERT INTO runs (id, state, token, failures, expirations, newest_seq, event_count, created_us, changed_us,"
    " finished_us, processor, config, kind, resource_key, path, detail)"
    " VALUES (?, ?, ?, ?, 0, ?, 1, ?, ?, ?, 'IssueProcessor', 'issue', 'issue', ?, '/webhook', ?)"
)
_LINK = "INSERT INTO event_runs (event_seq, run_id) VALUES (?, ?)"
_ATTEMPT = (
    "INSERT INTO attempts (token, run_id, started_us, finished_us, outcome, detail, first_write, write_count, trail,"
    " fetched) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WRITE = (
    "INSERT INTO writes (seq, entity_id, run_id, event_seq, at_us, action, reason, document)"
    " VALUES (?, ?, ?, ?, ?, 'upsert', '', ?)"
)
_ENTITY = "INSERT INTO entities (id, blueprint, identifier, stamp) VALUES (?, 'issue', ?, 0)"
_HEADERS = msgspec.json.encode({"content-type": "application/json", "user-agent": "tracker/1.0"})
_TRAIL = msgspec.json.encode(
    [
        [[name, 0.002, ""] for name in ("load", "authenticate", "validate", "fetch", "map", "plan", "write")],
        [],
    ]
)


def fill(path: Path, events: int, body_bytes: int = 1_000) -> None:
    """Store that many finished events, the newest of just now, and what came of them."""
    from tidegate.engines.sqlite.events import delivery_hash

    database = open_writer(path)
    database.pragma("synchronous", "off")  # this file is thrown away if anything fails
    draw = random.Random(5)
    began_us = time.time_ns() // 1_000 - SPAN_US
    token = database.row("SELECT token FROM counters")
    assert token is not None
    padding = "x" * body_bytes
    _entities(database)
    for first in range(1, events + 1, BATCH):
        database.run("BEGIN")
        for seq in range(first, min(first + BATCH, events + 1)):
            at_us = began_us + SPAN_US * seq // events
            key = f"PROJ-{draw.randrange(ENTITIES)}"
            delivery = f"{seq:016x}"
            dead, ignored = seq % DEAD_EVERY == 0, seq % IGNORED_EVERY == 1
            state = "dead" if dead else "ignored" if ignored else "applied"
            reason = (
                f"GET https://tracker.example/issues/{seq} answered 503"
                if dead
                else "nobody wants it"
                if ignored
                else ""
            )
            body = msgspec.json.encode({"id": seq, "key": key, "title": f"Event {seq}", "padding": padding})
            identifier = f"{seq:08x}-{seq % 65_536:04x}-7000-8000-{seq:012x}"
            values: tuple[Value, ...] = (
                seq,
                identifier,
                state,
                token[0] + seq,
                at_us,
                at_us + 30_000,
                len(body),
                delivery,
                delivery_hash(delivery),
                reason,
            )
            database.run(_EVENT, values)
            database.run(_BODY, (seq, f"{seq:032x}", _HEADERS, body))
            if not ignored:
                _run(database, seq, token[0] + seq, at_us, key, reason, body)
        database.run("COMMIT")
    dead_runs = events // DEAD_EVERY
    database.run(
        "UPDATE counters SET token = token + ?1, event_seq = ?1, run_id = ?1, write_seq = ?1, dead_runs = ?2",
        (events, dead_runs),
    )
    database.pragma("synchronous", "full")
    database.run("ANALYZE")
    database.close()


def _entities(database: Database) -> None:
    database.run("BEGIN")
    for number in range(ENTITIES):
        database.run(_ENTITY, (number + 1, f"PROJ-{number}"))
    database.run("COMMIT")


def _run(database: Database, seq: int, token: int, at_us: int, key: str, reason: str, body: bytes) -> None:
    state, ended_us = ("dead" if reason else "applied"), at_us + 30_000
    failures = 3 if reason else 0
    database.run(_RUN, (seq, state, token, failures, seq, at_us, ended_us, ended_us, key, reason))
    database.run(_LINK, (seq, seq))
    outcome = "dead" if reason else "completed"
    writes = 0 if reason else 1
    fetched = b'{"updated":[' + body + b'],"deleted":[]}'
    database.run(
        _ATTEMPT, (token, seq, at_us + 5_000, ended_us, outcome, reason, seq, writes, _TRAIL, fetched)
    )
    if writes:
        entity = int(key.removeprefix("PROJ-")) + 1
        document = msgspec.json.encode(
            {
                "identifier": key,
                "blueprint": "issue",
                "title": f"Event {seq}",
                "properties": {"state": "open"},
            }
        )
        database.run(_WRITE, (seq, entity, seq, seq, ended_us, document))
