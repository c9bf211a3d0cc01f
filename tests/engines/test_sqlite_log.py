"""The write-ahead log: who waits for the disk, what a disk that fails costs, and how the log is kept short."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from threading import Event as ThreadEvent

import pytest

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.ports import Accepted, Duplicate
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import FakeClock

OpenEngine = Callable[[], AbstractAsyncContextManager[SqliteEngine]]
MakeEvent = Callable[..., IncomingEvent]


def test_nobody_else_waits_for_the_disk_that_one_waits_for(
    path: Path, clock: FakeClock, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, go_on = ThreadEvent(), ThreadEvent()

    def slow(_: int) -> None:
        waits.set()
        go_on.wait(60)

    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=clock) as one, SqliteEngine.open(path, clock=clock) as two:
            monkeypatch.setattr("os.fdatasync", slow)
            enqueued = asyncio.create_task(one.enqueue(make_event()))
            await asyncio.to_thread(waits.wait, 60)
            [claim] = await two.claim_events(5)  # committed, and seen by all
            assert claim.event.seq == 1
            assert not enqueued.done()  # but not promised yet
            go_on.set()
            assert await enqueued == Accepted(1)

    asyncio.run(scenario())


def test_what_could_not_be_written_to_the_disk_is_not_promised(
    path: Path, open_engine: OpenEngine, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = path.with_name("engine.db-wal")

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    async def scenario() -> None:
        async with open_engine() as engine:
            event = make_event(delivery_id="1")
            with monkeypatch.context() as patched:
                patched.setattr("os.fdatasync", failing)
                with pytest.raises(EngineUnavailableError, match="Input/output error"):
                    await engine.enqueue(event)
            assert log.stat().st_size
            # The sender tries again. The log may have lost what failed, so all of it goes into the file first.
            again = make_event(delivery_id="1")
            assert await engine.enqueue(again) == Duplicate(event.id)
            assert log.stat().st_size == 0
            assert await engine.enqueue(make_event()) == Accepted(2)

    asyncio.run(scenario())


def test_the_log_is_copied_beside_the_commits_and_begins_anew(
    path: Path, open_engine: OpenEngine, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.engines.sqlite.checkpoints.LOG_BYTES", 256 * 1024)

    async def scenario() -> int:
        async with open_engine() as engine:
            for _ in range(200):
                await engine.enqueue(make_event(body=b"x" * 40_000))
            assert (await engine.backlog()).queued_events == 200
            return path.with_name("engine.db-wal").stat().st_size

    assert asyncio.run(scenario()) < 4 * 1024 * 1024  # of 8 MB that were committed
