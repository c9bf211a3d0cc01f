"""The embedded engine's file: created, recognised, upgraded, refused."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import apsw
import pytest

from tidegate.core.errors import ConfigurationError, EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted, Duplicate
from tidegate.core.runs import Completed
from tidegate.engines.sqlite import SqliteEngine
from tidegate.engines.sqlite.schema import APPLICATION_ID, migrations
from tidegate.testing.clock import FakeClock

OpenEngine = Callable[[], AbstractAsyncContextManager[SqliteEngine]]


def opened(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=FakeClock()):
            pass

    asyncio.run(scenario())


def written(path: Path, script: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(script)
    connection.close()


def test_a_missing_folder_is_made_and_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "engine.db"
    opened(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_accepted_is_there_after_a_restart(
    open_engine: OpenEngine, make_event: Callable[..., IncomingEvent]
) -> None:
    async def scenario() -> None:
        first = make_event(body=b"\x00\xff not even text", delivery_id="d-1")
        async with open_engine() as engine:
            assert await engine.enqueue(first) == Accepted(1)
        async with open_engine() as engine:
            assert await engine.enqueue(make_event(delivery_id="d-1")) == Duplicate(first.id)
            [claim] = await engine.claim_events(5)
            for name in ("id", "path", "headers", "body", "received_at", "trace_id", "delivery_id"):
                assert getattr(claim.event, name) == getattr(first, name)

    asyncio.run(scenario())


def test_the_schema_is_written_in_numbered_steps(path: Path) -> None:
    opened(path)
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(migrations()) >= 1
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


def test_a_file_of_an_older_version_is_upgraded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(path)
    later = [*migrations(), "CREATE TABLE later (a INTEGER) STRICT"]
    monkeypatch.setattr("tidegate.engines.sqlite.schema.migrations", lambda: later)
    opened(path)
    opened(path)
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(later)
    assert connection.execute("SELECT count(*) FROM later").get == 0
    connection.close()


# Events 1 to 3 of one lane: applied, at work and held; 4 waits for a worker, 5 for a router, 6 is lent to one.
SCHEMA_6 = """
INSERT INTO events (seq, id, path, state, due_us, token, expirations, received_us, finished_us, size_bytes, reason)
VALUES (1, 'event-1', '/', 'applied', NULL, 1, 0, 1, 5, 2, ''), (2, 'event-2', '/', 'routed', NULL, 1, 0, 1, NULL, 2, ''),
    (3, 'event-3', '/', 'routed', NULL, 1, 0, 1, NULL, 2, ''), (4, 'event-4', '/', 'routed', NULL, 1, 0, 1, NULL, 2, ''),
    (5, 'event-5', '/', 'queued', 0, 0, 0, 1, NULL, 2, ''), (6, 'event-6', '/', 'queued', 9, 1, 0, 1, NULL, 2, '');
INSERT INTO event_bodies (seq, trace_id, headers, body) SELECT seq, '', x'7b7d', x'7b7d' FROM events;
INSERT INTO runs (id, state, due_us, token, claimed_us, failures, expirations, newest_seq, event_count, created_us,
    changed_us, processor, config, kind, lane, holds_lane, path, detail)
VALUES (1, 'applied', NULL, 2, 1, 0, 0, 1, 1, 1, 1, 'P', 'issue', 'issue', 'lane', NULL, '/', ''),
    (2, 'applied', NULL, 3, 1, 0, 0, 1, 1, 1, 1, 'P', 'issue', 'issue', 'lane', NULL, '/', 'once more'),
    (3, 'claimed', 9, 4, 1, 0, 0, 2, 1, 1, 1, 'P', 'issue', 'issue', 'lane', 1, '/', ''),
    (4, 'held', NULL, 0, NULL, 0, 0, 3, 1, 1, 1, 'P', 'issue', 'issue', 'lane', NULL, '/', ''),
    (5, 'ready', 8, 0, NULL, 0, 0, 4, 1, 1, 1, 'P', 'issue', 'issue', NULL, NULL, '/', '');
