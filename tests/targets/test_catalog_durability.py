"""What the catalog says is applied survives kill -9, full disks, bugs and cancelled callers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import ConfigurationError, TargetUnavailableError
from tidegate.core.ports import Applied, Change, Delete, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog import CatalogTarget
from tidegate.targets.catalog.sqlite.database import Database
from tidegate.targets.catalog.sqlite.files import open_writer
from tidegate.targets.catalog.target import FENCES_KEPT
from tidegate.targets.catalog.writer import GroupCommitWriter

BLUEPRINT: dict[str, Any] = {
    "identifier": "service",
    "schema": {"properties": {"n": {"type": "number"}, "text": {"type": "string"}}},
}


class HandClock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2024, 5, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def opened(path: Path, identifier: str = "main", clock: HandClock | None = None) -> CatalogTarget:
    return CatalogTarget.open(
        path, integration_identifier=identifier, options=TargetOptions(), clock=clock or HandClock()
    )


def with_catalog(path: Path, scenario: Callable[[CatalogTarget], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        target = opened(path, **options)
        try:
            await target.prepare([BLUEPRINT], {})
            await scenario(target)
        finally:
            await target.close()

    asyncio.run(run())


def upserts(*identifiers: str, fence: int = 1, **properties: Any) -> list[Change]:
    return [Upsert(Entity(name, "service", properties=properties), fence) for name in identifiers]


async def count(target: CatalogTarget, table: str = "entities") -> int:
    return await target.readers.read(lambda database: database.value(f"SELECT count(*) FROM {table}"))


async def nothing(target: CatalogTarget) -> None:
    assert await count(target) == 0


async def write_for_ever(path: Path) -> None:
    """Runs in a process of its own: applies, and says what it was told is applied."""
    target = opened(path)
    await target.prepare([BLUEPRINT], {})
    known = await count(target)

    async def worker(number: int) -> None:
        for turn in range(1_000_000):
            name = f"{known}-{number}-{turn}"
            outcomes = await target.apply(upserts(name, n=turn))
            assert outcomes == [Applied()]
            print(name, flush=True)

    await asyncio.gather(*(worker(number) for number in range(4)))


@pytest.mark.parametrize("lines", [1, 50, 300])
def test_what_is_applied_survives_kill_9(lines: int, tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    told: list[str] = []
    for _ in range(2):  # the second life begins on what the first left behind
        child = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        told += [child.stdout.readline().strip() for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.read().split("\n")[:-1]  # complete lines that were still in the pipe
        child.wait()
        child.stdout.close()

    async def scenario(target: CatalogTarget) -> None:
        refs = {EntityRef("service", name) for name in told}
        assert await target.owned(refs) == refs
        checked = await target.readers.read(lambda database: database.value("PRAGMA integrity_check"))
        assert checked == "ok"

    assert len(told) >= 2 * lines
    with_catalog(path, scenario)


def test_concurrent_applies_share_commits_and_all_count(tmp_path: Path) -> None:
    async def scenario(target: CatalogTarget) -> None:
        results = await asyncio.gather(*(target.apply(upserts(f"s{n}")) for n in range(200)))
        assert results == [[Applied()]] * 200
        assert await count(target) == 200

    with_catalog(tmp_path / "catalog.db", scenario)


def test_a_full_disk_is_an_outage_that_passes(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"

    async def run() -> None:
        database = open_writer(path)
        target = CatalogTarget(
            database, partial(Database, path, readonly=True), "main", TargetOptions(), HandClock()
        )
        await target.prepare([BLUEPRINT], {})
        await target.apply(upserts("before"))
        pages = database.pragma("page_count")
        database.pragma("max_page_count", pages)  # SQLite now answers as on a full disk
        large = upserts("large", text="x" * 200_000)
        with pytest.raises(TargetUnavailableError, match="full"):
            await target.apply(large)
        results = await asyncio.gather(
            *(target.apply(changes) for changes in (upserts("before", fence=2, n=1), large)),
            return_exceptions=True,
        )
        assert isinstance(results[1], TargetUnavailableError)
        database.pragma("max_page_count", pages + 1000)
        assert await target.apply(large) == [Applied()]
        assert await count(target) == 2
        await target.close()

    asyncio.run(run())


def test_a_bug_in_one_job_undoes_that_job_alone(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "jobs.db"
        database = Database(path)
        database.run("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        writer = GroupCommitWriter(database, lambda: None, lambda: None)

        def insert(number: int, *, fail: bool = False) -> int:
            database.run("INSERT INTO numbers VALUES (?)", (number,))
            if fail:
                raise LookupError("a bug")
            return number

        def job(number: int, *, fail: bool = False) -> Callable[[], int]:
            return lambda: insert(number, fail=fail)

        results = await asyncio.gather(
            writer.submit(job(1)),
            writer.submit(job(2, fail=True)),
            writer.submit(job(3)),
            writer.submit(job(3)),  # a constraint that is violated is a bug, too
            writer.submit(job(4)),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results] == [
            "int", "LookupError", "int", "ConstraintError", "int",
        ]  # fmt: skip
        found = await writer.submit(lambda: database.rows("SELECT n FROM numbers ORDER BY n"))
        assert found == [(1,), (3,), (4,)]
        await writer.close()
        await writer.close()
        with pytest.raises(TargetUnavailableError, match="closed"):
            await writer.submit(job(5))

    asyncio.run(run())


def test_a_cancelled_caller_leaves_the_writer_whole(tmp_path: Path) -> None:
    async def scenario(target: CatalogTarget) -> None:
        cancelled = asyncio.create_task(target.apply(upserts("a")))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert await target.apply(upserts("b")) == [Applied()]
        assert EntityRef("service", "b") in await target.owned([EntityRef("service", "b")])

    with_catalog(tmp_path / "catalog.db", scenario)


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    async def scenario(target: CatalogTarget) -> None:
        other = opened(tmp_path / "catalog.db")
        more = {**BLUEPRINT, "identifier": "team"}
        await other.prepare([more], {})
        assert await target.apply([Upsert(Entity("t", "team"), 1)]) == [
            Applied()
        ]  # it has seen the blueprint
        await asyncio.gather(
            *(one.apply(upserts(f"{id(one)}-{n}")) for n in range(20) for one in (target, other))
        )
        assert await count(target) == 41
        await other.close()

    with_catalog(tmp_path / "catalog.db", scenario)


def test_fences_of_deleted_entities_are_forgotten_in_time(tmp_path: Path) -> None:
    clock = HandClock()

    async def scenario(target: CatalogTarget) -> None:
        await target.apply([Delete(EntityRef("service", f"s{n}"), 5) for n in range(10)])
        assert await count(target, "fences") == 10
        clock.time += FENCES_KEPT - timedelta(hours=2)
        await target.apply(upserts("other"))
        assert await count(target, "fences") == 10
        clock.time += timedelta(hours=3)
        await target.apply(upserts("another"))
        assert await count(target, "fences") == 0

    with_catalog(tmp_path / "catalog.db", scenario, clock=clock)


def test_blueprints_follow_the_integration_that_created_them(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    wider = {**BLUEPRINT, "schema": {"properties": {"n": {"type": "number"}, "m": {"type": "number"}}}}

    async def scenario(target: CatalogTarget) -> None:
        theirs = opened(path, "other")
        await theirs.prepare([wider], {})  # not its own: left alone
        refused = await target.apply(upserts("a", m=1))
        assert "property m" in str(refused)
        await target.prepare([wider], {})
        assert await target.apply(upserts("a", m=1)) == [Applied()]
        await theirs.close()

    with_catalog(path, scenario)


def test_a_wrong_blueprint_changes_nothing(tmp_path: Path) -> None:
    async def scenario(target: CatalogTarget) -> None:
        wrong = {"identifier": "team", "schema": {"properties": {"url": {"type": "text"}}}}
        with pytest.raises(
            ConfigurationError, match=r'blueprint team: property url: `type` is "text"; use one'
        ):
            await target.prepare([{**BLUEPRINT, "identifier": "fine"}, wrong], {})
        assert await count(target, "blueprints") == 1

    with_catalog(tmp_path / "catalog.db", scenario)


def test_files_that_are_no_catalog_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is no database" * 500)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        opened(garbage)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        opened(tmp_path)
    foreign = tmp_path / "foreign.db"
    database = Database(foreign)
    database.run("CREATE TABLE mine (n)")
    database.close()
    before = foreign.read_bytes()
    with pytest.raises(ConfigurationError, match="not one of Tidegate's catalog"):
        opened(foreign)
    assert foreign.read_bytes() == before


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "catalog.db"
    with_catalog(path, nothing)
    database = Database(path)
    database.pragma("user_version", 99)
    database.close()
    with pytest.raises(ConfigurationError, match="newer Tidegate"):
        opened(path)


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))
