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