INSERT INTO event_runs (event_seq, run_id) SELECT newest_seq, id FROM runs;
UPDATE counters SET event_seq = 6, run_id = 5, queued_events = 2, ready_runs = 1, held_runs = 1, claimed_runs = 1;
"""


def test_work_of_an_older_file_goes_on(path: Path, open_engine: OpenEngine) -> None:
    older = "".join(migrations()[:6])
    written(path, f"{older}{SCHEMA_6}PRAGMA user_version = 6; PRAGMA application_id = {APPLICATION_ID}")

    async def scenario() -> None:
        async with open_engine() as engine:
            assert [claim.event.seq for claim in await engine.claim_events(9)] == [5, 6]
            ready, over = await engine.claim_runs(9)
            assert [(claim.run_id, claim.expirations) for claim in (ready, over)] == [(5, 0), (3, 1)]
            await engine.settle(over, Completed())
            [held] = await engine.claim_runs(9)
            assert (held.run_id, held.event.seq) == (4, 3)

    asyncio.run(scenario())
    with closing(apsw.Connection(str(path))) as connection:
        places = connection.execute("SELECT id, place FROM runs ORDER BY id").fetchall()
        assert places == [(1, 1), (2, 1), (3, 2), (4, 0), (5, None)]


def test_the_file_itself_lets_one_run_hold_a_lane(path: Path) -> None:
    opened(path)
    insert = (
        "INSERT INTO runs (state, token, failures, expirations, newest_seq, event_count, created_us, changed_us,"
        " processor, config, kind, lane, place, path, detail)"
        " VALUES (?, 0, 0, 0, 1, 1, 1, 1, 'P', 'issue', 'issue', 'lane', ?, '/', '')"
    )
    with closing(apsw.Connection(str(path))) as connection:
        for state, place in (("ready", 0), ("held", -1), ("applied", 1), ("applied", 1)):
            connection.execute(insert, (state, place))
        for state, place in (("claimed", 0), ("held", -1)):
            with pytest.raises(apsw.ConstraintError):
                connection.execute(insert, (state, place))


def test_a_newer_file_is_refused(path: Path) -> None:
    opened(path)
    written(path, "PRAGMA user_version = 999")
    with pytest.raises(ConfigurationError, match=r"newer Tidegate \(schema 999.*upgrade Tidegate"):
        opened(path)


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    written(path, "CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="not one of Tidegate's engine"):
        opened(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("shopping list: milk, bread, a very long line of other things" * 20)
    with pytest.raises(ConfigurationError, match=re.escape(str(path)) + r".*not a database"):
        opened(path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="may write it and its folder"):
        opened(tmp_path / "file" / "engine.db")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        opened(tmp_path)


def test_two_opens_at_once_make_one_file(path: Path) -> None:
    async def scenario() -> None:
        async def one() -> None:
            async with SqliteEngine.open(path, clock=FakeClock()) as engine:
                await engine.backlog()

        await asyncio.gather(*(one() for _ in range(4)))

    asyncio.run(scenario())


def test_a_closed_engine_says_so(open_engine: OpenEngine, make_event: Callable[..., IncomingEvent]) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            pass
        with pytest.raises(EngineUnavailableError, match="closed"):
            await engine.enqueue(make_event())
        with pytest.raises(EngineUnavailableError, match="closed"):
            await engine.backlog()
        await engine.close()

    asyncio.run(scenario())


def test_a_process_that_does_nothing_does_not_make_the_log_grow(
    path: Path, clock: FakeClock, make_event: Callable[[], IncomingEvent]
) -> None:
    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=clock) as one, SqliteEngine.open(path, clock=clock) as idle:
            await idle.backlog()
            for _ in range(10):
                await one.enqueue(make_event())
            # Only a log that nobody looks at any more can be emptied.
            with closing(apsw.Connection(str(path))) as connection:
                [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
            assert busy == 0

    asyncio.run(scenario())
