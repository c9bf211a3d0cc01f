"""The embedded engine when things go wrong: killed processes, full disks, damaged pages, other processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket
from threading import Event as ThreadEvent

import apsw
import pytest

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import IncomingEvent
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.ports import Accepted
from tidegate.core.runs import Completed, Routing, RunRequest
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import FakeClock

OpenEngine = Callable[[], AbstractAsyncContextManager[SqliteEngine]]
MakeEvent = Callable[..., IncomingEvent]
ALL = Page(limit=100_000)

ENQUEUE_FOREVER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import FakeClock

async def main():
    async with SqliteEngine.open(Path(sys.argv[1]), clock=FakeClock()) as engine:
        async def produce(name):
            for number in range(10**6):
                event_id = f"{sys.argv[2]}-{name}-{number:08d}"
                received_at = datetime(2030, 1, 1, tzinfo=UTC)
                body = b"x" * 1000
                await engine.enqueue(
                    IncomingEvent(event_id, "/webhook", EventHeaders(), body, received_at, "t")
                )
                print(event_id, flush=True)
        await asyncio.gather(*(produce(name) for name in range(8)))

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    acknowledged: set[str] = set()
    for name, enough in (("first", 10), ("second", 300), ("third", 900)):
        child = subprocess.Popen(
            [sys.executable, "-c", ENQUEUE_FOREVER, str(path), name], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        acknowledged |= {child.stdout.readline().strip() for _ in range(enough)}
        child.send_signal(signal.SIGKILL)
        whole = [line for line in child.stdout if line.endswith("\n")]
        acknowledged |= {line.strip() for line in whole}
        child.stdout.close()
        child.wait()

    async def stored() -> set[str]:
        async with SqliteEngine.open(path, clock=FakeClock()) as engine:
            records = await engine.find_events(EventFilter(), ALL)
            assert (await engine.backlog()).queued_events == len(records)
            assert [record.seq for record in records] == list(range(len(records), 0, -1))
            return {record.id for record in records}

    assert asyncio.run(stored()) >= acknowledged
    assert len(acknowledged) >= 1210


# --- no room ------------------------------------------------------------------------------------------


async def fill(engine: SqliteEngine, make_event: MakeEvent) -> list[str]:
    """Enqueue until there is no room; answers the ids that were accepted."""
    accepted: list[str] = []
    while True:
        events = [make_event(body=b"x" * 20_000) for _ in range(8)]
        outcomes = await asyncio.gather(*map(engine.enqueue, events), return_exceptions=True)
        accepted += [
            event.id for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Accepted)
        ]
        failures = [outcome for outcome in outcomes if not isinstance(outcome, Accepted)]
        if failures:
            assert all(isinstance(failure, EngineUnavailableError) for failure in failures), failures
            assert "full" in str(failures[0])
            return accepted


async def is_consistent(engine: SqliteEngine, accepted: list[str]) -> None:
    records = await engine.find_events(EventFilter(), ALL)
    assert {record.id for record in records} == set(accepted)
    assert (await engine.backlog()).queued_events == len(accepted)


def test_a_full_file_refuses_and_recovers(open_engine: OpenEngine, make_event: MakeEvent) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            await engine.enqueue(make_event())
            database = engine._writer.database
            limit = database.pragma("max_page_count")
            database.pragma("max_page_count", database.pragma("page_count") + 40)
            accepted = [record.id for record in await engine.find_events(EventFilter(), ALL)]
            accepted += await fill(engine, make_event)
            await is_consistent(engine, accepted)
            database.pragma("max_page_count", limit)
            again = make_event()
            assert isinstance(await engine.enqueue(again), Accepted)
            await is_consistent(engine, [*accepted, again.id])

    asyncio.run(scenario())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_and_recovers(small_disk: Path, make_event: MakeEvent) -> None:
    async def scenario() -> None:
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * 2_000_000)
        async with SqliteEngine.open(small_disk / "engine.db", clock=FakeClock()) as engine:
            accepted = await fill(engine, make_event)
            assert accepted
            with pytest.raises(EngineUnavailableError, match="full"):
                await engine.enqueue(make_event(body=b"x" * 3_000_000))
            await is_consistent(engine, accepted)
            filler.unlink()
            again = make_event()
            assert isinstance(await engine.enqueue(again), Accepted)
            await is_consistent(engine, [*accepted, again.id])
        async with SqliteEngine.open(small_disk / "engine.db", clock=FakeClock()) as engine:
            await is_consistent(engine, [*accepted, again.id])

    asyncio.run(scenario())


# --- damage -------------------------------------------------------------------------------------------


def test_a_damaged_page_costs_the_run_that_needs_it(
    path: Path, open_engine: OpenEngine, make_event: MakeEvent
) -> None:
    async def accept() -> None:
        async with open_engine() as engine:
            for size in (100, 100_000, 100):
                await engine.enqueue(make_event(body=b"x" * size))
            for claim in await engine.claim_events(3):
                await engine.route(claim, Routing((RunRequest("P", "issue", "issue", None, None),)))

    def damage() -> None:
        connection = apsw.Connection(str(path))
        connection.pragma("wal_checkpoint")
        [page] = next(
            connection.execute(
                "SELECT pageno FROM dbstat WHERE name = 'event_bodies' AND pagetype = 'overflow'"
                " ORDER BY path LIMIT 1"
            )
        )
        size = connection.pragma("page_size")
        connection.close()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff\xff\xff\xff")  # the number of the next page

    async def look() -> None:
        async with open_engine() as engine:
            claims = await engine.claim_runs(10)
            assert [claim.event.seq for claim in claims] == [1, 3]
            for claim in claims:
                assert await engine.settle(claim, Completed())
            dead = (await engine.run(2)).record
            assert dead.state is RunState.DEAD
            assert "cannot be read" in dead.detail
            states = [record.state for record in await engine.find_events(EventFilter(), ALL)]
            assert states == [EventState.APPLIED, EventState.DEAD, EventState.APPLIED]

    asyncio.run(accept())
    damage()
    asyncio.run(look())


# --- company ------------------------------------------------------------------------------------------


def test_one_operation_that_fails_harms_no_other(open_engine: OpenEngine, make_event: MakeEvent) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            events = [make_event() for _ in range(5)]
            wrong = make_event(delivery_id="\udcff")
            outcomes = await asyncio.gather(
                *map(engine.enqueue, [*events[:2], wrong, *events[2:]]), return_exceptions=True
            )
            assert [outcome for outcome in outcomes if not isinstance(outcome, Accepted)] == [outcomes[2]]
            assert isinstance(outcomes[2], UnicodeError)
            await is_consistent(engine, [event.id for event in events])

    asyncio.run(scenario())


def test_a_file_that_stays_locked_is_an_outage_that_ends(
    path: Path, open_engine: OpenEngine, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.engines.sqlite.database.BUSY_SECONDS", 0)

    async def scenario() -> None:
        async with open_engine() as engine:
            other = apsw.Connection(str(path))
            other.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(
                *(engine.enqueue(make_event()) for _ in range(3)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {EngineUnavailableError}
            assert "locked" in str(outcomes[0])
            assert (await engine.backlog()).queued_events == 0
            other.execute("ROLLBACK")
            other.close()
            assert await engine.enqueue(make_event()) == Accepted(1)

    asyncio.run(scenario())


def test_two_processes_share_one_file(path: Path, clock: FakeClock, make_event: MakeEvent) -> None:
    """Two engines in one process are as much strangers to each other as two processes are."""

    async def scenario() -> None:
        async with (
            SqliteEngine.open(path, clock=clock, poll_seconds=0.01) as one,
            SqliteEngine.open(path, clock=clock, poll_seconds=0.01) as two,
        ):
            events = [make_event() for _ in range(40)]
            accepted = await asyncio.gather(
                *(engine.enqueue(event) for engine, event in zip([one, two] * 20, events, strict=True))
            )
            assert {outcome.seq for outcome in accepted if isinstance(outcome, Accepted)} == set(range(1, 41))
            claims = [
                claim
                for part in await asyncio.gather(*(engine.claim_events(15) for engine in (one, two) * 2))
                for claim in part
            ]
            assert len({claim.event.seq for claim in claims}) == len({claim.token for claim in claims}) == 40
            request = RunRequest("P", "issue", "issue", "1", "lane")
            for engine, claim in zip([two, one] * 20, claims, strict=True):
                assert await engine.route(claim, Routing((request,)))
            [run] = [*await one.claim_runs(5), *await two.claim_runs(5)]
            assert run.event_count == 40
            assert await two.settle(run, Completed())
            assert await one.backlog() == await two.backlog()
            assert (await one.backlog()).unfinished == 0

    asyncio.run(scenario())


def test_who_waits_sees_what_another_process_commits(
    path: Path, clock: FakeClock, make_event: MakeEvent
) -> None:
    async def scenario() -> None:
        async with (
            SqliteEngine.open(path, clock=clock, poll_seconds=0.01) as one,
            SqliteEngine.open(path, clock=clock) as two,
        ):
            await two.enqueue(make_event())
            async with asyncio.timeout(30):
                while not await one.claim_events(1):
                    await one.wait(3600)

    asyncio.run(scenario())


def test_who_commits_rings_who_waits_in_another_process(
    path: Path, clock: FakeClock, make_event: MakeEvent
) -> None:
    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=clock) as one, SqliteEngine.open(path, clock=clock) as two:
            for _ in range(3):
                waiting = asyncio.create_task(one.wait(3600, runs=False))
                await asyncio.sleep(0)
                await two.enqueue(make_event())
                async with asyncio.timeout(30):
                    await waiting
                assert len(await one.claim_events(1)) == 1

    asyncio.run(scenario())


def test_who_waits_looks_by_itself_where_nobody_can_ring(
    path: Path, clock: FakeClock, make_event: MakeEvent
) -> None:
    path.with_name(f"{path.name}-bells").write_text("in the way")

    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=clock) as one, SqliteEngine.open(path, clock=clock) as two:
            waiting = asyncio.create_task(one.wait(3600, runs=False))
            await asyncio.sleep(0)
            await two.enqueue(make_event())
            async with asyncio.timeout(30):
                await waiting
            assert len(await one.claim_events(1)) == 1

    asyncio.run(scenario())


def test_the_bell_of_a_killed_process_is_taken_down(
    path: Path, clock: FakeClock, make_event: MakeEvent
) -> None:
    bells = path.with_name(f"{path.name}-bells")

    async def scenario() -> None:
        async with SqliteEngine.open(path, clock=clock) as one:
            bells.mkdir()
            with socket(AF_UNIX, SOCK_DGRAM) as dead:
                dead.bind(str(bells / "dead"))
            await one.enqueue(make_event())
            assert list(bells.iterdir()) == []
            await one.wait(0.001)
            assert len(list(bells.iterdir())) == 1
        assert list(bells.iterdir()) == []

    asyncio.run(scenario())


# --- threads ------------------------------------------------------------------------------------------


def test_a_long_look_holds_up_nobody(open_engine: OpenEngine, make_event: MakeEvent) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            looking, enough = ThreadEvent(), ThreadEvent()
            long_look = asyncio.create_task(engine._reader.look(lambda _: (looking.set(), enough.wait(60))))
            await asyncio.to_thread(looking.wait, 60)
            assert await engine.enqueue(make_event()) == Accepted(1)
            assert (await engine.backlog()).queued_events == 1
            enough.set()
            await long_look

    asyncio.run(scenario())


@pytest.mark.parametrize("verb", ["claim_events", "claim_runs"])
def test_claims_that_nobody_waits_for_are_given_back(
    path: Path, open_engine: OpenEngine, make_event: MakeEvent, verb: str
) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            other = apsw.Connection(str(path))
            await engine.enqueue(make_event())
            if verb == "claim_runs":
                [routed] = await engine.claim_events(1)
                await engine.route(routed, Routing((RunRequest("P", "issue", "issue", "1", "lane"),)))
            claim = getattr(engine, verb)
            held, go_on = ThreadEvent(), ThreadEvent()
            engine._writer._hand(lambda: held.set() or go_on.wait(60))
            await asyncio.to_thread(held.wait, 60)
            other.execute("BEGIN IMMEDIATE")
            lost = asyncio.create_task(claim(1))
            while engine._writer._jobs.empty():  # it waits behind that for the other one
                await asyncio.sleep(0)
            lost.cancel()
            with suppress(asyncio.CancelledError):
                await lost
            other.execute("ROLLBACK")
            go_on.set()
            await engine._writer.commit(lambda _: None)
            [again] = await claim(1)
            assert again.expirations == 0
            other.close()

    asyncio.run(scenario())


def test_what_was_asked_for_before_the_end_is_committed(
    open_engine: OpenEngine, make_event: MakeEvent
) -> None:
    async def scenario() -> None:
        async with open_engine() as engine:
            last = [asyncio.create_task(engine.enqueue(make_event())) for _ in range(300)]
            await asyncio.sleep(0)
        assert [await task for task in last] == [Accepted(seq) for seq in range(1, 301)]
        async with open_engine() as engine:
            assert (await engine.backlog()).queued_events == 300

    asyncio.run(scenario())


def test_a_loop_that_ends_without_closing_does_not_hang(path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tidegate.engines.sqlite import SqliteEngine\n"
        "from tidegate.testing.clock import FakeClock\n"
        "async def main():\n"
        "    await SqliteEngine.open(Path(sys.argv[1]), clock=FakeClock()).__aenter__()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60, env=dict(os.environ))
