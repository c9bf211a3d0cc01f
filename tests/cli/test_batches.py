"""Large redrives: in small transactions, each dead letter once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from tests.app.service_process import tidegate, write_integration
from tidegate.app.clock import SystemClock, new_id
from tidegate.cli.batches import in_batches
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.runs import Dead, Routing, RunRequest
from tidegate.engines.sqlite import SqliteEngine

DEAD = 1_200


async def die(path: Path, count: int) -> None:
    """Leave that many dead letters."""
    async with SqliteEngine.open(path, clock=SystemClock()) as engine:
        for _ in range(count):
            event = IncomingEvent(
                new_id(), "/webhook", EventHeaders({}), b"{}", datetime.now(UTC), "0" * 32, None
            )
            await engine.enqueue(event)
        claims = await engine.claim_events(count)
        request = RunRequest("IssueProcessor", "issue", "issue", None, None)
        await asyncio.gather(*(engine.route(claim, Routing((request,))) for claim in claims))
        runs = await engine.claim_runs(count)
        await asyncio.gather(*(engine.settle(run, Dead("cannot digest this")) for run in runs))


def test_a_large_redrive_is_foretold_and_done(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "integration")
    asyncio.run(die(directory / ".tidegate" / "tidegate.db", DEAD))
    foretold = tidegate("deadletters", "redrive", "--error", "digest", cwd=directory).stdout.decode()
    assert f"and {DEAD - 50} more" in foretold
    assert f"{DEAD} runs would be redriven: add --yes to do it" in foretold
    done = tidegate("deadletters", "redrive", "--all", "--limit", "700", "--yes", cwd=directory)
    assert done.stdout.decode() == "700 runs redriven\n"
    rest = tidegate("deadletters", "redrive", "--all", "--yes", cwd=directory)
    assert rest.stdout.decode() == f"{DEAD - 700} runs redriven\n"


def test_batches_end_with_the_limit_or_with_what_there_is() -> None:
    async def done(there_are: int, limit: int) -> list[int]:
        rooms: list[int] = []

        async def some(room: int) -> int:
            rooms.append(room)
            return min(room, there_are - sum(rooms[:-1]))

        assert await in_batches("done", some, limit, None, quiet=True) == min(there_are, limit)
        return rooms

    assert asyncio.run(done(1_200, 5_000)) == [500, 500, 500]
    assert asyncio.run(done(5_000, 1_200)) == [500, 500, 200]
    assert asyncio.run(done(0, 10)) == [10]
